"""``qingting judge exclude``: leaving a rater out by hand, and taking that back."""

from __future__ import annotations

from typing import Annotated

import typer

from qingting.cli.judge_options import AsJson, DatabaseOption, StudyOption, opened
from qingting.cli.output import print_json


def exclude(
    rater: Annotated[str, typer.Argument(help="Pseudonym, or its first 8 characters.")],
    reason: Annotated[
        str | None,
        typer.Option(
            help="conflict_of_interest, not_eligible, technical_fault or breach_of_protocol."
        ),
    ] = None,
    take_back: Annotated[
        bool, typer.Option("--take-back", help="Let the rater's judgments count again.")
    ] = False,
    study: StudyOption = None,
    database: DatabaseOption = None,
    as_json: AsJson = False,
) -> None:
    """Leave a rater out by hand, for what no registered rule could foresee.

    Later snapshots and their analysis say so, and whether results could be seen by then; the
    figures with everybody stand beside. Nothing is erased.
    """
    from qingting.judging import hand_exclusion
    from qingting.judging.campaigns import find_campaign
    from qingting.judging.people import find_rater
    from qingting.judging.tokens import now_ms

    if (reason is None) != take_back:
        raise typer.BadParameter("give --reason, or --take-back")
    with opened(database) as base, base.writing() as session:
        campaign = find_campaign(session, study)
        found = find_rater(session, campaign, rater)
        if reason is None:
            hand_exclusion.readmit(session, campaign, found, at_ms=now_ms(), actor="command")
        else:
            hand_exclusion.exclude(
                session, campaign, found, reason, at_ms=now_ms(), actor="command"
            )
        record = {"rater": found.public_id, "is_excluded": not take_back, "reason": reason}
    if as_json:
        print_json(record)
    elif take_back:
        typer.echo(f"rater {found.public_id[:8]} counts again")
    else:
        typer.echo(f"rater {found.public_id[:8]} is left out: {reason}")
