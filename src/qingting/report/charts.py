"""The figures of one report: which results go into which figure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from qingting.report.cost_tables import batch_sizes
from qingting.report.figures import (
    BarRow,
    Curve,
    Figure,
    ForestRow,
    Line,
    Point,
    bars,
    colour,
    forest_plot,
    loss_curves,
    scatter,
    split_bar,
)
from qingting.report.findings import Findings, is_number
from qingting.report.measures import Group, Measure
from qingting.report.quantities import decimal, percent
from qingting.report.results import ArmResult, Interval, Measurements
from qingting.report.tables import DASH, difference_text
from qingting.report.texts import Bilingual, both, text
from qingting.report.words import baseline_name

MAX_FORESTS = 9


class NoFigure(NamedTuple):
    """Stands where a figure would be, with the reason there is none."""

    title: Bilingual
    reason: Bilingual


def series_of(findings: Findings, model: str) -> int:
    """Return the number of a model's colour and shape: its place among the candidates."""
    models = list(dict.fromkeys(arm.model for arm in findings.arms))
    return models.index(model)


def curve_figures(findings: Findings) -> tuple[Figure | NoFigure, ...]:
    """Return a panel for every tuned arm; a failed one says so."""
    return tuple(_curve(findings, n, arm) for n, arm in enumerate(findings.tuned))


def _curve(findings: Findings, n: int, arm: ArmResult) -> Figure | NoFigure:
    training = arm.training
    if training is None or not training.loss_curve:
        reason = (
            text("arm_failed", reason=arm.reason or text("no_reason"))
            if arm.status == "failed"
            else text("no_curve")
        )
        return NoFigure(both(arm.id), reason)
    first, last = training.loss_curve[0], training.loss_curve[-1]
    values = {"first": decimal(first.loss), "last": decimal(last.loss)}
    if training.validation_curve:
        lowest = min(training.validation_curve, key=lambda point: point.loss)
        description = text(
            "curve_description", **values, lowest=decimal(lowest.loss), step=lowest.step
        )
    else:
        description = text("curve_description_short", **values)
    figure = loss_curves(
        f"curve-{n}",
        both(arm.id),
        description,
        training=Curve([(p.step, p.loss) for p in training.loss_curve]),
        validation=Curve([(p.step, p.loss) for p in training.validation_curve]),
        series=series_of(findings, arm.model),
    )
    return figure._replace(note=description)


def forest_figures(findings: Findings) -> tuple[Figure, ...]:
    """Return a forest plot for each measure on which tuned arms met their bases, main ones first."""
    measures = findings.contrasted("tuned vs base")
    ordered = [m for m in findings.main if m in measures]
    ordered += [m for m in measures if m not in ordered and m.group != "detail"]
    return tuple(_forest(findings, n, measure) for n, measure in enumerate(ordered[:MAX_FORESTS]))


def _forest(findings: Findings, n: int, measure: Measure) -> Figure:
    rows = []
    contrasts = findings.contrasts("tuned vs base", measure)
    for one in contrasts:
        difference = one.difference if is_number(one.difference) else None
        interval = one.interval if isinstance(one.interval, Interval) else None
        shown = both(difference_text(measure, one))
        if difference is None or one.verdict == "undefined":
            shown, difference = text("undefined"), None
        rows.append(
            ForestRow(
                one.arm,
                one.verdict,
                shown,
                difference,
                interval.low if interval else None,
                interval.high if interval else None,
            )
        )
    verdicts = Counter(one.verdict for one in contrasts)
    is_lower = findings.direction(measure) == "lower"
    sides = ("better", "worse") if is_lower else ("worse", "better")
    return forest_plot(
        f"forest-{n}",
        text("forest_title", metric=measure.title),
        text(
            "forest_description",
            n=len(contrasts),
            better=verdicts["better"],
            worse=verdicts["worse"],
            open=verdicts["inconclusive"],
        ),
        rows=rows,
        ends=(text(f"forest_{sides[0]}_left"), text(f"forest_{sides[1]}_right")),
        factor=100.0 if measure.is_share else 1.0,
    )._replace(title=measure.title, note=text("difference_points") if measure.is_share else None)


def knowledge_figures(findings: Findings) -> tuple[Figure, ...]:
    """Return bars of exact accuracy with its baselines, one figure for each way of answering."""
    exact = [m for m in findings.measures_of("knowledge") if "elastic" not in m.canonical]
    return tuple(_knowledge(findings, n, measure) for n, measure in enumerate(exact))


def accuracy_figures(findings: Findings) -> tuple[Figure, ...]:
    """Return bars of the accuracy of sorting with its baselines, all languages and each."""
    found = [m for m in findings.measures_of("labels") if m.canonical == "accuracy"]
    return tuple(_knowledge(findings, n, measure) for n, measure in enumerate(found))


