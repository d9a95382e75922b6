"""Progress: a live table of arms on a terminal, plain lines elsewhere; every event in a file."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import orjson
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from qingting.core.events import Event, Listener
from qingting.planning.build import Blueprint
from qingting.store.atomic import storage_errors

_EXPERIMENT = "experiment"
_PLAIN_EVERY_S = 10.0


@dataclass(slots=True)
class _Row:
    """What one arm (or what all arms share) is doing."""

    n_stages: int = 0
    n_done: int = 0
    stage: str = ""
    state: str = "waiting"
    done: float = 0.0
    total: float = 0.0
    began: float = 0.0
    loss: float | None = None
    tokens_per_s: float | None = None
    running: dict[str, float] = field(default_factory=dict)


class Board:
    """The state of a run, kept from its events."""

    def __init__(self, blueprint: Blueprint) -> None:
        self._row_of = {stage.id: stage.arm or _EXPERIMENT for stage in blueprint.stages}
        self._kind_of = {stage.id: stage.kind for stage in blueprint.stages}
        self.rows: dict[str, _Row] = {_EXPERIMENT: _Row()}
        for stage in blueprint.stages:
            self.rows.setdefault(self._row_of[stage.id], _Row()).n_stages += 1
        self.began = time.monotonic()
        self.n_stages = len(blueprint.stages)

    @property
    def n_done(self) -> int:
        """Return how many stages are settled."""
        return sum(row.n_done for row in self.rows.values())

    def take(self, event: Event) -> None:
        """Note what an event says."""
        if event.stage not in self._row_of:
            return
        row = self.rows[self._row_of[event.stage]]
        if event.name == "stage_started":
            row.stage, row.state = self._kind_of[event.stage], "running"
            row.done = row.total = 0.0
            row.began = time.monotonic()
            row.tokens_per_s = None
        elif event.name == "progress":
            row.done = float(event.fields.get("done") or 0.0)
            row.total = float(event.fields.get("total") or 0.0)
            row.loss = event.fields.get("loss", row.loss)
            row.tokens_per_s = event.fields.get("tokens_per_s", row.tokens_per_s)
        elif event.name in ("stage_finished", "stage_cached"):
            row.n_done += 1
            row.state = "done" if row.n_done == row.n_stages else "waiting"
        elif event.name in ("stage_failed", "stage_skipped"):
            row.n_done += 1
            row.state = "failed"
        elif event.name == "stage_waiting":
            row.n_done += 1
            row.state = "waits for people"

    def seconds_left(self, row: _Row) -> float | None:
        """Return the time left of a row's running stage, from its own pace."""
        if row.state != "running" or row.done <= 0 or row.total <= 0:
            return None
        return (time.monotonic() - row.began) * (row.total - row.done) / row.done

    def __rich__(self) -> Group:
        table = Table(box=None, padding=(0, 1), header_style="dim")
        for name in ("arm", "stage", "", "loss", "tokens/s", "left"):
            table.add_column(
                name, justify="right" if name in ("loss", "tokens/s", "left") else "left"
            )
        for name, row in self.rows.items():
            left = self.seconds_left(row)
            style = {"failed": "red", "done": "green", "running": "bold"}.get(row.state, "dim")
            running = row.state == "running"
            table.add_row(
                Text(name, style),
                row.stage if running else row.state,
                ProgressBar(row.total or 1.0, row.done, width=18)
                if running
                else f"{row.n_done}/{row.n_stages}",
                f"{row.loss:.3f}" if row.loss is not None else "",
                f"{row.tokens_per_s:,.0f}" if running and row.tokens_per_s else "",
                _clock(left) if left is not None else "",
            )
        elapsed = _clock(time.monotonic() - self.began)
        return Group(table, Text(f"{self.n_done} of {self.n_stages} stages, {elapsed}", "dim"))


@contextmanager
def progress_listener(blueprint: Blueprint, work: Path) -> Iterator[Listener]:
    """Yield a listener that shows a run and keeps its events in ``events.jsonl``."""
    board, lock = Board(blueprint), Lock()
    console = Console(stderr=True)
    live = Live(board, console=console, refresh_per_second=4) if console.is_terminal else None
    last_line: dict[str, float] = {}
    with (work / "events.jsonl").open("ab", buffering=0) as log:

        def listen(event: Event) -> None:
            with lock:
                board.take(event)
                with storage_errors(work):
                    log.write(orjson.dumps(_kept(event), default=str) + b"\n")
                line = _line(event, board, last_line)
            if live is not None:
                if event.name in ("stage_failed", "note"):
                    console.print(Text(_words(event)))
            elif line:
                print(line, file=sys.stderr, flush=True)

        if live is None:
            yield listen
        else:
            with live:
                yield listen


def _kept(event: Event) -> dict[str, Any]:
    """Return what the event file holds: all but the words of a sample, which its artifact has."""
    record = event.to_record()
    if event.name == "sample":
        record.pop("text", None)
    return record


def _line(event: Event, board: Board, last_line: dict[str, float]) -> str:
    """Return the plain line for an event, or nothing; progress speaks every few seconds."""
    if event.name in ("resolved", "logged", "sample", "stage_skipped"):
        return ""
    if event.name == "progress":
        now = time.monotonic()
        if now - last_line.setdefault(event.stage, now) < _PLAIN_EVERY_S:
            return ""
        last_line[event.stage] = now
    counter = f"[{board.n_done}/{board.n_stages}] " if event.stage else ""
    return f"{_clock(time.monotonic() - board.began)} {counter}{_words(event)}"


def _words(event: Event) -> str:
    fields = event.fields
    match event.name:
        case "run_started":
            return f"{fields['n_stages']} stages"
        case "run_finished":
            said = f"finished: {fields['n_run']} stages run, {fields['n_cached']} cached"
            if fields["n_failed"]:
                said += (
                    f", {fields['n_failed']} failed, {fields['n_skipped']} skipped because of them"
                )
            if fields["n_waiting"]:
                said += f", {fields['n_waiting']} waiting for people"
            return said
        case "stage_cached":
            return f"{event.stage}: cached"
        case "stage_started":
            return f"{event.stage}: started"
        case "stage_finished":
            return f"{event.stage}: done in {fields['wall_s']:.1f} s"
        case "stage_waiting":
            return f"{event.stage}: waiting for people"
        case "stage_failed":
            return f"{event.stage}: FAILED: {fields['reason']}"
        case "progress":
            total = f"/{fields['total']}" if fields.get("total") else ""
            parts = [f"{fields.get('done')}{total} {fields.get('unit', '')}".strip()]
            if isinstance(fields.get("loss"), float):
                parts.append(f"loss {fields['loss']:.3f}")
            if isinstance(fields.get("tokens_per_s"), float):
                parts.append(f"{fields['tokens_per_s']:,.0f} tokens/s")
            return f"{event.stage}: {', '.join(parts)}"
        case _:
            return f"{event.stage}: {fields.get('message', event.name)}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
