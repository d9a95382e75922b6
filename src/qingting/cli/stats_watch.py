"""``qingting stats watch``: an interval that one may look at after every vote."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from qingting.cli.output import print_json

if TYPE_CHECKING:
    from qingting.core.columns import RowProblem
    from qingting.stats.confidence_sequences import Bounds, ConfidenceSequence, Units


class _Watched(NamedTuple):
    """What is watched: units, their bounds, the value of no difference, and names of both arms."""

    units: Units
    bounds: Bounds
    neutral: float
    first: str
    second: str
    what: str
    problems: tuple[RowProblem, ...]
    n_other: int


class _Named(NamedTuple):
    """Columns that the user named."""

    left: str | None
    right: str | None
    winner: str | None
    prompt: str | None
    arm: str | None
    score: str | None


def watch(
    file: Annotated[
        Path, typer.Argument(help="Votes (left, right, winner, prompt) or scores, in their order.")
    ],
    votes_per_prompt: Annotated[
        int, typer.Option(min=1, help="Fixed in advance; a prompt enters when it has as many.")
    ] = 1,
    first: Annotated[str | None, typer.Option(help="Arm to favour; the interval is its.")] = None,
    second: Annotated[str | None, typer.Option(help="The other arm.")] = None,
    scale: Annotated[
        str | None, typer.Option(help="Scores: smallest and largest, such as 1:5; needed.")
    ] = None,
    criterion: Annotated[str | None, typer.Option(help="Scores: the criterion to watch.")] = None,
    left_column: Annotated[str | None, typer.Option(help="Votes: column of the left arm.")] = None,
    right_column: Annotated[
        str | None, typer.Option(help="Votes: column of the right arm.")
    ] = None,
    winner_column: Annotated[str | None, typer.Option(help="Votes: column of the winner.")] = None,
    prompt_column: Annotated[str | None, typer.Option(help="Column of the prompts.")] = None,
    arm_column: Annotated[str | None, typer.Option(help="Scores: column of the arms.")] = None,
    score_column: Annotated[str | None, typer.Option(help="Scores: column of the scores.")] = None,
    margin: Annotated[
        float, typer.Option(min=0, help="May also stop when the difference lies within it.")
    ] = 0.0,
    confidence_level: Annotated[float, typer.Option(help="For all looks together.")] = 0.95,
    figure: Annotated[Path | None, typer.Option(help="Draw the sequence as SVG.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the figure.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the current interval, valid at every look, and whether collecting may stop."""
    from qingting.cli.stats_words import require_level, show_cells
    from qingting.core.errors import UndefinedStatisticError
    from qingting.core.missing import Missing
    from qingting.stats.confidence_sequences import confidence_sequence

    require_level(confidence_level)
    watched = _read(
        file,
        votes_per_prompt=votes_per_prompt,
        arms=(first, second),
        scale=scale,
        criterion=criterion,
        named=_Named(
            left_column, right_column, winner_column, prompt_column, arm_column, score_column
        ),
    )
    show_cells(watched.problems)
    sequence = confidence_sequence(
        watched.units.values, bounds=watched.bounds, confidence_level=confidence_level
    )
    interval = sequence.interval
    verdict = _verdict(sequence, watched, margin)
    if as_json:
        record = {
            "file": str(file),
            "first": watched.first,
            "second": watched.second,
            "neutral": watched.neutral,
            "interval": interval.to_record() if isinstance(interval, Missing) else [*interval],
            "may_stop": verdict is not None,
            "verdict": verdict or "continue",
            "votes_per_prompt": votes_per_prompt,
            "n_open": watched.units.n_open,
            "n_surplus": watched.units.n_surplus,
            "n_other_arms": watched.n_other,
            "problems": [str(problem) for problem in watched.problems],
            "sequence": sequence.to_record(),
        }
        print_json(record)
    else:
        _show(sequence, watched, verdict, votes_per_prompt, confidence_level)
    # Last, for there may be nothing to draw where there is something to say.
    if figure is not None:
        if isinstance(interval, Missing) or len(sequence.means) < 2:
            raise UndefinedStatisticError(f"{file}: fewer than two complete prompts; no figure yet")
        _draw(sequence, watched, figure, force=force)


def _show(
    sequence: ConfidenceSequence,
    watched: _Watched,
    verdict: str | None,
    votes_per_prompt: int,
    confidence_level: float,
) -> None:
    from qingting.core.missing import Missing

    interval = sequence.interval
    typer.echo(f"may stop: {verdict}" if verdict else "continue: nothing is settled yet")
    if isinstance(interval, Missing):
        typer.echo(f"no interval: {interval.reason}")
    else:
        typer.echo(
            f"{watched.what}: {sequence.means[-1]:.3f}  [{interval.low:.3f} to "
            f"{interval.high:.3f}], {confidence_level:.0%} for all looks together; "
            f"{watched.neutral:g} is no difference"
        )
    units = watched.units
    each = "1 judgment" if votes_per_prompt == 1 else f"{votes_per_prompt} judgments"
    typer.echo(
        f"{len(units.values)} prompts complete with {each} each, {units.n_open} not yet; "
        f"{units.n_surplus} judgments beyond that number do not enter"
    )
    if watched.n_other:
        typer.echo(f"{watched.n_other} rows of other arms were passed over", err=True)


