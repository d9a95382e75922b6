"""Sort texts by label, in batches that were fixed in advance, each kept as soon as it is done."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import torch

from qingting.core.errors import DataError, ModelError
from qingting.engines.native.batches import read_dialogues
from qingting.engines.native.classifiers import fitted, label_logits
from qingting.engines.native.loading import DTYPES, load_checkpoint, memory_errors
from qingting.engines.native.resources import peak_memory_bytes
from qingting.engines.protocol import Emit, PredictJob
from qingting.models.templates import TextTemplate
from qingting.store.atomic import write_bytes


class _Text(NamedTuple):
    place: int
    id: str
    input_ids: tuple[int, ...]
    is_cut: bool


def predict(job: PredictJob, emit: Emit) -> dict[str, Any]:
    """Write ``predictions.jsonl`` in the order of the texts."""
    with memory_errors(f"sorting texts in batches of {job.batch_size}"), torch.inference_mode():
        checkpoint = load_checkpoint(
            job.checkpoint,
            job.runtime,
            dtype=DTYPES[job.runtime.precision],
            task=job.task,
            labels=job.labels,
        )
        if checkpoint.fresh:
            raise ModelError(f"{job.checkpoint}: has no trained classifier; train it first.")
        template = checkpoint.template
        assert isinstance(template, TextTemplate)
        texts = _read(template, job)
        ordered = sorted(texts, key=lambda text: (-len(text.input_ids), text.place))
        size = job.batch_size
        batches = [ordered[start : start + size] for start in range(0, len(ordered), size)]
        finished = Path(job.state) / "batches"
        finished.mkdir(parents=True, exist_ok=True)
        n_done = 0
        for number, batch in enumerate(batches):
            path = finished / f"{number:06d}.json"
            if not path.is_file():
                began = time.perf_counter()
                ids = [text.input_ids for text in batch]
                logits = label_logits(checkpoint.model, ids, pad_id=template.pad_id)
                shares = torch.softmax(logits.double(), dim=-1).tolist()
                record = {"probabilities": shares, "wall_s": time.perf_counter() - began}
                write_bytes(path, orjson.dumps(record))
            n_done += len(batch)
            emit("progress", done=n_done, total=len(texts), unit="text")
    records = [orjson.loads((finished / f"{i:06d}.json").read_bytes()) for i in range(len(batches))]
    found: dict[int, dict[str, Any]] = {}
    for batch, record in zip(batches, records, strict=True):
        for text, shares in zip(batch, record["probabilities"], strict=True):
            found[text.place] = {
                "id": text.id,
                "probabilities": shares,
                "n_tokens": len(text.input_ids),
                "is_cut": text.is_cut,
            }
    lines = (orjson.dumps(found[n], option=orjson.OPT_APPEND_NEWLINE) for n in range(len(texts)))
    (Path(job.output) / "predictions.jsonl").write_bytes(b"".join(lines))
    wall_s = sum(record["wall_s"] for record in records)
    return {
        "n_texts": len(texts),
        "n_cut": sum(text.is_cut for text in texts),
        "measurements": {
            "wall_s": wall_s,
            "texts_per_s": len(texts) / wall_s,
            "peak_memory_bytes": peak_memory_bytes(checkpoint.device),
        },
    }


def _read(template: TextTemplate, job: PredictJob) -> Sequence[_Text]:
    texts = []
    for place, text in enumerate(read_dialogues(job.texts)):
        ids = template.encode(text.messages).input_ids
        kept = fitted(template, ids, max_length=job.max_length)
        texts.append(_Text(place, text.id, tuple(kept), len(kept) < len(ids)))
    if not texts:
        raise DataError(f"{job.texts} holds no text to sort")
    return texts
