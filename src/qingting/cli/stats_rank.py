"""``qingting stats rank``: which arm is preferred, from votes on pairs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from qingting.cli.output import print_json

if TYPE_CHECKING:
    from qingting.stats.vote_files import VotesRead
    from qingting.stats.vote_results import ArmStrength, Effect, VoteRanking

_SHOWN_CONTRASTS = 15


def rank(
    file: Annotated[Path, typer.Argument(help="One vote a row: left, right, winner.")],
    model: Annotated[
        Literal["auto", "bradley-terry", "davidson"],
        typer.Option(help="auto: Davidson where there are ties; Bradley–Terry halves ties."),
    ] = "auto",
    order_effect: Annotated[
        Literal["auto", "yes", "no"], typer.Option(help="Fit the effect of standing on the left.")
    ] = "auto",
    covariates: Annotated[
        str | None, typer.Option(help="Columns such as length, joined by commas.")
    ] = None,
    cluster: Annotated[
        Literal["auto", "none", "prompt", "rater", "both"],
        typer.Option(help="Independent units; auto: prompts and raters so far as known."),
    ] = "auto",
    method: Annotated[
        Literal["bootstrap", "sandwich"], typer.Option(help="Of the standard errors.")
    ] = "bootstrap",
    remedy: Annotated[
        Literal["none", "half-votes"],
        typer.Option(help="half-votes: half a win both ways for each pair; draws towards 0."),
    ] = "none",
    left_column: Annotated[str | None, typer.Option(help="Column of the left arm.")] = None,
    right_column: Annotated[str | None, typer.Option(help="Column of the right arm.")] = None,
    winner_column: Annotated[str | None, typer.Option(help="Column of the winner.")] = None,
    prompt_column: Annotated[str | None, typer.Option(help="Column of the prompts.")] = None,
    rater_column: Annotated[str | None, typer.Option(help="Column of the raters.")] = None,
    resamples: Annotated[int, typer.Option(min=200, help="Of the bootstrap.")] = 2000,
    confidence_level: Annotated[float, typer.Option(help="Of the intervals.")] = 0.95,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 1,
    elo: Annotated[bool, typer.Option("--elo", help="Add Elo ratings, for reference.")] = False,
    figure: Annotated[Path | None, typer.Option(help="Draw strengths into this SVG file.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the figure.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print strengths, rank intervals and contrasts of arms that were compared in pairs."""
    import numpy as np

    from qingting.cli.stats_words import names, require_level, show_cells
    from qingting.stats.elo import elo_ratings
    from qingting.stats.vote_files import read_votes
    from qingting.stats.vote_ranking import rank_votes

    require_level(confidence_level, above=0)
    read = read_votes(
        file,
        left_column=left_column,
        right_column=right_column,
        winner_column=winner_column,
        prompt_column=prompt_column,
        rater_column=rater_column,
        covariates=names(covariates),
    )
    show_cells(read.problems)
    if read.n_repeated:
        typer.echo(
            f"warning: {read.n_repeated} of {len(read.votes.left)} votes are on a pair and prompt "
            "that the same rater has voted on before; all count, so take out rows that were "
            "exported twice",
            err=True,
        )
    ranking = rank_votes(
        read.votes,
        rng=np.random.default_rng(seed),
        model=model,
        order_effect=order_effect,
        cluster=cluster,
        method=method,
        n_resamples=resamples,
        confidence_level=confidence_level,
        remedy=remedy,
    )
    ratings = elo_ratings(read.votes) if elo else None
    if figure is not None:
        _draw(ranking, figure, force=force)
    if as_json:
        print_json(_record(file, read, ranking, ratings))
        return
    _show(ranking, ratings)


def _record(
    file: Path, read: VotesRead, ranking: VoteRanking, ratings: dict[str, float] | None
) -> dict[str, Any]:
    from dataclasses import fields

    return {
        "file": str(file),
        "n_rows": read.n_rows,
        "n_repeated": read.n_repeated,
        "problems_of_rows": [str(problem) for problem in read.problems],
        **{field.name: _plain(getattr(ranking, field.name)) for field in fields(ranking)},
        "elo_ratings": ratings,
    }


def _plain(value: Any) -> Any:
    from qingting.core.missing import Missing
    from qingting.stats.clusters import Interval

    if isinstance(value, Missing):
        return value.to_record()
    if isinstance(value, Interval):
        return [*value]
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: _plain(one) for name, one in value._asdict().items()}
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value


