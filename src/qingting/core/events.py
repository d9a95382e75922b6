"""What a run says while it works: typed events, one JSON line each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

EventName = Literal[
    "run_started",
    "stage_cached",
    "stage_started",
    "stage_finished",
    "stage_failed",
    "stage_skipped",
    "stage_waiting",
    "run_finished",
    "resolved",
    "progress",
    "logged",
    "sample",
    "note",
]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened; ``stage`` is the stage's id, empty for the run as a whole."""

    name: EventName
    stage: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)

    def to_record(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"event": self.name, "stage": self.stage, **self.fields}


Listener = Callable[[Event], None]
"""Receives events as they happen; called from any thread."""
