"""Count the tokens of dialogues under a model's own tokenizer and template."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from qingting.engines.native.batches import read_dialogues
from qingting.engines.protocol import Emit, MeasureJob
from qingting.models.templates import load_template


def measure(job: MeasureJob, emit: Emit) -> dict[str, Any]:
    """Write ``lengths.jsonl``: the tokens of each dialogue up to the end of each message."""
    template = load_template(Path(job.checkpoint), job.task)
    n_dialogues = n_tokens = 0
    with (Path(job.output) / "lengths.jsonl").open("wb") as output:
        for path in job.dialogues:
            for dialogue in read_dialogues(path):
                ends = template.encode(dialogue.messages).message_ends
                record = {"id": dialogue.id, "message_ends": ends}
                output.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
                n_dialogues += 1
                n_tokens += ends[-1] if ends else 0
            emit("progress", done=n_dialogues, total=None, unit="dialogue")
    return {
        "n_dialogues": n_dialogues,
        "n_tokens": n_tokens,
        "deviations": list(template.deviations),
    }
