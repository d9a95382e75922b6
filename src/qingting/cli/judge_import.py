"""``qingting judge import``: judgments that were made elsewhere, into a study."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qingting.cli.judge_options import AsJson, DatabaseOption, StudyOption, opened
from qingting.cli.output import print_json, show_problems

if TYPE_CHECKING:
    from qingting.judging.importing.planning import Plan
    from qingting.judging.importing.writing import Imported


def import_judgments(
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV, TSV, JSON Lines, or an export of Label Studio or Argilla (JSON)."
        ),
    ],
    mapping: Annotated[
        Path | None,
        typer.Option(
            help="YAML: which column or question is what, and what labels mean. "
            "[default: the study's own names]",
            show_default=False,
        ),
    ] = None,
    consent_version: Annotated[
        str | None,
        typer.Option(help="Version of the study's own consent text, which the raters agreed to."),
    ] = None,
    consent_elsewhere: Annotated[
        bool,
        typer.Option(
            "--consent-elsewhere", help="The raters agreed to another text; you answer for it."
        ),
    ] = False,
    credential: Annotated[
        str | None,
        typer.Option(help="licensed, trainee, researcher or lay, where the file does not tell."),
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Import the rest where rows cannot be used.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would happen; write nothing.")
    ] = False,
    quarantine: Annotated[
        Path | None,
        typer.Option(
            help="Where rows go that cannot be used. [default: FILE.quarantine.jsonl]",
            show_default=False,
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an earlier quarantine file.")
    ] = False,
    study: StudyOption = None,
    database: DatabaseOption = None,
    as_json: AsJson = False,
) -> None:
    """Import judgments made elsewhere; importing the same file again adds nothing.

    Every row passes the form that the study's pages use and takes a place of its unit. Nothing is
    written while a row cannot be used, unless --skip-bad says so; such rows are named and go to
    the quarantine file, which may hold people's words. Names of raters are kept apart.
    """
    from qingting.data.output import refuse_to_overwrite
    from qingting.judging.campaigns import find_campaign
    from qingting.judging.importing.planning import plan_import
    from qingting.judging.importing.reading import read_source
    from qingting.judging.importing.writing import Imported, consent_of, write_import
    from qingting.judging.tokens import now_ms
    from qingting.spec.judgment_import import ImportMapping
    from qingting.spec.load import read_yaml, validated

    rejects = quarantine or file.with_name(f"{file.name}.quarantine.jsonl")
    if not dry_run:
        refuse_to_overwrite(rejects, force=force)
    wanted = validated(read_yaml(mapping), ImportMapping) if mapping else ImportMapping()
    _check_credential(credential)
    source = read_source(file)
    written = Imported(0, 0)
    with opened(database) as base, base.reading() if dry_run else base.writing() as session:
        campaign = find_campaign(session, study)
        if not dry_run:  # a second import of the same study waits
            session.refresh(campaign, with_for_update=True)
        consent = consent_of(campaign, version=consent_version, is_elsewhere=consent_elsewhere)
        plan = plan_import(session, campaign, source, wanted, at_ms=now_ms(), credential=credential)
        if plan.refused and not dry_run:
            _set_aside(plan, rejects, force=force)
        if not dry_run and (skip_bad or not plan.refused):
            written = write_import(
                session, campaign, plan, consent=consent, at_ms=now_ms(), actor="command"
            )
        record = _record(campaign.name, plan, written, rejects, is_dry=dry_run)
    _tell(plan, record, as_json=as_json)
    if plan.refused and not (skip_bad and not dry_run):
        raise typer.Exit(2)


def _check_credential(credential: str | None) -> None:
    from typing import get_args

    from qingting.core.errors import did_you_mean
    from qingting.spec.judgment_import import Credential

    known = get_args(Credential)
    if credential is not None and credential not in known:
        raise typer.BadParameter(
            f"--credential {credential!r}: one of {', '.join(known)}."
            f"{did_you_mean(credential, known)}"
        )


def _set_aside(plan: Plan, path: Path, *, force: bool) -> None:
    """Write the rows that cannot be used; only their owner may read them."""
    from qingting.data.output import record_file
    from qingting.judging.importing.quarantine import quarantine_entry

    with record_file(path, force=force, is_private=True) as rows:
        for one in plan.refused:
            rows.write(quarantine_entry(one))


def _record(
    study: str, plan: Plan, written: Imported, rejects: Path, *, is_dry: bool
) -> dict[str, Any]:
    return {
        "study": study,
        "file": plan.source.name,
        "format": plan.source.format,
        "is_dry_run": is_dry,
        "n_rows": len(plan.source.rows),
        "n_fit": len(plan.ready),
        "n_imported": written.n_judgments,
        "n_raters_new": written.n_raters_new,
        "n_already_there": plan.n_known,
        "n_refused": len(plan.refused),
        "set_aside": dict(plan.source.set_aside),
        "quarantine": str(rejects) if plan.refused and not is_dry else None,
        "problems": [
            {"place": one.row.place, "problems": list(one.problems)} for one in plan.refused
        ],
    }


def _tell(plan: Plan, record: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(record)
        return
    show_problems([f"{one.row.place}: {'; '.join(one.problems)}" for one in plan.refused])
    typer.echo(
        f"{record['file']} ({record['format']}): {record['n_rows']} rows, {record['n_fit']} fit, "
        f"{record['n_already_there']} are in the study already, {record['n_refused']} cannot be "
        "used"
    )
    for what, n in record["set_aside"].items():
        typer.echo(f"  no judgments, left out: {n} {what}")
    if record["quarantine"]:
        typer.echo(f"  rows that cannot be used: {record['quarantine']}")
    if record["is_dry_run"]:
        typer.echo("  a dry run: nothing was written")
    elif record["n_refused"] and not record["n_imported"]:
        typer.echo("  nothing was imported; mend these rows, or leave them out with --skip-bad")
    else:
        typer.echo(
            f"  {record['n_imported']} judgments imported into {record['study']}, "
            f"{record['n_raters_new']} new raters"
        )
