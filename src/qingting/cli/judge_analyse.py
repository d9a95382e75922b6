"""``qingting judge analyse``: what a snapshot of judgments says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qingting.cli.judge_options import AsJson, DatabaseOption, refuse_withdrawn
from qingting.cli.output import print_json


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

    The live database is never analysed; a snapshot that it knows as superseded is refused. Raters are left out by the rules that were registered with the study.
    """
    from qingting.judging.analysis import analyse as analyse_study
    from qingting.judging.snapshot import digest_in, read_snapshot
    from qingting.report.judging_files import analysis_record, write_analysis
    from qingting.report.judging_words import first_page

    refuse_withdrawn(snapshot, database)
    if out is not None:
        result = write_analysis(snapshot, out, seed=seed, force=force)
    else:
        data = read_snapshot(snapshot)
        result = analyse_study(data, digest=digest_in(snapshot), seed=seed)
    record = analysis_record(result)
    if as_json:
        print_json(record)
    else:
        typer.echo(first_page(result, language="en").strip())
        if out is not None:
            typer.echo(f"\nthe whole analysis: {out / 'human_judge_analysis.md'}")
