"""A curve with a band about it and a line to reach: power over sizes, an interval over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from qingting.report.figures import Figure
from qingting.report.svg import Box, Canvas, Scale, padded, tick_text, ticks
from qingting.report.texts import Bilingual

_WIDTH, _HEIGHT = 560.0, 320.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 58.0, 18.0, 18.0, 52.0


class BandPoint(NamedTuple):
    """A value at ``x`` with its interval."""

    x: float
    value: float
    low: float
    high: float


def band_figure(
    identity: str,
    title: Bilingual,
    description: Bilingual,
    *,
    points: Sequence[BandPoint],
    axes: tuple[Bilingual, Bilingual],
    line: tuple[float, Bilingual],
    limits: tuple[float, float] | None = None,
    are_few: bool,
) -> Figure:
    """Return values joined by a curve; intervals as whiskers where there are few, else as edges.

    ``line``: a height to compare with, and what it is. ``limits`` of the vertical axis; without
    them the range of what is drawn.
    """
    canvas = Canvas(_WIDTH, _HEIGHT)
    box = Box(_LEFT, _TOP, _WIDTH - _RIGHT, _HEIGHT - _BOTTOM)
    xs = [point.x for point in points]
    heights = [line[0], *(v for point in points for v in (point.low, point.high))]
    x = Scale(*padded(xs), box.left, box.right)
    y = Scale(*(limits or padded(heights)), box.bottom, box.top)
    _frame(canvas, x, y, box)
    canvas.line((box.left, y(line[0])), (box.right, y(line[0])), "baseline")
    below = points[-1].value >= line[0]  # the label keeps clear of the end of the curve
    canvas.text(
        (box.right, y(line[0]) + (14 if below else -5)), line[1], "base-label", anchor="end"
    )
    canvas.path([(x(p.x), y(p.value)) for p in points], "curve validation c0")
    if are_few:
        for p in points:
            canvas.line((x(p.x), y(p.low)), (x(p.x), y(p.high)), "whisker plain")
            canvas.marker(0, (x(p.x), y(p.value)), "dot c0", size=3.5)
    else:
        for edge in ("low", "high"):
            canvas.path([(x(p.x), y(getattr(p, edge))) for p in points], "curve training c1")
    canvas.text(((box.left + box.right) / 2, _HEIGHT - 12), axes[0], "axis-label", anchor="middle")
    canvas.text((8, 12), axes[1], "axis-label")
    return Figure(canvas.render(identity, title, description), title)


def _frame(canvas: Canvas, x: Scale, y: Scale, box: Box) -> None:
    for scale, is_height in ((y, True), (x, False)):
        found = ticks(scale.low, scale.high)
        step = found[1] - found[0] if len(found) > 1 else 1.0
        for tick in found:
            shown = tick_text(tick, step)
            if is_height:
                canvas.line((box.left, y(tick)), (box.right, y(tick)), "grid")
                canvas.text((box.left - 7, y(tick) + 4), shown, "tick", anchor="end")
            else:
                canvas.line((x(tick), box.bottom), (x(tick), box.bottom + 4), "axis")
                canvas.text((x(tick), box.bottom + 17), shown, "tick", anchor="middle")
    canvas.line((box.left, box.bottom), (box.right, box.bottom), "axis")
