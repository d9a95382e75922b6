"""Putting the newest report where people look for it."""

from __future__ import annotations

from pathlib import Path

from qingting.execution.runner import RunResult
from qingting.report.file_names import NAMES, PAGE, WORDS
from qingting.store.atomic import storage_errors, write_bytes

PUBLISHED = {
    "report": "report/index.html",
    "comparison": "report/performance_comparison.md",
    "results": "results.json",
}
_SHOWN_OF_A_STUDY = {"judging": f"report/{WORDS}", "judging_page": f"report/{PAGE}"}


def publish(result: RunResult, work: Path) -> dict[str, Path]:
    """Copy the report out of its artifact into the work folder; return what is there now.

    What an earlier report said of people's judgments and this one does not is removed: they may
    have been withdrawn.
    """
    artifact = result.artifacts.get("report")
    if artifact is None:
        return {}
    published = {}
    with storage_errors(work):
        for name, relative in PUBLISHED.items():
            write_bytes(work / relative, (artifact / relative).read_bytes())
            published[name] = work / relative
        for name in NAMES:
            made, shown = artifact / f"report/{name}", work / "report" / name
            if made.is_file():
                write_bytes(shown, made.read_bytes())
            else:
                shown.unlink(missing_ok=True)
        for name, relative in _SHOWN_OF_A_STUDY.items():
            if (work / relative).is_file():
                published[name] = work / relative
    return published
