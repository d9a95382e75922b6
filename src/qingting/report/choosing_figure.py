"""The figure of a choice: which arm wins for which weights."""

from __future__ import annotations

from math import sqrt

import numpy as np

from qingting.report.choosing import Choice
from qingting.report.figures import Figure
from qingting.report.svg import Box, Canvas, Scale
from qingting.report.texts import Bilingual
from qingting.stats.choosing import winning_region

_WIDTH = 640.0
_SIDE = 300.0
_ROW = 26.0
_COLOURS = 8


def choice_figure(choice: Choice) -> Figure:
    """Return the weights of three criteria as a triangle of winning regions, and shares as bars."""
    is_triangle = len(choice.weights) == 3 and len(choice.ranked) > 1
    top = _SIDE * sqrt(3) / 2 + 92 if is_triangle else 20.0
    height = top + 46 + _ROW * len(choice.ranked)
    canvas = Canvas(_WIDTH, height)
    if is_triangle:
        _triangle(canvas, choice)
    _bars(canvas, choice, top)
    title = Bilingual("哪组在哪些权重下胜出", "Which arm wins for which weights")
    description = Bilingual(
        "条形是每组在全部权重中胜出的份额。",
        "Bars are the share of all weights in which each arm comes first.",
    )
    return Figure(canvas.render("choice", title, description), title)


def _corner(weights: tuple[float, float, float]) -> tuple[float, float]:
    """Return where weights lie: the first at the lower left, the second right, the third on top."""
    left, bottom = (_WIDTH - _SIDE) / 2, 40 + _SIDE * sqrt(3) / 2
    x = left + _SIDE * (weights[1] + weights[2] / 2)
    return x, bottom - _SIDE * weights[2] * sqrt(3) / 2


def _triangle(canvas: Canvas, choice: Choice) -> None:
    for at in range(len(choice.ranked)):
        region = winning_region(choice.table, at)
        if len(region) < 3:
            continue
        points = [_corner((float(a), float(b), float(1 - a - b))) for a, b in region]
        canvas.polygon(points, f"filled c{at % _COLOURS} region")
        middle = np.mean(points, axis=0)
        if choice.shares is not None and choice.shares.values[at] > 0.08:
            words = f"{at + 1}. {choice.ranked[at]}"
            canvas.text((middle[0], middle[1] + 4), words, "row-label halo", anchor="middle")
    names = list(choice.weights)
    corners = [_corner(one) for one in ((1, 0, 0), (0, 1, 0), (0, 0, 1))]
    canvas.path([*corners, corners[0]], "axis outline")
    for name, (x, y), anchor in zip(names, corners, ("end", "start", "middle"), strict=True):
        dy = -10 if anchor == "middle" else 18
        canvas.text((x, y + dy), name, "axis-label", anchor=anchor)  # type: ignore[arg-type]
    weights = tuple(choice.weights.values())
    canvas.marker(0, _corner((weights[0], weights[1], weights[2])), "point hollow weight", size=5)


def _bars(canvas: Canvas, choice: Choice, top: float) -> None:
    if choice.shares is None:
        return
    x = Scale(0.0, 1.0, 200.0, _WIDTH - 70)
    canvas.text((8, top), Bilingual("胜出的权重份额", "share of weights won"), "axis-label")
    for at, name in enumerate(choice.ranked):
        middle = top + 14 + _ROW * (at + 0.5)
        share = float(choice.shares.values[at])
        canvas.text((x(0.0) - 8, middle + 4), f"{at + 1}. {name}", "row-label", anchor="end")
        canvas.rectangle(Box(x(0.0), middle - 8, x(share), middle + 8), f"bar c{at % _COLOURS}")
        canvas.text((x(share) + 6, middle + 4), f"{share:.0%}", "row-value halo")
