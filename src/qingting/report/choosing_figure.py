"""The figure of a choice: which arm wins for which weights."""

from __future__ import annotations

from math import hypot, sqrt

import numpy as np
from numpy.typing import NDArray

from qingting.report.choosing import Choice
from qingting.report.figures import N_COLOURS, Figure
from qingting.report.svg import Box, Canvas, Scale, text_width
from qingting.report.texts import Bilingual
from qingting.stats.choosing import winning_region

Spot = tuple[float, float]

_WIDTH = 640.0
_SIDE = 300.0
_LEFT = 24.0
_BOTTOM = 44 + _SIDE * sqrt(3) / 2
_ROW = 36.0
_MARK = 9.0
_GAP = 2.0
_N_GRID = 90


def choice_figure(choice: Choice) -> Figure:
    """Return the arms with the share of weights each wins, beside the weights of three criteria.

    The weights are a triangle of winning regions. A region holds the rank of its arm where there is
    room for the mark; names stand in the list beside it.
    """
    is_triangle = len(choice.weights) == 3 and len(choice.ranked) > 1
    left = _LEFT + _SIDE + 52 if is_triangle else 16.0
    height = 52 + _ROW * len(choice.ranked)
    if is_triangle:
        height = max(height, _BOTTOM + 60)
    canvas = Canvas(_WIDTH, height)
    if is_triangle:
        _triangle(canvas, choice)
    _shares(canvas, choice, left)
    title = Bilingual("哪组在哪些权重下胜出", "Which arm wins for which weights")
    description = Bilingual(
        "条形是每组在全部权重中胜出的份额；圆圈里的数字是名次。",
        "Bars are the share of all weights in which each arm comes first; numbers are ranks.",
    )
    return Figure(canvas.render("choice", title, description), title)


def _colours(choice: Choice) -> list[str]:
    """Return a colour's class for each arm; those that win somewhere come first and differ."""
    shares = choice.shares.values if choice.shares is not None else np.zeros(len(choice.ranked))
    order = sorted(range(len(choice.ranked)), key=lambda at: (not shares[at] > 0, at))
    return [f"c{order.index(at) % N_COLOURS}" for at in range(len(choice.ranked))]


def _spot(weights: tuple[float, float, float]) -> Spot:
    """Return where weights lie: the first at the lower left, the second right, the third on top."""
    x = _LEFT + _SIDE * (weights[1] + weights[2] / 2)
    return x, _BOTTOM - _SIDE * weights[2] * sqrt(3) / 2


def _triangle(canvas: Canvas, choice: Choice) -> None:
    colours = _colours(choice)
    regions = {}
    for at in range(len(choice.ranked)):
        region = winning_region(choice.table, at)
        if len(region) >= 3:
            regions[at] = [_spot((float(a), float(b), float(1 - a - b))) for a, b in region]
            canvas.polygon(regions[at], f"filled {colours[at]} region")
    corners = [_spot(one) for one in ((1, 0, 0), (0, 1, 0), (0, 0, 1))]
    canvas.path([*corners, corners[0]], "axis outline")
    _name_corners(canvas, list(choice.weights), corners)
    first, second, third = choice.weights.values()
    chosen = _spot((first, second, third))
    canvas.marker(3, chosen, "point hollow weight", size=5)
    taken = [chosen]
    for at, corners_of_region in regions.items():
        free = _room(corners_of_region, taken)
        if free is not None:
            taken.append(free)
            _mark(canvas, at, free, colours[at])
    key = (_LEFT + 6, _BOTTOM + 46)
    canvas.marker(3, key, "point hollow weight", size=5)
    canvas.text(
        (key[0] + 14, key[1] + 4), Bilingual("所给的权重", "the weights given"), "axis-label"
    )


def _name_corners(canvas: Canvas, names: list[str], corners: list[Spot]) -> None:
    first, second, third = (_fitting(name, _SIDE / 2) for name in names)
    canvas.text((_LEFT - 16, corners[0][1] + 18), first, "axis-label")
    canvas.text((corners[1][0] + 16, corners[1][1] + 18), second, "axis-label", anchor="end")
    canvas.text((corners[2][0], corners[2][1] - 10), third, "axis-label", anchor="middle")


def _room(region: list[Spot], taken: list[Spot]) -> Spot | None:
    """Return the place for a mark farthest from the edges of its region, or ``None`` if it is small.

    Regions are convex, and arms that tie have the same one, so marks also keep clear of those that
    stand already.
    """
    grid = _grid(region)
    room = _distance_to_edges(grid, region)
    for spot in taken:
        room[np.hypot(*(grid - spot).T) < 2 * _MARK + _GAP] = -np.inf
    best = int(np.argmax(room))
    return (float(grid[best, 0]), float(grid[best, 1])) if room[best] >= _MARK + _GAP else None


def _grid(region: list[Spot]) -> NDArray[np.float64]:
    """Return points (n, 2) that cover the rectangle around a region."""
    corners = np.array(region)
    sides = (
        np.linspace(low, high, _N_GRID)
        for low, high in zip(corners.min(axis=0), corners.max(axis=0), strict=True)
    )
    return np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, 2)


def _distance_to_edges(grid: NDArray[np.float64], region: list[Spot]) -> NDArray[np.float64]:
    """Return how far inside a convex region each point lies, (n,); negative outside."""
    corners = np.array(region)
    middle = corners.mean(axis=0)
    inside = np.full(len(grid), np.inf)
    for (x1, y1), (x2, y2) in zip(region, [*region[1:], region[0]], strict=True):
        length = hypot(x2 - x1, y2 - y1)
        if length < 1e-9:
            continue
        normal = np.array([y1 - y2, x2 - x1]) / length
        if (middle - (x1, y1)) @ normal < 0:
            normal = -normal
        inside = np.minimum(inside, (grid - (x1, y1)) @ normal)
    return inside


def _mark(canvas: Canvas, at: int, spot: Spot, colour: str) -> None:
    canvas.marker(0, spot, f"point hollow {colour}", size=_MARK)
    canvas.text((spot[0], spot[1] + 4), str(at + 1), "row-value", anchor="middle")


def _shares(canvas: Canvas, choice: Choice, left: float) -> None:
    """Write the list of arms: the mark that stands in the triangle, name, and share as a bar."""
    if choice.shares is None:
        return
    colours = _colours(choice)
    canvas.text((left, 24), Bilingual("胜出的权重份额", "share of weights won"), "axis-label")
    start = left + 2 * _MARK + 8
    x = Scale(0.0, 1.0, start, _WIDTH - 48)
    for at, name in enumerate(choice.ranked):
        middle = 40 + _ROW * (at + 0.5)
        share = float(choice.shares.values[at])
        _mark(canvas, at, (left + _MARK, middle), colours[at])
        canvas.text((start, middle - 3), _fitting(name, _WIDTH - start - 8), "row-label")
        bar = Box(x(0.0), middle + 3, x(share), middle + 12)
        canvas.rectangle(bar, f"bar {colours[at]}")
        canvas.text((x(share) + 6, middle + 12), f"{share:.0%}", "row-value halo")


def _fitting(words: str, width: float) -> str:
    """Return words that are no wider than a width, cut in the middle, where names differ least."""
    shown = words
    while text_width(shown) > width and len(words) > 4:
        n = len(words) - 1
        words = words[: n // 2] + words[n // 2 + 1 :]
        shown = f"{words[: len(words) // 2]}…{words[len(words) // 2 :]}"
    return shown
