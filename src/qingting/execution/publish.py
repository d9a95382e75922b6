"""Putting the newest report where people look for it."""

from __future__ import annotations

from pathlib import Path

from qingting.execution.runner import RunResult
from qingting.store.atomic import storage_errors, write_bytes

PUBLISHED = {
    "report": "report/index.html",
    "comparison": "report/performance_comparison.md",
    "results": "results.json",
}


def publish(result: RunResult, work: Path) -> dict[str, Path]:
    """Copy the report out of its artifact into the work folder; return what is there now."""
    artifact = result.artifacts.get("report")
    if artifact is None:
        return {}
    published = {}
    with storage_errors(work):
        for name, relative in PUBLISHED.items():
            write_bytes(work / relative, (artifact / relative).read_bytes())
            published[name] = work / relative
    return published
