"""``qingting stats compare``: arms on the same prompts, paired."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

if TYPE_CHECKING:
    from qingting.core.columns import RowProblem
    from qingting.core.missing import Missing
    from qingting.stats.contrasts import Contrast
    from qingting.stats.equivalence import EquivalenceTest


class _Scores(NamedTuple):
    """Scores, one a row: (n_scores,) each; ``raters`` and ``clusters`` where the table has them."""

    items: list[str]
    arms: list[str]
    values: list[float]
    raters: list[str] | None
    clusters: list[str] | None
    problems: tuple[RowProblem, ...]


def compare(
    file: Annotated[
        Path, typer.Argument(help="Long (prompt, arm, score) or wide (two columns of scores).")
    ],
    test: Annotated[
        Literal["permutation", "wilcoxon", "mcnemar"], typer.Option(help="Of no difference.")
    ] = "permutation",
    interval: Annotated[
        Literal["t", "bca", "percentile"], typer.Option(help="How intervals are made.")
    ] = "bca",
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
    import json

    import numpy as np

    from qingting.cli.stats_words import show_problems
    from qingting.core.errors import SpecificationError, UndefinedStatisticError
    from qingting.core.missing import Missing
    from qingting.stats.contrasts import ArmScores, contrast_arms
    from qingting.stats.corrections import adjust
    from qingting.stats.equivalence import equivalence_test
    from qingting.stats.independence import independence_warnings

    if margin is not None and not 0 < margin < float("inf"):
        raise SpecificationError(f"--margin {margin:g} must be positive")
    if not 0.5 < confidence_level < 1:
        raise SpecificationError(f"--confidence-level {confidence_level:g} must lie in 0.5–1")
    read = _read(
        file,
        columns_wide=(first, second),
        mapped={
            "item": item_column,
            "arm": arm_column,
            "score": score_column,
            "rater": rater_column,
            "cluster": cluster_column,
        },
        scale=scale,
    )
    show_problems(read.problems)
    scores, clusters = _averaged(read, file)
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
        typer.echo(json.dumps(record, ensure_ascii=False, indent=2))
        return
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)
    for arm, rate in rates.items():
        if rate is not None:
            typer.echo(_rate_text(arm, rate))
    for i, one in enumerate(contrasts):
        _show(one, equivalences[i] if equivalences else None, adjusted[i] if equivalences else None)


def _read(
    file: Path,
    *,
    columns_wide: tuple[str | None, str | None],
    mapped: dict[str, str | None],
    scale: str | None,
) -> _Scores:
    from qingting.cli.stats_words import scale_of
    from qingting.core.columns import find_column, read_columns
    from qingting.core.errors import SpecificationError
    from qingting.stats import rating_files as known

    columns = read_columns(file)
    roles = {
        "item": known.ITEM_COLUMNS,
        "arm": known.ARM_COLUMNS,
        "score": known.RATING_COLUMNS,
        "rater": known.RATER_COLUMNS,
        "cluster": known.CLUSTER_COLUMNS,
    }
    found = {
        role: find_column(
            columns, role=role, names=known_names, mapped=mapped[role], required=False
        )
        for role, known_names in roles.items()
    }
    first, second = columns_wide
    if (first is None) != (second is None):
        raise SpecificationError("name both --first and --second, or neither")
    if first is None and (found["arm"] is None or found["score"] is None):
        others = [name for name in columns.names if name not in found.values()]
        if found["score"] is not None and found["arm"] is None:
            others = [name for name in columns.names if name not in
                      {found["item"], found["rater"], found["cluster"]}]  # fmt: skip
        if len(others) != 2:
            raise SpecificationError(
                f"{file}: neither a long table (prompt, arm, score) nor a wide one with two "
                f"columns of scores; found {', '.join(columns.names)}. Name two with --first and "
                "--second"
            )
        first, second = others
    limits = scale_of(scale)
    item = found["item"]
    if first is None or second is None:
        assert found["arm"] is not None and found["score"] is not None
        if item is None:
            find_column(columns, role="item", names=roles["item"])
        sources = [(found["score"], columns.values(found["arm"]))]
    else:
        for name in (first, second):
            find_column(columns, role="scores of an arm", names=(), mapped=name)
        sources = [(name, [name] * len(columns)) for name in (first, second)]
    names_of_items = (
        columns.values(item) if item is not None else [f"row {line}" for line in columns.lines]
    )
    raters = None if found["rater"] is None else columns.values(found["rater"])
    clusters = None if found["cluster"] is None else columns.values(found["cluster"])
    read = _Scores([], [], [], None if raters is None else [], None if clusters is None else [], ())
    problems: list[RowProblem] = []
    for name, arms in sources:
        numbers = known.read_numbers(columns, name, scale=limits)
        problems += numbers.problems
        for row, value in enumerate(numbers.values.tolist()):
            if value != value:
                continue
            if not names_of_items[row].strip() or not arms[row].strip():
                problems.append(columns.problem(row, None, "no prompt or no arm"))
                continue
            read.items.append(names_of_items[row])
            read.arms.append(arms[row])
            read.values.append(value)
            if raters is not None and read.raters is not None:
                read.raters.append(raters[row])
            if clusters is not None and read.clusters is not None:
                read.clusters.append(clusters[row])
    return read._replace(problems=tuple(sorted(problems, key=lambda p: p.line)))


def _averaged(
    read: _Scores, file: Path
) -> tuple[dict[str, dict[str, float]], dict[str, str] | None]:
    """Return arm → prompt → mean score, and prompt → cluster."""
    from qingting.core.errors import DataError

    given: dict[str, dict[str, list[float]]] = {}
    for item, arm, value in zip(read.items, read.arms, read.values, strict=True):
        given.setdefault(arm, {}).setdefault(item, []).append(value)
    clusters: dict[str, str] | None = None
    if read.clusters is not None:
        clusters = {}
        for item, label in zip(read.items, read.clusters, strict=True):
            if clusters.setdefault(item, label) != label:
                raise DataError(
                    f"{file}: prompt {item!r} belongs to dialogue {clusters[item]!r} and to "
                    f"{label!r}; a prompt has one"
                )
    means = {
        arm: {item: sum(values) / len(values) for item, values in of_items.items()}
        for arm, of_items in given.items()
    }
    return means, clusters


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
    from qingting.cli.stats_words import estimate_text
    from qingting.core.missing import Missing

    typer.echo(f"{one.first} − {one.second}: {estimate_text(one.difference, signed=True)}")
    unpaired = one.n_first_only + one.n_second_only
    units = "" if isinstance(one.test, Missing) else f", {one.test.n_units} independent units"
    typer.echo(f"  {one.n_pairs} prompts in both{units}; {unpaired} in one arm only")
    if isinstance(one.test, Missing):
        typer.echo(f"  test undefined: {one.test.reason}")
    elif not isinstance(one.p_adjusted, Missing):
        typer.echo(
            f"  p = {one.test.p_value:.4f} ({one.test.method}); {one.family} over {one.n_tests}: "
            f"p = {one.p_adjusted:.4f}: {one.verdict}"
        )
    if isinstance(equivalence, Missing):
        typer.echo(f"  equivalence undefined: {equivalence.reason}")
    elif equivalence is not None and p is not None:
        low, high = equivalence.interval
        typer.echo(
            f"  margin ±{equivalence.margin:g}: {equivalence.verdict}; p equivalent "
            f"{equivalence.p_equivalent:.4f} (corrected {p:.4f}), p not inferior "
            f"{equivalence.p_not_inferior:.4f}; "
            f"{1 - 2 * equivalence.significance_level:.0%} interval {low:+.3f} to {high:+.3f}"
        )
