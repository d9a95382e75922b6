"""Four kinds of figure as inline SVG: loss curves, forest plot, bars, scatter.

Each is drawn at the width at which it is read on a phone; the page lays several side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from markupsafe import Markup

from qingting.report.svg import (
    Anchor,
    Box,
    Canvas,
    Scale,
    padded,
    place_labels,
    spread,
    text_width,
    tick_text,
    ticks,
)
from qingting.report.texts import Bilingual, text

N_COLOURS = 8
PANEL_WIDTH = 350.0


class Figure(NamedTuple):
    """An SVG element with what stands above it and, where there is more to say, below."""

    svg: Markup
    title: Bilingual
    note: Bilingual | None = None


class Curve(NamedTuple):
    """Losses over steps."""

    points: Sequence[tuple[float, float]]


class ForestRow(NamedTuple):
    """One contrast: ``verdict`` is a CSS class; without values ``reason`` stands in their place."""

    label: str
    verdict: str
    shown: Bilingual
    difference: float | None
    low: float | None = None
    high: float | None = None


class BarRow(NamedTuple):
    """One bar from 0 to ``value`` with its interval; without a value ``shown`` says why."""

    label: str
    shown: Bilingual
    value: float | None
    low: float | None
    high: float | None
    css: str


class Line(NamedTuple):
    """A vertical line across all bars, with a label."""

    value: float
    label: Bilingual


class Point(NamedTuple):
    """A point of a scatter; ``series`` chooses colour and shape, ``is_filled`` tuned or base."""

    x: float
    y: float
    series: int
    is_filled: bool
    label: str


def colour(series: int) -> str:
    """Return the class of the ``series``-th colour."""
    return f"c{series % N_COLOURS}"


def loss_curves(
    identity: str,
    title: Bilingual,
    description: Bilingual,
    *,
    training: Curve,
    validation: Curve,
    series: int,
) -> Figure:
    """Return training (thin) and validation loss (thick, dotted) of one arm, labelled directly."""
    width, height = PANEL_WIDTH, 214.0
    left, right, top, bottom = 44.0, width - 80, 14.0, height - 28
    canvas = Canvas(width, height)
    every = [*training.points, *validation.points]
    x = Scale(0.0, max(step for step, _ in every) or 1.0, left, right)
    y = Scale(*padded(loss for _, loss in every), bottom, top)
    _frame(canvas, x, y, Box(left, top, right, bottom))
    css = colour(series)
    ends: list[tuple[float, str]] = []
    for curve, kind in ((training, "training"), (validation, "validation")):
        if not curve.points:
            continue
        drawn = [(x(step), y(loss)) for step, loss in curve.points]
        canvas.path(drawn, f"curve {kind} {css}")
        if kind == "validation":
            for at in drawn:
                canvas.marker(0, at, f"dot {css}", size=2.6)
        ends.append((drawn[-1][1], kind))
    heights = spread([end for end, _ in ends], gap=15, low=top + 6, high=bottom - 2)
    for (_, kind), height_at in zip(ends, heights, strict=True):
        words = text(f"curve_{kind}")
        canvas.text((right + 11, height_at + 4), words, f"direct {kind} {css}")
    if validation.points:
        step, loss = min(validation.points, key=lambda point: point[1])
        canvas.marker(0, (x(step), y(loss)), f"ring {css}", size=6)
    return Figure(canvas.render(identity, title, description), title)


def forest_plot(
    identity: str,
    title: Bilingual,
    description: Bilingual,
    *,
    rows: Sequence[ForestRow],
    ends: tuple[Bilingual, Bilingual],
    factor: float = 1.0,
) -> Figure:
    """Return contrasts with intervals about zero; ``ends`` says what left and right of it mean.

    ``factor`` multiplies the numbers on the axis: 100 for percentage points.
    """
    row_height, top = 38.0, 28.0
    bottom = top + row_height * len(rows)
    canvas = Canvas(PANEL_WIDTH, bottom + 26)
    left, right = 12.0, PANEL_WIDTH - 12
    values = [v for row in rows for v in (row.difference, row.low, row.high) if v is not None]
    x = Scale(*padded([0.0, *values]), left, right)
    zero = x(0.0)
    for tick in _ticks_of(x):
        step = _step_of(x)
        shown = tick_text(tick * factor, step * factor)
        canvas.text((x(tick), bottom + 15), shown, "tick", anchor="middle")
    canvas.text((left, 15), ends[0], "end-label")
    canvas.text((right, 15), ends[1], "end-label", anchor="end")
    for place, row in enumerate(rows):
        middle = top + row_height * place
        # Lines stand behind the marks only: through the words they would strike them out.
        for tick in _ticks_of(x):
            canvas.line((x(tick), middle + 19), (x(tick), middle + 35), "grid")
        canvas.line((zero, middle + 19), (zero, middle + 35), "zero")
        canvas.text((left, middle + 14), row.label, "row-label")
        canvas.text((right, middle + 14), row.shown, f"row-value {row.verdict}", anchor="end")
        if row.difference is None:
            continue
        at = middle + 27
        if row.low is not None and row.high is not None:
            canvas.line((x(row.low), at), (x(row.high), at), f"whisker {row.verdict}")
        shape = {"better": 0, "worse": 3}.get(row.verdict, 0)
        canvas.marker(shape, (x(row.difference), at), f"mark {row.verdict}", size=4.8)
    return Figure(canvas.render(identity, title, description), title)


def bars(
    identity: str,
    title: Bilingual,
    description: Bilingual,
    *,
    rows: Sequence[BarRow],
    lines: Sequence[Line],
    show: Callable[[float], str],
) -> Figure:
    """Return bars from zero with intervals, and labelled lines for the baselines."""
    row_height, line_height = 36.0, 14.0
    top = 10.0 + line_height * max(1, len(lines) - 1)
    bottom = top + row_height * len(rows)
    canvas = Canvas(PANEL_WIDTH, bottom + 24)
    left, right = 10.0, PANEL_WIDTH - 12
    values = [v for row in rows for v in (row.value, row.high) if v is not None]
    widest = max((text_width(w, 11) for line in lines for w in line.label), default=0.0)
    reach = max((line.value for line in lines), default=0.0)
    # Room to the right of the highest line for its name.
    share = 1 - (widest + 10) / (right - left)
    x = Scale(0.0, max([1.08 * max(values, default=0.0), reach / share, 1e-9]), left, right)
    for tick in _ticks_of(x):
        canvas.text((x(tick), bottom + 15), show(tick), "tick", anchor="middle")
    for place, row in enumerate(rows):
        middle = top + row_height * place
        canvas.text((left, middle + 13), row.label, "row-label")
        canvas.text((right, middle + 13), row.shown, "row-value", anchor="end")
        for tick in _ticks_of(x):
            canvas.line((x(tick), middle + 17), (x(tick), middle + 32), "grid")
        if row.value is None:
            continue
        canvas.rectangle(Box(left, middle + 19, x(row.value), middle + 30), f"bar {row.css}")
        if row.low is not None and row.high is not None:
            at = middle + 24.5
            canvas.line((x(max(0.0, row.low)), at), (x(row.high), at), "whisker plain")
            for end in (row.low, row.high):
                canvas.line((x(max(0.0, end)), at - 4), (x(max(0.0, end)), at + 4), "whisker plain")
    for n, line in enumerate(sorted(lines, key=lambda one: one.value)):
        # The lowest is named to its left and the highest to its right, so that neither label
        # crosses the other line however close the two are.
        is_left = n == 0 and len(lines) > 1
        at, level = x(line.value), 11.0 + line_height * max(0, len(lines) - 1 - max(n, 1))
        canvas.line((at, level - 6), (at, top + 6), "baseline")
        for place in range(len(rows)):
            above = top + row_height * place
            canvas.line((at, above + 17), (at, above + 32), "baseline")
        anchor: Anchor = "end" if is_left else "start"
        canvas.text(
            (at + (-5 if is_left else 5), level + 3), line.label, "base-label", anchor=anchor
        )
    return Figure(canvas.render(identity, title, description), title)


def scatter(
    identity: str,
    title: Bilingual,
    description: Bilingual,
    *,
    points: Sequence[Point],
    links: Sequence[tuple[int, int]],
    axes: tuple[Bilingual, Bilingual],
    corner: Bilingual,
    show_y: Callable[[float], str],
) -> Figure:
    """Return labelled points; ``links`` joins a model's base to its tuned arm by index.

    Points with an empty label are named by the point they are linked to.
    """
    width, height = 480.0, 372.0
    left, right, top, bottom = 62.0, width - 16, 30.0, height - 46
    canvas = Canvas(width, height)
    x = Scale(*padded((p.x for p in points), share=0.12), left, right)
    y = Scale(*padded((p.y for p in points), share=0.12), bottom, top)
    _frame(canvas, x, y, Box(left, top, right, bottom), show_y=show_y)
    canvas.text(((left + right) / 2, height - 8), axes[0], "axis-label", anchor="middle")
    canvas.text((8, 16), axes[1], "axis-label")
    canvas.text((right, 16), corner, "end-label", anchor="end")
    drawn = [(x(p.x), y(p.y)) for p in points]
    crossed: list[Box] = []
    for start, end in links:
        canvas.line(drawn[start], drawn[end], f"link {colour(points[end].series)}")
        crossed += _along(drawn[start], drawn[end])
    obstacles = [Box(px - 7, py - 7, px + 7, py + 7) for px, py in drawn]
    named = [n for n, point in enumerate(points) if point.label]
    places = place_labels(
        [drawn[n] for n in named],
        [points[n].label for n in named],
        inside=Box(left + 2, top + 2, right + 12, bottom - 2),
        obstacles=obstacles,
        lines=crossed,
    )
    for n, placed in zip(named, places, strict=True):
        if placed.is_far:
            canvas.line(drawn[n], _nearest(placed.box, drawn[n]), "leader")
    for point, at in zip(points, drawn, strict=True):
        filled = "filled" if point.is_filled else "hollow"
        canvas.marker(point.series, at, f"point {filled} {colour(point.series)}", size=5.5)
    for n, placed in zip(named, places, strict=True):
        css = f"point-label halo t{points[n].series % N_COLOURS}"
        canvas.text((placed.x, placed.y), points[n].label, css, anchor=placed.anchor)
    return Figure(canvas.render(identity, title, description), title)


def split_bar(
    identity: str,
    title: Bilingual,
    description: Bilingual,
    *,
    parts: Sequence[tuple[int, Bilingual]],
) -> Figure:
    """Return one bar divided in proportion, each part with its name and number below."""
    width, height = PANEL_WIDTH, 62.0
    canvas = Canvas(width, height)
    total = sum(n for n, _ in parts) or 1
    at = 0.0
    centres, names = [], []
    for place, (n, name) in enumerate(parts):
        wide = width * n / total
        canvas.rectangle(Box(at, 4, max(at + 1.5, at + wide - 2), 26), f"bar s{place}")
        centres.append(at + wide / 2)
        names.append(Bilingual(f"{name.zh} {n:,}", f"{name.en} {n:,}"))
        at += wide
    widest = max((max(text_width(n.zh), text_width(n.en)) for n in names), default=0.0)
    apart = spread(centres, gap=widest + 14, low=widest / 2, high=width - widest / 2)
    for place_at, label, centre in zip(apart, names, centres, strict=True):
        canvas.line((centre, 27), (place_at, 40), "leader")
        canvas.text((place_at, 55), label, "row-label", anchor="middle")
    return Figure(canvas.render(identity, title, description), title)


def _frame(
    canvas: Canvas, x: Scale, y: Scale, box: Box, *, show_y: Callable[[float], str] | None = None
) -> None:
    for tick in _ticks_of(y):
        canvas.line((box.left, y(tick)), (box.right, y(tick)), "grid")
        shown = show_y(tick) if show_y else tick_text(tick, _step_of(y))
        canvas.text((box.left - 7, y(tick) + 4), shown, "tick", anchor="end")
    for tick in _ticks_of(x):
        canvas.text(
            (x(tick), box.bottom + 17), tick_text(tick, _step_of(x)), "tick", anchor="middle"
        )
        canvas.line((x(tick), box.bottom), (x(tick), box.bottom + 4), "axis")
    canvas.line((box.left, box.bottom), (box.right, box.bottom), "axis")


def _ticks_of(scale: Scale) -> tuple[float, ...]:
    return ticks(scale.low, scale.high)


def _step_of(scale: Scale) -> float:
    found = _ticks_of(scale)
    return found[1] - found[0] if len(found) > 1 else 1.0


def _nearest(box: Box, point: tuple[float, float]) -> tuple[float, float]:
    """Return where a leader meets a label's box: the middle of its nearer edge."""
    x, _ = point
    across = box.left if x < box.left else box.right if x > box.right else x
    return across, (box.top + box.bottom) / 2


def _along(start: tuple[float, float], end: tuple[float, float]) -> list[Box]:
    """Return small boxes along a line, for labels to keep clear of."""
    (x1, y1), (x2, y2) = start, end
    return [
        Box(
            x1 + (x2 - x1) * t - 2,
            y1 + (y2 - y1) * t - 4,
            x1 + (x2 - x1) * t + 2,
            y1 + (y2 - y1) * t + 4,
        )
        for t in (n / 12 for n in range(1, 12))
    ]
