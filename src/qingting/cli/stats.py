"""``qingting stats``: what judgments say, and how sure that is; one file per command."""

from __future__ import annotations

import typer

from qingting.cli import (
    stats_agreement,
    stats_compare,
    stats_decide,
    stats_judge,
    stats_power,
    stats_rank,
    stats_ratings,
    stats_watch,
)

app = typer.Typer(
    help="Rank, rate, compare, agree, plan and decide on tables of judgments.",
    no_args_is_help=True,
)


@app.callback()
def _stats() -> None:
    """Compute the statistics of judging on plain CSV and JSON Lines."""


app.command()(stats_agreement.agreement)
app.command()(stats_compare.compare)
app.command()(stats_judge.judge)
app.command()(stats_rank.rank)
app.command()(stats_ratings.ratings)
app.command()(stats_power.power)
app.command()(stats_watch.watch)
app.command()(stats_decide.decide)
