"""Tokens per second of one stream and of several at once, from one server process.

    python benchmarks/serving.py [--models qwen2.5-tiny …] [--streams 8] [--tokens 256]

A server is started as ``qingting serve`` starts it (one process, one computing thread), and clients
in this process read its streams event by event. Answers are drawn at temperature 2, where the small
models hardly ever end one, so that all have the same length; ``--temperature 0`` measures greedy
answers, as long as they come. One stream and several are measured in turn, and the ratio printed is
the median over the rounds of several streams' rate by one stream's. First words are those that are
sent: a model that speaks in channels may think first.
"""

from __future__ import annotations

import argparse
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import httpx
import orjson

from qingting.engines.event_stream import EventLines
from qingting.engines.serving import Served, serve
from qingting.models.resolve import shipped_models

OPENINGS = ("最近总是睡不着，白天也没精神。", "I keep worrying about work.", "我和父母又吵架了。")


class Stream(NamedTuple):
    n_tokens: int
    first_s: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="*", default=["qwen2.5-tiny"])
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--temperature", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default=None)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    print("model               one stream  streams     together   ratio  first words one, together")
    for name in arguments.models:
        with serve(
            shipped_models()[name],
            model=name,
            precision=arguments.precision,
            n_threads=arguments.threads,
        ) as served:
            measure(served, arguments)


def measure(served: Served, arguments: argparse.Namespace) -> None:
    rounds = []
    with httpx.Client(trust_env=False, timeout=120) as client:
        for number in range(arguments.rounds + 1):
            one = together(served, client, 1, number, arguments)
            several = together(served, client, arguments.streams, number, arguments)
            if number:  # the first round warms up
                rounds.append((one, several))
    alone = statistics.median(one[0] for one, _ in rounds)
    both = statistics.median(several[0] for _, several in rounds)
    ratio = statistics.median(several[0] / one[0] for one, several in rounds)
    waits = [statistics.median(x[i][1] for x in rounds) * 1000 for i in (0, 1)]
    print(
        f"{served.model:<18} {alone:>7.0f} tok/s {arguments.streams:>8} {both:>7.0f} tok/s "
        f"{ratio:>7.2f}  {waits[0]:.0f} ms, {waits[1]:.0f} ms",
        flush=True,
    )


def together(
    served: Served, client: httpx.Client, n: int, number: int, arguments: argparse.Namespace
) -> tuple[float, float]:
    """Return tokens per second over all streams, and the median time to the first words."""
    began = time.perf_counter()
    with ThreadPoolExecutor(n) as pool:
        asked = [pool.submit(read, served, client, 100 * number + i, arguments) for i in range(n)]
        streams = [one.result() for one in asked]
    seconds = time.perf_counter() - began
    return sum(s.n_tokens for s in streams) / seconds, statistics.median(s.first_s for s in streams)


def read(served: Served, client: httpx.Client, seed: int, arguments: argparse.Namespace) -> Stream:
    payload = {
        "model": served.model,
        "messages": [{"role": "user", "content": OPENINGS[seed % len(OPENINGS)]}],
        "max_tokens": arguments.tokens,
        "temperature": arguments.temperature,
        "seed": seed,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    began, first_s, n_tokens = time.perf_counter(), 0.0, 0
    with client.stream("POST", f"{served.base_url}/chat/completions", json=payload) as response:
        response.raise_for_status()
        for number, data in enumerate(EventLines().events(response.iter_bytes())):
            if number == 1:
                first_s = time.perf_counter() - began
            if b'"usage"' in data:
                n_tokens = orjson.loads(data)["usage"]["completion_tokens"]
    return Stream(n_tokens, first_s)


if __name__ == "__main__":
    main()