def _verdict(sequence: ConfidenceSequence, watched: _Watched, margin: float) -> str | None:
    from qingting.core.missing import Missing

    interval = sequence.interval
    if isinstance(interval, Missing):
        return None
    if interval.low > watched.neutral:
        n = sequence.excludes_since(watched.neutral)
        return f"{watched.first} is better than {watched.second} (since prompt {n})"
    if interval.high < watched.neutral:
        n = sequence.excludes_since(watched.neutral)
        return f"{watched.second} is better than {watched.first} (since prompt {n})"
    if margin and watched.neutral - margin < interval.low <= interval.high < (
        watched.neutral + margin
    ):
        return f"the arms differ by less than {margin:g}"
    return None


def _read(
    file: Path,
    *,
    votes_per_prompt: int,
    arms: tuple[str | None, str | None],
    scale: str | None,
    criterion: str | None,
    named: _Named,
) -> _Watched:
    from qingting.core.columns import read_columns

    known = {name.strip().lower() for name in read_columns(file).names}
    read = _read_votes if named.winner is not None or "winner" in known else _read_scores
    return read(file, votes_per_prompt, arms, scale, criterion, named)


def _read_votes(
    file: Path,
    votes_per_prompt: int,
    arms: tuple[str | None, str | None],
    scale: str | None,
    criterion: str | None,
    named: _Named,
) -> _Watched:
    from qingting.core.errors import SpecificationError
    from qingting.stats.confidence_sequences import Bounds, completed_units
    from qingting.stats.vote_files import read_votes
    from qingting.stats.votes import LEFT, TIE

    if scale is not None or criterion is not None:
        raise SpecificationError(f"{file}: votes have no --scale and no --criterion")
    read = read_votes(
        file,
        left_column=named.left,
        right_column=named.right,
        winner_column=named.winner,
        prompt_column=named.prompt,
    )
    votes = read.votes
    one, other = _chosen(file, votes.arms, arms)
    a, b = votes.arms.index(one), votes.arms.index(other)
    prompts: list[int] = []
    values: list[float] = []
    for row, (left, right, winner) in enumerate(
        zip(votes.left.tolist(), votes.right.tolist(), votes.winners.tolist(), strict=True)
    ):
        if {left, right} != {a, b}:
            continue
        won = 0.5 if winner == TIE else float((winner == LEFT) == (left == a))
        prompts.append(row if votes.prompts is None else int(votes.prompts[row]))
        values.append(won)
    units = completed_units(prompts, values, votes_per_prompt=votes_per_prompt)
    return _Watched(
        units,
        Bounds(0.0, 1.0),
        0.5,
        one,
        other,
        f"mean outcome of {one} (win 1, tie 0.5)",
        read.problems,
        len(votes) - len(values),
    )


def _read_scores(
    file: Path,
    votes_per_prompt: int,
    arms: tuple[str | None, str | None],
    scale: str | None,
    criterion: str | None,
    named: _Named,
) -> _Watched:
    from qingting.cli.stats_words import scale_of
    from qingting.core.errors import SpecificationError
    from qingting.stats.confidence_sequences import Bounds, completed_units
    from qingting.stats.score_files import read_scores

    limits = scale_of(scale)
    if limits is None:
        raise SpecificationError(
            f"{file}: scores need --scale, such as 1:5: the interval rests on how large a "
            "difference can be"
        )
    read = read_scores(
        file,
        mapped={"item": named.prompt, "arm": named.arm, "score": named.score},
        criterion=criterion,
        scale=limits,
    )
    one, other = _chosen(file, tuple(dict.fromkeys(read.arms)), arms)
    rows = [i for i, arm in enumerate(read.arms) if arm in (one, other)]
    units = completed_units(
        [read.items[i] for i in rows],
        [read.values[i] for i in rows],
        votes_per_prompt=votes_per_prompt,
        sides=[int(read.arms[i] == other) for i in rows],
    )
    width = limits.high - limits.low
    return _Watched(
        units,
        Bounds(-width, width),
        0.0,
        one,
        other,
        f"{one} − {other}",
        read.problems,
        len(read.arms) - len(rows),
    )


def _chosen(
    file: Path, known: tuple[str, ...], arms: tuple[str | None, str | None]
) -> tuple[str, str]:
    from qingting.core.errors import SpecificationError, did_you_mean

    for arm in arms:
        if arm is not None and arm not in known:
            raise SpecificationError(
                f"{file}: no arm {arm!r}.{did_you_mean(arm, known)} "
                f"Known are: {', '.join(list(known)[:12])}"
            )
    named = [arm for arm in arms if arm is not None]
    rest = [arm for arm in known if arm not in named]
    if len(named) + len(rest) > 2 and len(named) < 2:
        raise SpecificationError(
            f"{file}: {len(known)} arms ({', '.join(known[:6])}); name two with --first and "
            "--second"
        )
    one = arms[0] or rest.pop(0) if rest or arms[0] else None
    other = arms[1] or (rest.pop(0) if rest else None)
    if one is None or other is None or one == other:
        raise SpecificationError(f"{file}: one arm only; nothing to watch")
    return one, other


def _draw(sequence: ConfidenceSequence, watched: _Watched, path: Path, *, force: bool) -> None:
    from qingting.report.band_figures import BandPoint, band_figure
    from qingting.report.standalone import write_figure
    from qingting.report.texts import both

    triples = zip(sequence.means, sequence.lows, sequence.highs, strict=True)
    points = [BandPoint(n + 1.0, *map(float, values)) for n, values in enumerate(triples)]
    drawn = band_figure(
        "sequence",
        both(watched.what),
        both(
            f"Mean after each complete prompt and the ends of the interval that holds at every "
            f"look with {sequence.confidence_level:.0%}."
        ),
        points=points,
        axes=(both("complete prompts"), both(watched.what)),
        line=(watched.neutral, both("no difference")),
        are_few=False,
    )
    write_figure(path, drawn.svg, force=force)
