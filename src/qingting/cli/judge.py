"""``qingting judge``: studies in which people judge answers blind."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import typer

from qingting.cli.output import print_json

app = typer.Typer(no_args_is_help=True)

DATABASE_VARIABLE = "QINGTING_DATABASE"
_DEFAULT_DATABASE = "judging/judging.db"

Database = typer.Option(
    None,
    "--database",
    help=f"File (SQLite) or postgresql:// address; by default ${DATABASE_VARIABLE}, else "
    f"{_DEFAULT_DATABASE}. Keep passwords in the variable.",
)
Study = typer.Option(None, "--study", help="Name of the study, where the database holds several.")
AsJson = typer.Option(False, "--json", help="Print the result as JSON.")


def database_address(given: str | None) -> str:
    """Return where the judging database is: the option, the variable or the default file."""
    return given or os.environ.get(DATABASE_VARIABLE) or _DEFAULT_DATABASE


@app.command("create")
def create(
    spec: Path = typer.Argument(..., help="YAML file of the study; see `judge init`."),
    answers: Path | None = typer.Option(
        None, "--answers", help="CSV or JSON Lines: arm, scenario, language, answer."
    ),
    run: Path | None = typer.Option(
        None, "--run", help="Work folder of a run: judge its answers to the held-out prompts."
    ),
    endpoint: list[str] = typer.Option(
        [], "--endpoint", help="ARM=URL[#MODEL] of an OpenAI-compatible server, for live talks."
    ),
    complete_only: bool = typer.Option(
        False, "--complete-only", help="Leave out items that some arm did not answer."
    ),
    open_now: bool = typer.Option(False, "--open", help="Open the study at once."),
    database: str | None = Database,
    as_json: bool = AsJson,
) -> None:
    """Make a study from its file and the answers to judge; shows the work before it opens."""
    from qingting.judging.answers import answers_of_run, complete_items, read_answers
    from qingting.judging.campaigns import change_state, create_campaign, load_campaign
    from qingting.judging.endpoints import parse_endpoints
    from qingting.judging.tokens import now_ms
    from qingting.domains.judging_pack import load_judging_pack
    from qingting.store.database import open_database

    wanted = load_campaign(spec)
    if (answers is None) == (run is None) and not endpoint:
        raise typer.BadParameter("name the answers to judge: --answers FILE or --run FOLDER")
    given = read_answers(answers) if answers else answers_of_run(run) if run else ()
    n_left_out = 0
    if complete_only:
        given, n_left_out = complete_items(given)
    opened = open_database(database_address(database), create=True)
    with opened.writing() as session:
        made = create_campaign(
            session,
            wanted,
            load_judging_pack(wanted.domain),
            given,
            at_ms=now_ms(),
            actor="command",
            endpoints=parse_endpoints(endpoint),
        )
        if open_now:
            change_state(session, made.campaign, "open", at_ms=now_ms(), actor="command")
        record = created_record(made, n_left_out=n_left_out)
    opened.close()
    if as_json:
        print_json(record)
        return
    _show_created(record)


def created_record(made: Any, *, n_left_out: int) -> dict[str, Any]:
    """Return a new study as JSON: its id, what was fixed, and the work it takes."""
    campaign = made.campaign
    return {
        "study": campaign.name,
        "id": campaign.public_id,
        "mode": campaign.mode,
        "state": campaign.state,
        "registered_digest": campaign.registered_digest,
        "n_items": made.n_items,
        "n_units": made.n_units,
        "n_judgments": made.n_judgments,
        "n_hours": made.n_hours,
        "n_judgments_per_rater": made.n_judgments_per_rater,
        "n_masked_names": made.n_masked,
        "n_items_left_out": n_left_out,
        "warnings": list(made.warnings),
    }


def _show_created(record: dict[str, Any]) -> None:
    typer.echo(f"study {record['study']} ({record['mode']}), {record['state']}")
    typer.echo(
        f"  {record['n_items']} items, {record['n_units']} units, "
        f"{record['n_judgments']} judgments planned, about {record['n_hours']:.1f} hours of "
        f"people's time ({record['n_judgments_per_rater']} judgments a rater)"
    )
    typer.echo(f"  names masked in answers: {record['n_masked_names']}")
    if record["n_items_left_out"]:
        typer.echo(f"  items left out, not answered by every arm: {record['n_items_left_out']}")
    typer.echo(f"  fixed in advance: sha256 {record['registered_digest']}")
    for warning in record["warnings"]:
        typer.echo(f"  note: {warning}")
    if record["state"] == "draft":
        typer.echo("next: qingting judge open, then qingting judge invite and judge serve")
