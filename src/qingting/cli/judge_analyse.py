"""``qingting judge analyse``: what a snapshot of judgments says."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qingting.cli.judge_options import AsJson, DatabaseOption, opened
from qingting.cli.output import print_json

if TYPE_CHECKING:
    from qingting.judging.analysis import StudyAnalysis


def analyse(
    snapshot: Annotated[Path, typer.Argument(help="Folder of a snapshot.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for human_judge_analysis.md, .zh.md, .html and .json."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of bootstraps.", min=0)] = 7,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the files.")] = False,
    database: DatabaseOption = None,
    as_json: AsJson = False,
) -> None:
    """Analyse a snapshot: ratings or ranking, safety, agreement, blinding, and the decision.

    The live database is never analysed; with --database a snapshot that was superseded there is
    refused. Raters are left out by the rules that were registered with the study.
    """
    from qingting.judging.analysis import analyse as analyse_study
    from qingting.judging.snapshot import read_snapshot, refuse_superseded
    from qingting.report.judging_words import first_page

    if database is not None:
        with opened(database) as base:
            refuse_superseded(base, snapshot.resolve().name)
    if out is not None:
        result = write_analysis(snapshot, out, seed=seed, force=force)
    else:
        data = read_snapshot(snapshot)
        result = analyse_study(data, digest=snapshot.resolve().name, seed=seed)
    record = _plain(result)
    if as_json:
        print_json(record)
    else:
        typer.echo(first_page(result, language="en").strip())
        if out is not None:
            typer.echo(f"\nthe whole analysis: {out / 'human_judge_analysis.md'}")


def write_analysis(snapshot: Path, out: Path, *, seed: int, force: bool) -> StudyAnalysis:
    """Write the words in both languages, a page of them and the figures; return the analysis.

    Raises:
        StoreError: one of the files exists and ``force`` is not set.
    """
    import json

    from qingting.core.errors import StoreError
    from qingting.judging.analysis import analyse as analyse_study
    from qingting.judging.snapshot import read_snapshot
    from qingting.report.judging_words import study_html, study_markdown
    from qingting.store.atomic import write_bytes

    names = [f"human_judge_analysis.{kind}" for kind in ("md", "zh.md", "html", "json")]
    taken = [name for name in names if (out / name).exists()]
    if taken and not force:
        raise StoreError(f"{out / taken[0]} exists; overwrite it with --force")
    data = read_snapshot(snapshot)
    result = analyse_study(data, digest=snapshot.resolve().name, seed=seed)
    texts = (
        study_markdown(result, language="en"),
        study_markdown(result, language="zh"),
        study_html(result),
        json.dumps(_plain(result), ensure_ascii=False, indent=2) + "\n",
    )
    for name, text in zip(names, texts, strict=True):
        write_bytes(out / name, text.encode())
    return result


def _plain(value: Any) -> Any:
    """Return a result as JSON values; what is missing says why."""
    import numpy as np

    if hasattr(value, "to_record"):
        return _plain(value.to_record())
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, dict) or hasattr(value, "items"):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value
