"""``qingting judge``: studies in which people judge answers blind."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from qingting.cli import (
    judge_analyse,
    judge_converse,
    judge_demo,
    judge_exclude,
    judge_import,
    judge_owner,
    judge_serve,
)
from qingting.cli.judge_options import (
    AsJson,
    DatabaseOption,
    StudyOption,
    opened,
    place_of_run,
    refuse_withdrawn,
    snapshots_folder,
)
from qingting.cli.output import print_json

app = typer.Typer(no_args_is_help=True)
app.command("converse")(judge_converse.converse)
app.command("serve")(judge_serve.serve)
app.command("analyse")(judge_analyse.analyse)
app.command("import")(judge_import.import_judgments)
app.command("exclude")(judge_exclude.exclude)
app.command("demo")(judge_demo.demo)
app.add_typer(judge_owner.app, name="owner", help="Add owners; make links that sign in once.")


@app.command("create")
def create(
    spec: Annotated[
        Path | None,
        typer.Argument(
            help="YAML file of the study. [default: `judging` of the run's experiment]",
            show_default=False,
        ),
    ] = None,
    answers: Annotated[
        Path | None,
        typer.Option(help="CSV or JSON Lines: arm, scenario, language, answer."),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(help="Work folder of a run: judge its answers to the held-out prompts."),
    ] = None,
    endpoint: Annotated[
        list[str] | None,
        typer.Option(help="ARM=URL[#MODEL] of an OpenAI-compatible server, for live talks."),
    ] = None,
    complete_only: Annotated[
        bool,
        typer.Option("--complete-only", help="Leave out items that some arm did not answer."),
    ] = False,
    open_now: Annotated[bool, typer.Option("--open", help="Open the study at once.")] = False,
    database: DatabaseOption = None,
    as_json: AsJson = False,
) -> None:
    """Make a study from its file and the answers to judge, and show the work it takes.

    Without a file of its own, the study of an experiment with `judging` is found in the run's
    folder, where `qingting run` made it.
    """
    import json

    from qingting.domains.judging_pack import load_judging_pack
    from qingting.judging.answers import (
        answers_of_run,
        arms_of_run,
        complete_items,
        read_answers,
    )
    from qingting.judging.campaigns import change_state, create_campaign, load_campaign
    from qingting.judging.endpoints import parse_endpoints
    from qingting.judging.run_studies import create_once
    from qingting.judging.tokens import now_ms
    from qingting.spec.judging import CampaignSpec

    if answers is None and run is None and not endpoint:
        raise typer.BadParameter("name the answers to judge: --answers FILE or --run FOLDER")
    if answers is not None and run is not None and spec is not None:
        raise typer.BadParameter("--answers and --run both hold answers; name one of them")
    # answers from a file beside a run: conversations that its arms held, for its own study
    given = read_answers(answers) if answers else answers_of_run(run).answers if run else ()
    of_run = arms_of_run(run)[1] if run else None
    if spec is not None:
        wanted = load_campaign(spec)
    elif of_run is not None:
        wanted = CampaignSpec.model_validate_json(json.dumps(of_run))
    else:
        raise typer.BadParameter(
            "name the file of the study; only a run whose experiment has `judging` knows its own"
        )
    n_left_out = 0
    if complete_only:
        given, n_left_out = complete_items(given)
    pack, endpoints = load_judging_pack(wanted.domain), parse_endpoints(endpoint or [])
    is_of_run = spec is None and run is not None
    if is_of_run and run is not None and database is None:
        database = place_of_run(run, None).database
    with opened(database, create=True) as base, base.writing() as session:
        at_ms = now_ms()
        made = (
            create_once(session, wanted, pack, given, at_ms=at_ms)
            if is_of_run and not endpoints
            else create_campaign(
                session, wanted, pack, given, at_ms=at_ms, actor="command", endpoints=endpoints
            )
        )
        if open_now:
            change_state(session, made.campaign, "open", at_ms=now_ms(), actor="command")
        record = _created_record(made, n_left_out=n_left_out)
    if as_json:
        print_json(record)
    else:
        _show_created(record)


def _created_record(made: Any, *, n_left_out: int) -> dict[str, Any]:
    campaign = made.campaign
    return {
        "study": campaign.name,
        "id": campaign.public_id,
        "mode": campaign.mode,
        "state": campaign.state,
        "is_new": made.is_new,
        "registered_digest": campaign.registered_digest,
        "n_items": made.n_items,
        "n_units": made.n_units,
        "n_judgments": made.n_judgments,
        "n_hours": round(made.n_hours, 2),
        "n_judgments_per_rater": made.n_judgments_per_rater,
        "n_masked_names": made.n_masked,
        "n_items_left_out": n_left_out,
        "warnings": list(made.warnings),
    }


def _show_created(record: dict[str, Any]) -> None:
    stands = "" if record["is_new"] else "; it stood here already"
    typer.echo(f"study {record['study']} ({record['mode']}), {record['state']}{stands}")
    typer.echo(
        f"  {record['n_items']} items, {record['n_units']} units; about "
        f"{record['n_judgments']} judgments, {record['n_judgments_per_rater']} a rater, "
        f"{record['n_hours']:.1f} hours of people's time in all"
    )
    typer.echo(f"  names of models masked in the answers: {record['n_masked_names']}")
    if record["n_items_left_out"]:
        typer.echo(f"  items left out, not answered by every arm: {record['n_items_left_out']}")
    typer.echo(f"  fixed in advance: sha256 {record['registered_digest']}")
    for warning in record["warnings"]:
        typer.echo(f"  note: {warning}")
    if record["state"] == "draft":
        typer.echo("next: qingting judge open, qingting judge invite, qingting judge serve")


def _set_state(state: str, study: str | None, database: str | None, *, as_json: bool) -> None:
    from qingting.judging.campaigns import change_state, find_campaign
    from qingting.judging.tokens import now_ms

    with opened(database) as base, base.writing() as session:
        campaign = find_campaign(session, study)
        change_state(session, campaign, state, at_ms=now_ms(), actor="command")
        record = {"study": campaign.name, "state": campaign.state}
    if as_json:
        print_json(record)
    else:
        typer.echo(f"study {record['study']}: {record['state']}")


@app.command("open")
def open_study(
    study: StudyOption = None, database: DatabaseOption = None, as_json: AsJson = False
) -> None:
    """Open a study to its raters, or open it again after a pause."""
    _set_state("open", study, database, as_json=as_json)


@app.command("pause")
def pause(
    study: StudyOption = None, database: DatabaseOption = None, as_json: AsJson = False
) -> None:
    """Pause a study; raters keep what they did."""
    _set_state("paused", study, database, as_json=as_json)


@app.command("close")
def close(
    study: StudyOption = None, database: DatabaseOption = None, as_json: AsJson = False
) -> None:
    """Close a study for good."""
    _set_state("closed", study, database, as_json=as_json)


@app.command("invite")
def invite(
    credential: Annotated[str, typer.Option(help="licensed, trainee, researcher or lay.")],
    language: Annotated[str, typer.Option(help="zh or en.")] = "zh",
    role: Annotated[str, typer.Option(help="rater or expert.")] = "rater",
    name: Annotated[
        str | None, typer.Option(help="Kept in a table of its own and never exported.")
    ] = None,
    contact: Annotated[str | None, typer.Option(help="Kept beside the name.")] = None,
    days: Annotated[float, typer.Option(min=0.01, max=365.0, help="How long it is valid.")] = 14.0,
    n: Annotated[int, typer.Option(min=1, max=500, help="How many invitations to make.")] = 1,
    url: Annotated[
        str, typer.Option(help="Address that people reach the server by.")
    ] = "http://127.0.0.1:8080",
    study: StudyOption = None,
    database: DatabaseOption = None,
    as_json: AsJson = False,
) -> None:
    """Make invitation links; each is shown this once, only its hash is kept."""
    from qingting.judging.campaigns import find_campaign
    from qingting.judging.people import Guest, invite
    from qingting.judging.tokens import now_ms

    if n > 1 and name is not None:
        raise typer.BadParameter("--name names one person; make invitations with names one by one")
    guest = Guest(credential, language, role, name, contact)  # type: ignore[arg-type]  # checked
    rows = []
    with opened(database) as base, base.writing() as session:
        campaign = find_campaign(session, study)
        for _ in range(n):
            made = invite(session, campaign, guest, days=days, at_ms=now_ms(), actor="command")
            link = f"{url.rstrip('/')}/j/{made.secret}"
            rows.append(
                {"link": link, "rater": made.rater_public_id, "expires_ms": made.expires_ms}
            )
    if as_json:
        print_json(rows)
    else:
        for row in rows:
            typer.echo(row["link"])


@app.command("status")
def status(
    study: StudyOption = None, database: DatabaseOption = None, as_json: AsJson = False
) -> None:
    """Show how a study stands; exit 3 while it waits for people."""
    from dataclasses import asdict

    from qingting.judging.campaigns import find_campaign
    from qingting.judging.overview import overview_of
    from qingting.judging.tokens import now_ms

    with opened(database) as base, base.reading() as session:
        campaign = find_campaign(session, study)
        overview = overview_of(session, campaign, at_ms=now_ms())
    if as_json:
        record = asdict(overview)
        for row in record["raters"]:
            del row["name"]
        print_json(record)
    else:
        _show_overview(overview)
    if overview.state in ("draft", "open", "paused") and overview.n_done < overview.n_wanted:
        raise typer.Exit(3)


def _show_overview(overview: Any) -> None:
    typer.echo(
        f"study {overview.study} ({overview.mode}), {overview.state}: "
        f"{overview.n_done} of {overview.n_wanted} judgments"
    )
    for part in overview.coverage:
        typer.echo(
            f"  {part.language} {part.kind}: {part.n_covered} of {part.n_units} units complete, "
            f"{part.n_done} of {part.n_wanted} judgments, {part.n_held} in progress"
        )
    for row in overview.raters:
        median_s = "" if row.median_s is None else f", median {row.median_s:.0f} s"
        typer.echo(
            f"  rater {row.pseudonym[:8]} ({row.credential}, {row.language}): {row.status}, "
            f"{row.n_done} judged, {row.n_skipped} skipped{median_s}"
        )


@app.command("freeze")
def freeze(
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder that holds snapshots. [default: snapshots/ beside the database]",
            show_default=False,
        ),
    ] = None,
    study: StudyOption = None,
    database: DatabaseOption = None,
    as_json: AsJson = False,
) -> None:
    """Write an immutable snapshot of the judgments; analysis and export read nothing else."""
    from qingting.judging.campaigns import find_campaign
    from qingting.judging.snapshot import freeze as freeze_study
    from qingting.judging.tokens import now_ms

    with opened(database) as base:
        with base.reading() as session:
            campaign_id = find_campaign(session, study).id
        into = snapshots_folder(out, database)
        frozen = freeze_study(base, campaign_id, into=into, at_ms=now_ms(), actor="command")
    record = {
        "digest": frozen.digest,
        "folder": str(frozen.folder),
        "n_judgments": frozen.n_judgments,
        "n_raters": frozen.n_raters,
        "is_new": frozen.is_new,
    }
    if as_json:
        print_json(record)
        return
    what = "snapshot" if frozen.is_new else "nothing new since snapshot"
    typer.echo(f"{what} {frozen.folder}")
    typer.echo(f"  {frozen.n_judgments} judgments of {frozen.n_raters} raters")


@app.command("export")
def export(
    snapshot: Annotated[Path, typer.Argument(help="Folder of a snapshot.")],
    out: Annotated[Path, typer.Argument(help="File to write: .csv, .parquet or .jsonl.")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    database: DatabaseOption = None,
    as_json: AsJson = False,
) -> None:
    """Export the judgments of a snapshot as one flat table; refuses what is superseded."""
    from qingting.judging.export import table_of, write_table
    from qingting.judging.snapshot import read_snapshot

    if out.exists() and not force:
        raise typer.BadParameter(f"{out} exists; name another file or add --force")
    refuse_withdrawn(snapshot, database)
    data = read_snapshot(snapshot)
    n_rows = write_table(out, table_of(data))
    if as_json:
        print_json({"file": str(out), "n_judgments": n_rows})
    else:
        typer.echo(f"{out}: {n_rows} judgments")


@app.command("backup")
def backup(
    out: Annotated[Path, typer.Argument(help="File to write the copy to.")],
    database: DatabaseOption = None,
    as_json: AsJson = False,
) -> None:
    """Copy a database while it is served; a plain copy of the file would lack the newest judgments."""
    if out.exists():
        raise typer.BadParameter(f"{out} exists; name another file")
    with opened(database) as base:
        base.backup(out)
    if as_json:
        print_json({"file": str(out), "n_bytes": out.stat().st_size})
    else:
        typer.echo(f"{out}: the whole database, as it was now")


@app.command("erase")
def erase(
    rater: Annotated[str, typer.Argument(help="Pseudonym, or its first 8 characters.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    study: StudyOption = None,
    database: DatabaseOption = None,
    as_json: AsJson = False,
) -> None:
    """Erase a rater's data; snapshots that hold them are superseded. Cannot be undone."""
    from qingting.judging.campaigns import find_campaign
    from qingting.judging.people import erase as erase_rater
    from qingting.judging.people import find_rater
    from qingting.judging.snapshot import mark_superseded
    from qingting.judging.tokens import now_ms

    if not yes and not typer.confirm(f"Erase everything of rater {rater}?"):
        raise typer.Exit(1)
    with opened(database) as base:
        with base.writing() as session:
            campaign = find_campaign(session, study)
            found = find_rater(session, campaign, rater)
            n_erased = erase_rater(session, campaign, found, at_ms=now_ms(), actor="command")
        n_marked = mark_superseded(base)
    record = {"n_judgments_erased": n_erased, "n_snapshots_superseded": n_marked}
    if as_json:
        print_json(record)
    else:
        typer.echo(f"{n_erased} judgments erased; {n_marked} snapshots superseded")
