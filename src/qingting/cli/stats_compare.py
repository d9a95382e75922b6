"""``qingting stats compare``: arms on the same prompts, paired."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from qingting.cli.output import print_json

if TYPE_CHECKING:
    from qingting.core.missing import Missing
    from qingting.stats.contrasts import Contrast
    from qingting.stats.equivalence import EquivalenceTest


def compare(
    file: Annotated[
        Path, typer.Argument(help="Long (prompt, arm, score) or wide (two columns of scores).")
    ],
    test: Annotated[
        Literal["permutation", "wilcoxon", "mcnemar"], typer.Option(help="Of no difference.")
    ] = "permutation",
    interval: Annotated[
        Literal["t", "bca", "percentile"], typer.Option(help="How intervals are made.")
    ] = "t",
    family: Annotated[
        Literal["holm", "benjamini-hochberg", "none"],
        typer.Option(help="Correction over all comparisons."),
    ] = "holm",
    margin: Annotated[
        float | None,
        typer.Option(help="Largest difference that would not matter; tests equivalence."),
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(help="Compare every other arm with this one only.")
    ] = None,
    first: Annotated[str | None, typer.Option(help="Wide: column of the first arm.")] = None,
    second: Annotated[str | None, typer.Option(help="Wide: column of the second arm.")] = None,
    item_column: Annotated[str | None, typer.Option(help="Column of the prompts.")] = None,
    arm_column: Annotated[str | None, typer.Option(help="Column of the arms.")] = None,
    score_column: Annotated[str | None, typer.Option(help="Column of the scores.")] = None,
    rater_column: Annotated[str | None, typer.Option(help="Column of the raters.")] = None,
    cluster_column: Annotated[
        str | None, typer.Option(help="Column of the dialogue: independent units.")
    ] = None,
    criterion_column: Annotated[str | None, typer.Option(help="Column of the criterion.")] = None,
    criterion: Annotated[
        str | None, typer.Option(help="The criterion to compare, where the table has several.")
    ] = None,
    scale: Annotated[str | None, typer.Option(help="Smallest and largest score: 1:5.")] = None,
    resamples: Annotated[int, typer.Option(min=200, help="Of bootstrap and test.")] = 10_000,
    confidence_level: Annotated[float, typer.Option(help="Of each interval.")] = 0.95,
    seed: Annotated[int, typer.Option(help="Of bootstrap and test.")] = 1,
    figure: Annotated[
        Path | None, typer.Option(help="Write the differences as an SVG picture.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the picture.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print each difference with interval, corrected test and, given a margin, equivalence."""
    import numpy as np

    from qingting.cli.stats_words import require_level, scale_of, show_cells
    from qingting.core.errors import SpecificationError, UndefinedStatisticError
    from qingting.core.missing import Missing
    from qingting.stats.contrasts import ArmScores, contrast_arms
    from qingting.stats.corrections import adjust
    from qingting.stats.equivalence import equivalence_test
    from qingting.stats.independence import independence_warnings
    from qingting.stats.score_files import read_scores

    if margin is not None and not 0 < margin < float("inf"):
        raise SpecificationError(f"--margin {margin:g} must be positive")
    require_level(confidence_level)
    read = read_scores(
        file,
        first=first,
        second=second,
        mapped={
            "item": item_column,
            "arm": arm_column,
            "score": score_column,
            "rater": rater_column,
            "cluster": cluster_column,
            "criterion": criterion_column,
        },
        criterion=criterion,
        scale=scale_of(scale),
    )
    show_cells(read.problems)
    scores, clusters = read.means(), read.cluster_of_items()
    if len(scores) < 2:
        raise SpecificationError(f"{file}: one arm only ({', '.join(scores)}); nothing to compare")
    warnings = independence_warnings(
        read.items, read.arms, raters=read.raters, clusters=read.clusters
    )
    contrasts = contrast_arms(
        {arm: ArmScores(of_items, file.name) for arm, of_items in scores.items()},
        baseline=baseline,
        rng=np.random.default_rng(seed),
        n_resamples=resamples,
        family=family,
        confidence_level=confidence_level,
        method=interval,
        clusters=clusters,
        test=test,
    )
    equivalences: list[EquivalenceTest | Missing] = []
    if margin is not None:
        for one in contrasts:
            shared = sorted(scores[one.first].keys() & scores[one.second].keys())
            try:
                equivalences.append(
                    equivalence_test(
                        [scores[one.first][item] for item in shared],
                        [scores[one.second][item] for item in shared],
                        margin=margin,
                        clusters=None if clusters is None else [clusters[i] for i in shared],
                        significance_level=1 - confidence_level,
                    )
                )
            except UndefinedStatisticError as error:
                equivalences.append(Missing(str(error)))
    adjusted = adjust(
        [1.0 if isinstance(e, Missing) else e.p_equivalent for e in equivalences] or [1.0], family
    ).tolist()
    rates = {arm: _rate(of_items, clusters, confidence_level) for arm, of_items in scores.items()}
    if figure is not None:
        _draw(figure, contrasts, force=force)
    if as_json:
        record = {
            "file": str(file),
            "problems": [str(problem) for problem in read.problems],
            "warnings": [*warnings],
            "rates": {arm: rate for arm, rate in rates.items() if rate is not None},
            "contrasts": [
                one.to_record()
                | (
                    {
                        "equivalence": equivalences[i].to_record()
                        | {"p_equivalent_adjusted": adjusted[i]}
                    }
                    if equivalences
                    else {}
                )
                for i, one in enumerate(contrasts)
            ],
        }
        print_json(record)
        return
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)
    for arm, rate in rates.items():
        if rate is not None:
            typer.echo(_rate_text(arm, rate))
    for i, one in enumerate(contrasts):
        _show(one, equivalences[i] if equivalences else None, adjusted[i] if equivalences else None)