def _knowledge(findings: Findings, n: int, measure: Measure) -> Figure:
    rows = []
    for arm in findings.arms:
        score = findings.score(arm.id, measure)
        filled = "filled" if arm.variant == "tuned" else "hollow"
        css = f"{filled} {colour(series_of(findings, arm.model))}"
        if score is None or not is_number(score.mean):
            shown = text("failed") if arm.status == "failed" else text("missing")
            shown = Bilingual(f"{DASH} {shown.zh}", f"{DASH} {shown.en}")
            rows.append(BarRow(arm.id, shown, None, None, None, css))
            continue
        interval = score.interval if isinstance(score.interval, Interval) else None
        rows.append(
            BarRow(
                arm.id,
                both(measure.show(score.mean)),
                score.mean,
                interval.low if interval else None,
                interval.high if interval else None,
                css,
            )
        )
    baselines = findings.baselines(measure)
    # Guessing and the luckiest letter tell all that four letters would.
    chance = [one for one in baselines if one.name == "chance"]
    letters = [one for one in baselines if one.name != "chance"][-1:]
    lines = []
    for one in (*chance, *letters):
        name = baseline_name(one.name)
        value = measure.show(one.value)
        lines.append(Line(one.value, Bilingual(f"{name.zh} {value}", f"{name.en} {value}")))
    best = findings.best(measure)
    return bars(
        f"knowledge-{n}",
        text("knowledge_title", metric=measure.title)
        if measure.group == "knowledge"
        else measure.title,
        text(
            "knowledge_description",
            n=len(rows),
            best=measure.show(best[1]) if best else text("missing"),
            baseline=measure.show(baselines[-1].value)
            if baselines
            else text("knowledge_no_baseline"),
        ),
        rows=rows,
        lines=lines,
        show=lambda value: percent(value, digits=0),
    )._replace(title=measure.title)


class _Plot(NamedTuple):
    """What one scatter shows: a cost of every arm against the first measure of some groups."""

    title: str
    axis: Bilingual
    costs: dict[str, float]
    groups: tuple[Group, ...]
    is_cost: bool = True


def cost_figures(findings: Findings, measurements: Measurements) -> tuple[Figure, ...]:
    """Return scatters of quality against speed, time and memory, as far as they were measured."""
    figures: list[Figure] = []
    for plot in _plots(measurements):
        measure = next((m for g in plot.groups for m in findings.primary(g)[:1]), None)
        if measure is not None:
            figure = _scatter(findings, len(figures), measure, plot)
            figures += [figure] if figure else []
    return tuple(figures)


def _plots(measurements: Measurements) -> tuple[_Plot, ...]:
    sizes = batch_sizes(measurements)
    small, large = (sizes[0], sizes[-1]) if sizes else (0, 0)
    timed = {
        size: {
            one.arm: i for one in measurements.arms for i in one.inference if i.batch_size == size
        }
        for size in (small, large)
    }
    peak = max((i.peak_memory_bytes for i in timed[large].values()), default=0)
    unit, name = (2**30, "GiB") if peak >= 2**30 else (2**20, "MiB")
    times = {one.arm: one.training.wall_s for one in measurements.arms if one.training}
    speeds = {arm: i.tokens_per_s for arm, i in timed[large].items()}
    memories = {arm: i.peak_memory_bytes / unit for arm, i in timed[large].items()}
    waits = {arm: 1000 * i.time_to_first_token_s for arm, i in timed[small].items()}
    likelihood: tuple[Group, ...] = ("likelihood", "overlap", "labels")
    return (
        _Plot("scatter_speed", text("axis_speed", batch=large), speeds, likelihood, is_cost=False),
        _Plot("scatter_training", text("axis_train_time"), times, likelihood),
        _Plot("scatter_latency", text("axis_first_token", batch=small), waits, ("overlap",)),
        _Plot(
            "scatter_memory",
            text("axis_memory", batch=large, unit=name),
            memories,
            ("knowledge", "overlap"),
        ),
    )


def _scatter(findings: Findings, n: int, measure: Measure, plot: _Plot) -> Figure | None:
    costs = plot.costs
    shown = [
        (arm, costs[arm.id], float(score.mean))
        for arm in findings.arms
        if arm.id in costs
        and (score := findings.score(arm.id, measure)) is not None
        and is_number(score.mean)
    ]
    if len(shown) < 2:
        return None
    indices = {arm.id: place for place, (arm, _, _) in enumerate(shown)}
    tuned_per_model = Counter(arm.model for arm, _, _ in shown if arm.variant == "tuned")
    links, points = [], []
    for arm, x, y in shown:
        base = findings.base_of(arm)
        has_base = base is not None and base.id in indices
        if arm.variant == "tuned" and base is not None and has_base:
            links.append((indices[base.id], indices[arm.id]))
        pair = tuned_per_model[arm.model] == 1
        label = arm.id
        if pair and arm.variant == "base":
            label = ""  # the tuned point at the other end of the line carries the model's name
        elif pair and has_base:
            label = arm.model
        points.append(Point(x, y, series_of(findings, arm.model), arm.variant == "tuned", label))
    up = "down" if findings.direction(measure) == "lower" else "up"
    show: Callable[[float], str] = lambda value: (  # noqa: E731
        percent(value, digits=0) if measure.is_share else decimal(value, digits=2)
    )
    return scatter(
        f"cost-{n}",
        text(plot.title),
        text("scatter_description", n=len(points), x=plot.axis, y=measure.title),
        points=points,
        links=links,
        axes=(plot.axis, measure.title),
        corner=text(f"scatter_corner_{up}{'_left' if plot.is_cost else ''}"),
        show_y=show,
    )


def split_figure(findings: Findings) -> Figure:
    """Return how the dialogues were divided."""
    data = findings.outcomes.data
    parts = {"train": data.n_train, "validation": data.n_validation, "test": data.n_test}
    return split_bar(
        "split",
        text("split_title"),
        text("split_description", **parts),
        parts=[(n, text(f"split_{name}")) for name, n in parts.items()],
    )
