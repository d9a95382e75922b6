"""``qingting stats ratings``: arms compared by ratings on crossed prompts and raters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from qingting.cli.output import print_json

if TYPE_CHECKING:
    from qingting.core.missing import Missing
    from qingting.stats.arm_difference import ArmDifference
    from qingting.stats.arm_ratings import ArmRatings
    from qingting.stats.rating_results import OrdinalMixedFit, RatingContrast

_SHOWN_RATERS = 12


def ratings(
    file: Annotated[Path, typer.Argument(help="A row a rating: model, prompt, rater, rating.")],
    scale: Annotated[
        str | None, typer.Option(help="Smallest and largest rating, such as 1:5.")
    ] = None,
    effects: Annotated[
        str, typer.Option(help="Random effects, joined by commas; none for independent ratings.")
    ] = "rater,prompt,arm:prompt,arm:rater",
    baseline: Annotated[
        str | None, typer.Option(help="Compare every other arm with this one only.")
    ] = None,
    family: Annotated[
        Literal["holm", "benjamini-hochberg", "none"],
        typer.Option(help="Correction over all comparisons of all criteria."),
    ] = "holm",
    arm_column: Annotated[str | None, typer.Option(help="Column of the arms.")] = None,
    prompt_column: Annotated[str | None, typer.Option(help="Column of the prompts.")] = None,
    rater_column: Annotated[str | None, typer.Option(help="Column of the raters.")] = None,
    rating_column: Annotated[str | None, typer.Option(help="Column of the ratings.")] = None,
    criterion_column: Annotated[
        str | None, typer.Option(help="Column of the criterion; each is fitted alone.")
    ] = None,
    criterion: Annotated[str | None, typer.Option(help="Fit this criterion only.")] = None,
    confidence_level: Annotated[float, typer.Option(help="Of the intervals.")] = 0.95,
    figure: Annotated[
        Path | None, typer.Option(help="Write the differences as an SVG picture.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the picture.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print how arms differ in a cumulative-link mixed model, and in means beside it."""
    from qingting.cli.stats_words import names, require_level, scale_of, show_cells
    from qingting.core.missing import Missing
    from qingting.stats.arm_rating_files import read_arm_ratings
    from qingting.stats.corrections import adjust

    require_level(confidence_level)
    read = read_arm_ratings(
        file,
        mapped={
            "arm": arm_column,
            "prompt": prompt_column,
            "rater": rater_column,
            "rating": rating_column,
            "criterion": criterion_column,
        },
        criterion=criterion,
        scale=scale_of(scale),
    )
    show_cells(read.problems)
    for warning in read.warnings:
        typer.echo(f"warning: {warning}", err=True)
    chosen = () if effects.strip().lower() in ("", "none") else names(effects)
    results = [_analysed(table, chosen, baseline, confidence_level) for table in read.tables]
    given = [
        one.p_value
        for result in results
        for one in result.contrasts
        if not isinstance(one.p_value, Missing)
    ]
    corrected = iter(adjust(given, family).tolist() if given else [])
    adjusted = [
        [None if isinstance(one.p_value, Missing) else next(corrected) for one in result.contrasts]
        for result in results
    ]
    if as_json:
        record = {
            "file": str(file),
            "n_empty": read.n_empty,
            "problems": [str(problem) for problem in read.problems],
            "warnings": [*read.warnings],
            "family": family,
            "n_tests": len(given),
            "criteria": [
                result.to_record(p_values)
                for result, p_values in zip(results, adjusted, strict=True)
            ],
        }
        print_json(record)
    else:
        corrections = f"{family} over {len(given)}" if family != "none" else "uncorrected"
        for result, p_values in zip(results, adjusted, strict=True):
            _show(result, p_values, corrections)
    # Last, for there may be nothing to draw where there is something to say.
    if figure is not None:
        _draw(figure, results, adjusted, force=force)


