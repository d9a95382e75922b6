"""``qingting judge analyse``: what a snapshot of judgments says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    from qingting.report.judging_files import analysis_record
    from qingting.report.judging_words import study_markdown

    if database is not None:
        with opened(database) as base:
            refuse_superseded(base, snapshot.resolve().name)
    if out is not None:
        result = write_analysis(snapshot, out, seed=seed, force=force)
    else:
        data = read_snapshot(snapshot)
        result = analyse_study(data, digest=snapshot.resolve().name, seed=seed)
    record = analysis_record(result)
    if as_json:
        print_json(record)
    else:
        typer.echo(study_markdown(result, language="en").split("\n## ")[0].strip())
        if out is not None:
            typer.echo(f"\nthe whole analysis: {out / 'human_judge_analysis.md'}")


def write_analysis(snapshot: Path, out: Path, *, seed: int, force: bool) -> StudyAnalysis:
    """Write the words in both languages and the figures into a folder; return the analysis.

    Raises:
        StoreError: one of the files exists and ``force`` is not set.
    """
    from qingting.core.errors import StoreError
    from qingting.judging.analysis import analyse as analyse_study
    from qingting.judging.snapshot import read_snapshot
    from qingting.report.file_names import NAMES
    from qingting.report.judging_files import analysis_files
    from qingting.store.atomic import write_bytes

    taken = [name for name in NAMES if (out / name).exists()]
    if taken and not force:
        raise StoreError(f"{out / taken[0]} exists; overwrite it with --force")
    data = read_snapshot(snapshot)
    result = analyse_study(data, digest=snapshot.resolve().name, seed=seed)
    for name, content in analysis_files(result).items():
        write_bytes(out / name, content)
    return result
