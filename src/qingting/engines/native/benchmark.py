"""Time inference at several batch sizes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import orjson
import torch

from qingting.engines.native.decoding import Sampling, decode
from qingting.engines.native.generation import read_prompts
from qingting.engines.native.kernels import use_own_kernels
from qingting.engines.native.loading import DTYPES, Checkpoint, load_checkpoint, memory_errors
from qingting.engines.native.resources import peak_memory_bytes
from qingting.engines.protocol import BenchmarkJob, Emit


class Timing(NamedTuple):
    """One timed run: seconds until the first token, and tokens per second after it."""

    first_token_s: float
    decode_tokens_per_s: float


def benchmark(job: BenchmarkJob, emit: Emit) -> dict[str, Any]:
    """Write ``benchmark.json``: one record per batch size, in rising order.

    Peak memory is that of the process so far, so it belongs to the largest batch up to there.
    """
    with memory_errors("timing inference"):
        checkpoint = load_checkpoint(
            job.checkpoint, job.runtime, dtype=DTYPES[job.runtime.precision], task=job.task
        )
        use_own_kernels(checkpoint.model)
        read = read_prompts(checkpoint.template, job.prompts, n_new_tokens=job.n_new_tokens)
        prompts = [prompt.input_ids for prompt in read]
        records = []
        for done, batch_size in enumerate(sorted(job.batch_sizes), start=1):
            batch = list(islice(cycle(prompts), batch_size))
            _time_once(checkpoint, batch, min(job.n_new_tokens, 8))  # warms caches and kernels up
            timings = [
                _time_once(checkpoint, batch, job.n_new_tokens) for _ in range(job.n_repeats)
            ]
            records.append(
                {
                    "batch_size": batch_size,
                    "n_prompt_tokens": sum(len(prompt) for prompt in batch),
                    "n_new_tokens": job.n_new_tokens,
                    "first_token_s": median(t.first_token_s for t in timings),
                    "decode_tokens_per_s": median(t.decode_tokens_per_s for t in timings),
                    "n_repeats": job.n_repeats,
                    "peak_memory_bytes": peak_memory_bytes(checkpoint.device),
                }
            )
            emit("progress", done=done, total=len(job.batch_sizes), unit="batch size")
    content = orjson.dumps(records, option=orjson.OPT_INDENT_2)
    (Path(job.output) / "benchmark.json").write_bytes(content)
    return {"measurements": {"records": records}}


def _time_once(checkpoint: Checkpoint, prompts: Sequence[Sequence[int]], n_new: int) -> Timing:
    times: list[float] = []

    def on_token(_: int) -> None:
        if checkpoint.device.type == "cuda":
            torch.cuda.synchronize(checkpoint.device)
        times.append(time.perf_counter())

    begun = time.perf_counter()
    decode(
        checkpoint.model,
        prompts,
        Sampling(max_new_tokens=n_new, min_new_tokens=n_new),
        stop_ids=sorted(checkpoint.template.stop_ids),
        on_token=on_token,
    )
    decoded = len(prompts) * (len(times) - 1)
    return Timing(times[0] - begun, decoded / (times[-1] - times[0]) if decoded else 0.0)