@dataclass(frozen=True)
class _Result:
    """One criterion: the model or why there is none, and the differences of means."""

    table: ArmRatings
    fit: OrdinalMixedFit | Missing
    means: dict[tuple[str, str], ArmDifference | Missing]

    @property
    def significance_level(self) -> float:
        from qingting.core.missing import Missing

        return 0.05 if isinstance(self.fit, Missing) else 1 - self.fit.confidence_level

    @property
    def contrasts(self) -> tuple[RatingContrast, ...]:
        from qingting.core.missing import Missing

        return () if isinstance(self.fit, Missing) else self.fit.contrasts

    def to_record(self, adjusted: Sequence[float | None]) -> dict[str, Any]:
        model: dict[str, Any] = self.fit.to_record()
        found = self.contrasts
        for one, record, p_value in zip(found, model.get("contrasts", []), adjusted, strict=True):
            record["p_adjusted"] = p_value
            record["verdict"] = _verdict(one, p_value, self.significance_level)
        means = [
            {"first": first, "second": second, **mean.to_record()}
            for (first, second), mean in self.means.items()
        ]
        return {"criterion": self.table.criterion, "model": model, "mean_differences": means}


def _analysed(
    table: ArmRatings, effects: tuple[str, ...], baseline: str | None, confidence_level: float
) -> _Result:
    from itertools import combinations

    import numpy as np

    from qingting.core.errors import UndefinedStatisticError
    from qingting.core.missing import Missing
    from qingting.stats.arm_difference import arm_difference
    from qingting.stats.rating_model import fit_ordinal_mixed

    fit: OrdinalMixedFit | Missing
    try:
        fit = fit_ordinal_mixed(
            table,
            effects=effects,  # type: ignore[arg-type]  # unknown names are refused there
            baseline=baseline,
            confidence_level=confidence_level,
        )
    except UndefinedStatisticError as error:
        fit = Missing(str(error))
    first_only = table.first_ratings()
    pairs = list(combinations(table.arm_names, 2))
    if baseline is not None:
        pairs = [(arm, baseline) for arm in table.arm_names if arm != baseline]
    means: dict[tuple[str, str], ArmDifference | Missing] = {}
    raters = first_only.raters
    for first, second in pairs:
        a, b = table.arm_names.index(first), table.arm_names.index(second)
        chosen = np.flatnonzero(np.isin(first_only.arms, (a, b)))
        try:
            means[first, second] = arm_difference(
                first_only.arms[chosen] == a,
                first_only.prompts[chosen].tolist(),
                first_only.values[chosen],
                raters=None if raters is None else raters[chosen].tolist(),
                confidence_level=confidence_level,
            )
        except UndefinedStatisticError as error:
            means[first, second] = Missing(str(error))
    return _Result(table, fit, means)


def _verdict(one: RatingContrast, p_value: float | None, significance_level: float) -> str:
    """Return what may be said after the correction for several comparisons."""
    from qingting.core.missing import Missing

    if p_value is None or isinstance(one.log_odds, Missing):
        return "undefined"
    if p_value > significance_level:
        return "inconclusive"
    return "first higher" if one.log_odds.value > 0 else "second higher"


def _draw(
    path: Path,
    results: Sequence[_Result],
    adjusted: Sequence[Sequence[float | None]],
    *,
    force: bool,
) -> None:
    from qingting.cli.stats_words import estimate_text
    from qingting.core.errors import UndefinedStatisticError
    from qingting.core.missing import Missing
    from qingting.report.figures import ForestRow, forest_plot
    from qingting.report.standalone import write_figure
    from qingting.report.texts import both

    rows = []
    colours = {"first higher": "better", "second higher": "worse"}
    for result, p_values in zip(results, adjusted, strict=True):
        title = f"{result.table.criterion}: " if result.table.criterion else ""
        for one, p_value in zip(result.contrasts, p_values, strict=True):
            found = one.log_odds
            label = f"{title}{one.first} − {one.second}"
            if isinstance(found, Missing):
                rows.append(ForestRow(label, "inconclusive", both("undefined"), None))
                continue
            limits = found.interval
            low, high = (None, None) if isinstance(limits, Missing) else limits
            verdict = _verdict(one, p_value, result.significance_level)
            css = colours.get(verdict, "inconclusive")
            shown = both(estimate_text(found, digits=2, signed=True))
            rows.append(ForestRow(label, css, shown, found.value, low, high))
    if not rows:
        raise UndefinedStatisticError(f"{path}: no difference is defined, so there is no picture")
    drawn = forest_plot(
        "ratings",
        both("Differences in log-odds of a higher rating, with intervals"),
        both("Each row is the first arm less the second, for the same rater and prompt."),
        rows=rows,
        ends=(both("second rated higher"), both("first rated higher")),
    )
    write_figure(path, drawn.svg, force=force)