def _show(ranking: VoteRanking, ratings: dict[str, float] | None) -> None:
    from qingting.core.missing import Missing

    units = ", ".join(f"{n} {name}s" for name, n in ranking.n_clusters.items())
    typer.echo(
        f"{len(ranking.arms)} arms, {ranking.n_votes} votes{', ' + units if units else ''}; "
        f"{ranking.model}, {ranking.method}, {ranking.confidence_level:.0%} intervals"
    )
    width = max(len("arm"), *(len(arm.arm) for arm in ranking.arms))
    last = "  elo" if ratings else ""
    typer.echo(
        f"{'rank':<10}  {'arm':<{width}}  {'log-odds':>8}  {'interval':<16}  {'scale':>5}  "
        f"{'votes':>7}{last}"
    )
    several = len({arm.group for arm in ranking.arms if not isinstance(arm.strength, Missing)}) > 1
    group = None
    for arm in ranking.arms:
        shown_elo = f"  {ratings[arm.arm]:.0f}" if ratings else ""
        if isinstance(arm.strength, Missing) or isinstance(arm.elo, Missing):
            typer.echo(
                f"{'-':<10}  {arm.arm:<{width}}  {arm.strength.reason}"  # type: ignore[union-attr]
                f" ({arm.n_won} won, {arm.n_lost} lost){shown_elo}"
            )
            continue
        if several and arm.group != group:
            typer.echo("comparable among themselves only:")
            group = arm.group
        ends = (
            f"{arm.rank}"
            if isinstance(arm.rank_low, Missing)
            else f"{arm.rank} ({arm.rank_low}-{arm.rank_high})"
        )
        interval = (
            "none"
            if isinstance(arm.interval, Missing)
            else f"{arm.interval.low:+.3f} to {arm.interval.high:+.3f}"
        )
        typer.echo(
            f"{ends:<10}  {arm.arm:<{width}}  {arm.strength:+8.3f}  {interval:<16}  "
            f"{arm.elo:5.0f}  {arm.n_votes:7}{shown_elo}"
        )
    for name, effect in (
        ("order effect (left)", ranking.order_effect),
        ("log nu (ties)", ranking.log_nu),
        *((f"{name} (per SD)", one) for name, one in ranking.covariates.items()),
    ):
        if effect is not None:
            typer.echo(f"{name}: {_effect_text(effect)}")
    _show_contrasts(ranking)
    typer.echo(f"rank intervals: {ranking.rank_claim}")
    typer.echo("scale: log-odds as Elo counts them; 1000 is the average arm, 400 are odds of 10")
    if ratings:
        typer.echo("elo: for reference only; it depends on the order of the rows")
    for sentence in (*ranking.problems, *ranking.warnings):
        typer.echo(f"warning: {sentence}", err=True)


def _show_contrasts(ranking: VoteRanking) -> None:
    from qingting.cli.stats_words import p_text
    from qingting.core.missing import Missing

    if not ranking.contrasts or len(ranking.contrasts) > _SHOWN_CONTRASTS:
        if ranking.contrasts:
            typer.echo(f"{len(ranking.contrasts)} contrasts between arms: see --json")
        return
    typer.echo("contrasts (log-odds; p by Holm; P: preferred, ties aside)")
    for one in ranking.contrasts:
        if isinstance(one.interval, Missing) or isinstance(one.p_holm, Missing):
            said = "no interval"
        else:
            said = f"{one.interval.low:+.3f} to {one.interval.high:+.3f}  {p_text(one.p_holm)}"
        typer.echo(
            f"  {one.first} - {one.second}: {one.difference:+.3f}  {said}  P {one.p_first_wins:.3f}"
        )


def _effect_text(effect: Effect) -> str:
    from qingting.core.missing import Missing

    if isinstance(effect.interval, Missing):
        return f"{effect.value:+.3f}  [no interval: {effect.interval.reason}]"
    return f"{effect.value:+.3f}  [{effect.interval.low:+.3f} to {effect.interval.high:+.3f}]"


def _label(arm: ArmStrength, n_groups: int) -> str:
    """Return an arm's name, with the part it is comparable in where there are several."""
    return arm.arm if n_groups < 2 else f"{arm.arm} (part {arm.group + 1})"


def _draw(ranking: VoteRanking, path: Path, *, force: bool) -> None:
    from qingting.core.missing import Missing
    from qingting.report.figures import ForestRow, forest_plot
    from qingting.report.standalone import write_figure
    from qingting.report.texts import both

    rows = []
    groups = {arm.group for arm in ranking.arms if not isinstance(arm.strength, Missing)}
    for arm in ranking.arms:
        if isinstance(arm.strength, Missing):
            rows.append(ForestRow(arm.arm, "inconclusive", both(arm.strength.reason), None))
            continue
        low, high = (None, None) if isinstance(arm.interval, Missing) else arm.interval
        verdict = "inconclusive"
        if low is not None and high is not None:
            verdict = "better" if low > 0 else "worse" if high < 0 else "inconclusive"
        ends = "" if low is None else f" [{low:+.2f} to {high:+.2f}]"
        rows.append(
            ForestRow(
                _label(arm, len(groups)),
                verdict,
                both(f"{arm.strength:+.2f}{ends}"),
                arm.strength,
                low,
                high,
            )
        )
    drawn = forest_plot(
        "strengths",
        both("Strengths with intervals"),
        both("Log-odds of being preferred to the average arm; intervals hold for each arm alone."),
        rows=rows,
        ends=(both("preferred less"), both("preferred more")),
    )
    write_figure(path, drawn.svg, force=force)
