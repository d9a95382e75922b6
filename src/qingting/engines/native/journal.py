"""The log of a training run: what happened, and apart from it how long it took.

``log.jsonl`` and ``samples.jsonl`` are the same bytes for the same job, killed or not;
``timing.jsonl`` holds what differs between runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson


@dataclass
class Journal:
    """Rows of the log so far, and the loss summed since the last of them."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    timings: list[dict[str, Any]] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    nats: float = 0.0
    n_targets: int = 0

    def add(self, nats: float, n_targets: int) -> None:
        """Count the summed loss of one step."""
        self.nats += nats
        self.n_targets += n_targets

    def add_sample(self, step: int, prompt_id: str, text: str) -> None:
        """Keep an answer that the model gave after ``step`` updates."""
        self.samples.append({"step": step, "id": prompt_id, "text": text})

    @property
    def mean_loss(self) -> float:
        """Return the loss in nats per target over the steps since the last row."""
        return self.nats / max(1, self.n_targets)

    def log(self, row: dict[str, Any], timing: dict[str, Any]) -> dict[str, Any]:
        """Append a row and return it; its loss is the mean over the steps since the last row."""
        row = {"step": row["step"], "loss": self.mean_loss} | row
        self.rows.append(row)
        self.timings.append(timing)
        self.nats, self.n_targets = 0.0, 0
        return row

    def write(self, folder: Path) -> None:
        """Write ``log.jsonl``, ``timing.jsonl`` and ``samples.jsonl``."""
        for name, rows in (
            ("log", self.rows),
            ("timing", self.timings),
            ("samples", self.samples),
        ):
            lines = (orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)
            (folder / f"{name}.jsonl").write_bytes(b"".join(lines))

    def to_record(self) -> dict[str, Any]:
        """Return the plain JSON form; ``from_record`` reads it back."""
        return dict(vars(self))

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Journal:
        """Return the journal that ``to_record`` wrote."""
        return cls(**record)
