"""``qingting models choose``: an order of the arms by measured results, and how firm it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qingting.cli.output import print_json

if TYPE_CHECKING:
    from qingting.report.choosing import ArmChoice, Choice
    from qingting.report.results import Results


def choose(
    results: Annotated[
        Path, typer.Argument(metavar="RESULTS", help="results.json, or the folder that holds it.")
    ],
    weights: Annotated[
        str, typer.Option(help="What matters how much, as in quality=.6,knowledge=.2,cost=.2.")
    ],
    measure: Annotated[
        list[str] | None,
        typer.Option(help="CRITERION=MEASURE[,MEASURE…]: what a criterion is the mean of."),
    ] = None,
    gate: Annotated[
        list[str] | None,
        typer.Option(help="MEASURE>=NUMBER or MEASURE<=NUMBER, before any weighing."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the draws.", min=0)] = 7,
    figure: Annotated[Path | None, typer.Option(help="Write a picture (SVG).")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the picture.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Rank the arms of an experiment by what was measured.

    Gates come first: an arm that fails one, at the unfavourable end of its interval, is not ranked.
    Then each measure runs from 0 (the worst arm) to 1 (the best), a criterion is the mean of its
    measures, and weights average the criteria. Shown too: the Pareto front, the share of all
    possible weights in which each arm comes first, and what the uncertainty of the measurements
    leaves open.
    """
    import numpy as np

    from qingting.report.choosing import choose
    from qingting.report.choosing_options import parse_gate, parse_measures, parse_weights

    wanted = parse_weights(weights)
    measures = parse_measures(measure or [], list(wanted))
    gates = [parse_gate(text) for text in gate or []]
    found = choose(_read(results), wanted, measures, gates=gates, rng=np.random.default_rng(seed))
    if as_json:
        print_json(_record(found))
    else:
        _print(found)
    if figure is not None:
        from qingting.report.choosing_figure import choice_figure
        from qingting.report.standalone import write_figure

        write_figure(figure, choice_figure(found).svg, force=force)


def _read(path: Path) -> Results:
    from pydantic import ValidationError

    from qingting.core.errors import DataError, NotFoundError
    from qingting.report.results import Results

    place = path / "results.json" if path.is_dir() else path
    if not place.is_file():
        raise NotFoundError(f"{place}: no such file; `qingting run` writes results.json")
    try:
        return Results.model_validate_json(place.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        at = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DataError(f"{place}: not a results.json ({at}: {first['msg']})") from None


def _record(found: Choice) -> dict[str, Any]:
    from qingting.core.missing import Missing

    def values(one: ArmChoice) -> dict[str, Any]:
        return {
            name: value.to_record()
            if isinstance(value, Missing)
            else {"mean": value.mean, "low": value.low, "high": value.high}
            for name, value in one.values.items()
        }

    places = {name: at for at, name in enumerate(found.ranked)}
    arms = []
    for one in found.arms:
        at = places.get(one.arm)
        row: dict[str, Any] = {
            "arm": one.arm,
            "rank": one.rank,
            "score": one.score,
            "criteria": one.criteria,
            "measures": values(one),
            "gates": [
                {"gate": gate.gate, "passed": gate.passed, "why": gate.why} for gate in one.gates
            ],
            "on_pareto_front": one.on_front,
            "why_unranked": one.why_unranked,
        }
        if at is not None:
            assert found.shares is not None and found.rank_shares is not None
            assert found.firm is not None
            errors = found.shares.standard_errors
            row |= {
                "share_of_weights_won": float(found.shares.values[at]),
                "share_standard_error": None if errors is None else float(errors[at]),
                "share_of_weights_at_rank": [float(x) for x in found.rank_shares[at]],
                "p_first": float(found.firm.p_first[at]),
                "rank_interval": [int(found.firm.rank_low[at]), int(found.firm.rank_high[at])],
            }
        arms.append(row)
    return {
        "weights": dict(found.weights),
        "measures": {name: list(parts) for name, parts in found.measures.items()},
        "arms": arms,
        "open_pairs": [
            {"above": above, "below": below, "p": p} for above, below, p in found.open_pairs
        ],
    }


def _print(found: Choice) -> None:
    weights = ", ".join(f"{name} {weight:.0%}" for name, weight in found.weights.items())
    typer.echo(f"weights: {weights}")
    for name, parts in found.measures.items():
        typer.echo(f"  {name}: mean of {', '.join(parts)}, each from 0 (worst arm) to 1 (best)")
    if not found.ranked:
        typer.echo("no arm can be ranked:")
    else:
        _print_ranked(found)
    for one in found.arms:
        if one.why_unranked is not None:
            typer.echo(f"not ranked: {one.arm}: {one.why_unranked}")
    if not found.ranked:
        return
    typer.echo("* nothing beats it on every criterion (Pareto front)")
    if found.open_pairs:
        typer.echo("measurement uncertainty leaves the order open (less than 95 % sure) between:")
        for above, below, p in found.open_pairs[:12]:
            typer.echo(f"  {above} over {below}: {p:.0%}")
        if len(found.open_pairs) > 12:
            typer.echo(f"  … and {len(found.open_pairs) - 12} more pairs")
    else:
        typer.echo("measurement uncertainty would not turn the order of any two arms")
    typer.echo(
        "The ends of each measure are the best and worst arm here: an arm added or left out can "
        "change the order of others. Errors of arms are drawn apart, which overstates them where "
        "arms answered the same items."
    )


def _print_ranked(found: Choice) -> None:
    width = max(len(name) for name in found.ranked)
    criteria = list(found.weights)
    typer.echo(
        f"\n{'rank':>4}  {'arm':<{width}}  {'score':>5}  "
        + "  ".join(f"{name:>9}" for name in criteria)
        + f"  {'weights won':>11}  {'likely first':>12}  ranks"
    )
    for at, one in enumerate(found.arms[: len(found.ranked)]):
        assert found.shares is not None and found.firm is not None and one.criteria is not None
        star = "*" if one.on_front else " "
        typer.echo(
            f"{one.rank:>3}{star}  {one.arm:<{width}}  {one.score:>5.3f}  "
            + "  ".join(f"{one.criteria[name]:>9.3f}" for name in criteria)
            + f"  {found.shares.values[at]:>11.0%}  {found.firm.p_first[at]:>12.0%}  "
            + f"{found.firm.rank_low[at]}–{found.firm.rank_high[at]}"
        )
    typer.echo("")