def _rate(
    of_items: dict[str, float], clusters: dict[str, str] | None, confidence_level: float
) -> dict[str, Any] | None:
    """Return the exact interval of a rate where all scores are 0 or 1."""
    from qingting.core.missing import Missing
    from qingting.stats.proportions import clopper_pearson_interval, upper_bound

    if not set(of_items.values()) <= {0.0, 1.0}:
        return None
    n, events = len(of_items), int(sum(of_items.values()))
    rate: dict[str, Any] = {"rate": events / n, "n_events": events, "n_prompts": n}
    if clusters is not None and len({clusters[item] for item in of_items}) < n:
        missing = Missing("prompts share dialogues, and the exact interval needs independent ones")
        return rate | {"interval": missing.to_record(), "upper_bound": missing.to_record()}
    exact = clopper_pearson_interval(events, n, confidence_level=confidence_level)
    return rate | {
        "interval": [*exact],
        "upper_bound": upper_bound(events, n, confidence_level=confidence_level),
    }


def _rate_text(arm: str, rate: dict[str, Any]) -> str:
    text = f"{arm}: {rate['n_events']} of {rate['n_prompts']} ({rate['rate']:.1%})"
    if isinstance(rate["interval"], dict):
        return f"{text}, no exact interval: {rate['interval']['missing']}"
    low, high = rate["interval"]
    return f"{text}, exact {low:.1%} to {high:.1%}; one-sided upper bound {rate['upper_bound']:.1%}"


def _draw(path: Path, contrasts: Sequence[Contrast], *, force: bool) -> None:
    from qingting.cli.stats_words import estimate_text
    from qingting.core.missing import Missing
    from qingting.report.figures import ForestRow, forest_plot
    from qingting.report.standalone import write_figure
    from qingting.report.texts import both

    css = {"first higher": "better", "second higher": "worse", "inconclusive": "inconclusive"}
    rows = []
    for one in contrasts:
        difference = one.difference
        defined = not isinstance(difference, Missing)
        limits = None if isinstance(difference, Missing) else difference.interval
        low, high = (None, None) if limits is None or isinstance(limits, Missing) else limits
        rows.append(
            ForestRow(
                f"{one.first} − {one.second}",
                css[one.verdict],
                both(estimate_text(difference, digits=2, signed=True) if defined else "undefined"),
                None if isinstance(difference, Missing) else difference.value,
                low,
                high,
            )
        )
    drawn = forest_plot(
        "differences",
        both("Differences of mean scores with intervals"),
        both("Each row is the first arm less the second, on the prompts that both have."),
        rows=rows,
        ends=(both("second higher"), both("first higher")),
    )
    write_figure(path, drawn.svg, force=force)


def _show(one: Contrast, equivalence: EquivalenceTest | Missing | None, p: float | None) -> None:
    from qingting.cli.stats_words import estimate_text, p_text
    from qingting.core.missing import Missing

    typer.echo(f"{one.first} − {one.second}: {estimate_text(one.difference, signed=True)}")
    unpaired = one.n_first_only + one.n_second_only
    units = "" if isinstance(one.test, Missing) else f", {one.test.n_units} independent units"
    typer.echo(f"  {one.n_pairs} prompts in both{units}; {unpaired} in one arm only")
    if isinstance(one.test, Missing):
        typer.echo(f"  test undefined: {one.test.reason}")
    elif not isinstance(one.p_adjusted, Missing):
        words = {
            "first higher": f"{one.first} higher",
            "second higher": f"{one.second} higher",
        }.get(one.verdict, one.verdict)
        typer.echo(
            f"  {p_text(one.test.p_value)} ({one.test.method}); {one.family} over {one.n_tests}: "
            f"{p_text(one.p_adjusted)}: {words}"
        )
    if isinstance(equivalence, Missing):
        typer.echo(f"  equivalence undefined: {equivalence.reason}")
    elif equivalence is not None and p is not None:
        low, high = equivalence.interval
        typer.echo(
            f"  margin ±{equivalence.margin:g}: {equivalence.verdict}; equivalent: "
            f"{p_text(equivalence.p_equivalent)} (corrected: {p_text(p)}), {one.first} not "
            f"inferior: {p_text(equivalence.p_not_inferior)}; "
            f"{1 - 2 * equivalence.significance_level:.0%} interval {low:+.3f} to {high:+.3f}"
        )
