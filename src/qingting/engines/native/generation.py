"""Answer prompts in batches that were fixed in advance, each kept as soon as it is done."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from qingting.core.dialogue import Message
from qingting.core.errors import DataError
from qingting.engines.native.decoding import Sampling, decode
from qingting.engines.native.kernels import use_own_kernels
from qingting.engines.native.loading import DTYPES, Checkpoint, load_checkpoint, memory_errors
from qingting.engines.native.resources import peak_memory_bytes
from qingting.engines.protocol import Emit, GenerateJob
from qingting.models.templates import Template, TextTemplate
from qingting.store.atomic import write_bytes


class Prompt(NamedTuple):
    """A conversation to continue; ``place`` is its line in the file."""

    place: int
    id: str
    input_ids: tuple[int, ...]


def generate(job: GenerateJob, emit: Emit) -> dict[str, Any]:
    """Write ``responses.jsonl`` in the order of the prompts."""
    with memory_errors(f"generating in batches of {job.batch_size}"):
        checkpoint = load_checkpoint(
            job.checkpoint, job.runtime, dtype=DTYPES[job.runtime.precision], task=job.task
        )
        use_own_kernels(checkpoint.model)
        prompts = read_prompts(checkpoint.template, job.prompts, n_new_tokens=job.max_new_tokens)
        batches = form_batches(prompts, job.batch_size)
        finished = Path(job.state) / "batches"
        finished.mkdir(parents=True, exist_ok=True)
        n_done = 0
        for number, batch in enumerate(batches):
            path = finished / f"{number:06d}.json"
            if not path.is_file():
                write_bytes(path, orjson.dumps(_answer(job, checkpoint, batch)))
            n_done += len(batch)
            emit("progress", done=n_done, total=len(prompts), unit="answer")
    records = [orjson.loads((finished / f"{i:06d}.json").read_bytes()) for i in range(len(batches))]
    responses: dict[int, dict[str, Any]] = {}
    for batch, record in zip(batches, records, strict=True):
        for prompt, response in zip(batch, record["responses"], strict=True):
            responses[prompt.place] = response
    lines = (orjson.dumps(responses[i], option=orjson.OPT_APPEND_NEWLINE) for i in range(n_done))
    (Path(job.output) / "responses.jsonl").write_bytes(b"".join(lines))
    n_tokens = sum(response["n_tokens"] for response in responses.values())
    wall_s = sum(record["wall_s"] for record in records)
    return {
        "n_prompts": len(prompts),
        "n_prompt_tokens": sum(len(prompt.input_ids) for prompt in prompts),
        "n_tokens": n_tokens,
        "n_stopped": sum(response["finish"] == "stop" for response in responses.values()),
        "measurements": {
            "wall_s": wall_s,
            "cpu_s": sum(record["cpu_s"] for record in records),
            "tokens_per_s": n_tokens / wall_s,
            "peak_memory_bytes": peak_memory_bytes(checkpoint.device),
        },
    }


def read_prompts(template: Template, path: Path | str, *, n_new_tokens: int) -> list[Prompt]:
    """Return the prompts of a JSON Lines file of ``{"id", "messages"}``, ready to be answered.

    Of a text too long for the model to add ``n_new_tokens``, the end is kept.

    Raises:
        DataError: The file holds no prompt.
    """
    prompts = []
    for index, line in enumerate(filter(None, Path(path).read_bytes().splitlines())):
        record = orjson.loads(line)
        messages = [Message(m["role"], m["content"]) for m in record["messages"]]
        ids = template.encode(messages, add_generation_prompt=True).input_ids
        if isinstance(template, TextTemplate):
            ids = template.tail(ids, n_new_tokens=n_new_tokens)
        prompts.append(Prompt(index, record["id"], tuple(ids)))
    if not prompts:
        raise DataError(f"{path} holds no prompt to answer")
    return prompts


def form_batches(prompts: Sequence[Prompt], batch_size: int) -> list[list[Prompt]]:
    """Return prompts of similar length together, the longest first, so that memory runs out early."""
    ordered = sorted(prompts, key=lambda prompt: (-len(prompt.input_ids), prompt.place))
    return [ordered[i : i + batch_size] for i in range(0, len(ordered), batch_size)]


def _answer(job: GenerateJob, checkpoint: Checkpoint, batch: Sequence[Prompt]) -> dict[str, Any]:
    template = checkpoint.template
    sampling = Sampling(
        job.max_new_tokens, job.min_new_tokens, job.temperature, job.top_p, job.repetition_penalty
    )
    wall, cpu = time.perf_counter(), time.process_time()
    answers = decode(
        checkpoint.model,
        [prompt.input_ids for prompt in batch],
        sampling,
        stop_ids=sorted(template.stop_ids),
        seeds=[_seed(job.seed, prompt.id) for prompt in batch],
    )
    return {
        "responses": [
            {
                "id": prompt.id,
                "text": template.decode(answer.ids),
                "n_prompt_tokens": len(prompt.input_ids),
                "n_tokens": answer.n_tokens,
                "finish": "stop" if answer.is_stopped else "length",
            }
            for prompt, answer in zip(batch, answers, strict=True)
        ],
        "wall_s": time.perf_counter() - wall,
        "cpu_s": time.process_time() - cpu,
    }


def _seed(seed: int, prompt_id: str) -> int:
    """Return the seed of one prompt's draws, so that they do not depend on its batch."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{prompt_id}".encode()).digest()[:8], "big")