def _show(result: _Result, adjusted: Sequence[float | None], family: str) -> None:
    from qingting.cli.stats_words import signed
    from qingting.core.missing import Missing

    table, fit = result.table, result.fit
    title = f"{table.criterion}: " if table.criterion else ""
    raters = "raters unknown" if table.raters is None else f"{len(table.rater_names)} raters"
    typer.echo(
        f"{title}{len(table)} ratings of {len(table.arm_names)} arms on "
        f"{len(table.prompt_names)} prompts, {raters}"
    )
    p_values: dict[tuple[str, str], float | None] = {}
    if isinstance(fit, Missing):
        typer.echo(f"  no model: {fit.reason}")
    else:
        p_values = {
            (one.first, one.second): p for one, p in zip(fit.contrasts, adjusted, strict=True)
        }
    for pair, mean in result.means.items():
        if not isinstance(fit, Missing):
            _show_contrast(fit.contrast(*pair), p_values[pair], family, result.significance_level)
        else:
            typer.echo(f"  {pair[0]} − {pair[1]}")
        shown = (
            f"undefined: {mean.reason}"
            if isinstance(mean, Missing)
            else f"{signed(mean.value)}  [{_limits(mean)}]  {mean.method}"
        )
        typer.echo(f"    difference of means       {shown}")
    if isinstance(fit, Missing):
        return
    _show_shares(fit)
    for part in fit.components:
        deviation = part.standard_deviation
        if isinstance(deviation, Missing):
            continue
        error = part.standard_error
        text = (
            "0 (boundary)"
            if part.is_boundary
            else f"{deviation:.2f}" + ("" if isinstance(error, Missing) else f" ± {error:.2f}")
        )
        typer.echo(
            f"  varies by {part.effect:<11} SD {text}, {part.n_levels} {part.effect.split(':')[-1]}s"
        )
    if isinstance(fit.severities, Missing):
        typer.echo(f"  severity of raters undefined: {fit.severities.reason}")
    else:
        ordered = sorted(fit.severities, key=lambda one: -one.value)
        if len(ordered) > _SHOWN_RATERS:
            half = _SHOWN_RATERS // 2
            typer.echo(f"  severity of raters, the {half} strictest and most lenient:")
            ordered = ordered[:half] + ordered[-half:]
        else:
            typer.echo("  severity of raters, strictest first:")
        for one in ordered:
            typer.echo(
                f"    {one.rater}: {one.value:+.2f} ± {one.standard_error:.2f} "
                f"({one.n_ratings} ratings)"
            )
    state = fit.convergence
    typer.echo(
        f"  log-likelihood {fit.log_likelihood:.3f}, "
        f"{'converged' if state.converged else 'NOT converged'} "
        f"(largest slope {state.largest_slope:.1e}, {state.n_evaluations} evaluations)"
    )
    for note in fit.notes:
        typer.echo(f"note: {title}{note}", err=True)


def _show_contrast(
    one: RatingContrast, p_value: float | None, family: str, significance_level: float
) -> None:
    from qingting.cli.stats_words import estimate_text, p_text

    words = {
        "first higher": f"{one.first} is rated higher than {one.second}",
        "second higher": f"{one.second} is rated higher than {one.first}",
        "inconclusive": "inconclusive",
        "undefined": "nothing can be said",
    }[_verdict(one, p_value, significance_level)]
    p = "" if p_value is None else f"; {p_text(p_value)} ({family})"
    typer.echo(f"  {one.first} − {one.second}: {words}{p}")
    typer.echo(f"    log-odds, first − second  {estimate_text(one.log_odds, signed=True)}")
    typer.echo(f"    P(first above second)     {estimate_text(one.superiority)}")


def _show_shares(fit: OrdinalMixedFit) -> None:
    width = max(6, *map(len, fit.arm_names))
    head = "".join(f"{category:>8g}" for category in fit.categories)
    typer.echo(f"  {'share predicted':<{width}}{head}")
    for arm, shares in fit.shares.items():
        cells = "".join(f"{share.value:>8.1%}" for share in shares)
        typer.echo(f"  {arm:<{max(width, 15)}}{cells}")


def _limits(mean: ArmDifference) -> str:
    from qingting.cli.stats_words import signed
    from qingting.core.missing import Missing

    if isinstance(mean.interval, Missing):
        return f"no interval: {mean.interval.reason}"
    return f"{signed(mean.interval.low)} to {signed(mean.interval.high)}"
