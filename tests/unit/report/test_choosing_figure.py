"""The figure of a choice: numbers in regions, names beside them, nothing on top of anything."""

from __future__ import annotations

from itertools import combinations
from math import hypot
from xml.etree import ElementTree

import numpy as np
import pytest

from qingting.report.choosing import Choice, choose
from qingting.report.choosing_figure import choice_figure
from qingting.report.results import Results
from unit.report.choosing_results import arm, results_of, score, specialists

Spot = tuple[float, float]


def three_ways(*rows: tuple[str, float, float, float]) -> Choice:
    """Return a choice of arms with three scores each, all measured exactly, at equal weights."""
    names = ("accuracy", "chrf", "meteor")
    results = results_of(
        *(
            arm(name, *(score(metric, value) for metric, value in zip(names, values, strict=True)))
            for name, *values in rows
        )
    )
    return chosen(results, dict.fromkeys(names, 1 / 3))


def chosen(results: Results, weights: dict[str, float]) -> Choice:
    measures = {name: (name,) for name in weights}
    return choose(results, weights, measures, rng=np.random.default_rng(5))


def drawn(choice: Choice) -> ElementTree.Element:
    return ElementTree.fromstring(str(choice_figure(choice).svg))


def regions(figure: ElementTree.Element) -> list[list[Spot]]:
    return [
        [
            (float(x), float(y))
            for x, y in (pair.split(",") for pair in part.attrib["points"].split())
        ]
        for part in figure.iter("polygon")
        if "region" in part.attrib["class"]
    ]


def marks(figure: ElementTree.Element) -> list[Spot]:
    return [(float(part.attrib["cx"]), float(part.attrib["cy"])) for part in figure.iter("circle")]


def within(spot: Spot, polygon: list[Spot]) -> bool:
    """Return whether a convex polygon holds a point: it lies on one side of every edge."""
    (x, y), sides = spot, set()
    for (x1, y1), (x2, y2) in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
        turn = (x2 - x1) * (y - y1) - (y2 - y1) * (x - x1)
        if abs(turn) > 1:
            sides.add(turn > 0)
    return len(sides) == 1


SPECIALISTS = (
    ("first", 1.0, 0.0, 0.0),
    ("second", 0.0, 1.0, 0.0),
    ("third", 0.0, 0.0, 1.0),
    ("all-rounder", 0.5, 0.5, 0.5),
)


def test_a_region_holds_its_number_and_no_name() -> None:
    choice = three_ways(*SPECIALISTS)
    figure = drawn(choice)
    shapes = regions(figure)
    assert len(shapes) == 4
    in_regions = [spot for spot in marks(figure) if spot[0] < 340]
    assert len(in_regions) == 4
    for shape, spot in zip(shapes, in_regions, strict=True):
        assert [within(spot, other) for other in shapes].count(True) == 1
        assert within(spot, shape)
    names = {part.text: float(part.attrib["x"]) for part in figure.iter("text")}
    for name in choice.ranked:
        assert names[name] > 340  # beside the triangle, which ends there


def test_each_mark_in_the_triangle_has_the_number_and_colour_of_its_row() -> None:
    figure = drawn(three_ways(*SPECIALISTS))
    numbers = [p.text for p in figure.iter("text") if str(p.text).isdigit()]
    colours = [p.attrib["class"] for p in figure.iter("circle")]
    assert sorted(zip(numbers[:4], colours[:4], strict=True)) == sorted(
        zip(numbers[4:], colours[4:], strict=True)
    )


@pytest.mark.parametrize("seed", range(6))
def test_marks_keep_apart_from_one_another_and_from_the_weights_given(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = [(f"arm{n}", *map(float, rng.dirichlet([1, 1, 1]))) for n in range(9)]
    rows.append(("twin", *rows[0][1:]))  # ties everywhere with the first
    choice = three_ways(*rows)
    figure = drawn(choice)
    (weight, _) = [
        part for part in figure.iter("polygon") if part.attrib["class"].endswith("weight")
    ]
    corners = [tuple(map(float, pair.split(","))) for pair in weight.attrib["points"].split()]
    middle = tuple(np.mean(corners, axis=0))
    spots = [*marks(figure), middle]
    assert min(hypot(a[0] - b[0], a[1] - b[1]) for a, b in combinations(spots, 2)) >= 18


def test_arms_that_win_somewhere_have_colours_of_their_own() -> None:
    losers = [(f"loser{n}", 0.4 - n / 100, 0.4, 0.4) for n in range(9)]
    choice = three_ways(*losers, *SPECIALISTS)
    figure = drawn(choice)
    fills = [p.attrib["class"] for p in figure.iter("polygon") if "region" in p.attrib["class"]]
    assert len(set(fills)) == 4


def test_two_criteria_have_no_triangle_and_bars_as_long_as_their_shares() -> None:
    weights = {"bits-per-byte": 0.75, "knowledge-likelihood-exact": 0.25}
    figure = drawn(chosen(specialists(), weights))
    assert regions(figure) == []
    bars = [float(part.attrib["width"]) for part in figure.iter("rect")]
    assert bars == pytest.approx([bars[0], 0, bars[0]], abs=0.1)  # shares 1/2, 0, 1/2
    assert [p.text for p in figure.iter("text") if str(p.text).endswith("%")] == [
        "50%",
        "0%",
        "50%",
    ]


def test_long_names_are_cut_and_nothing_leaves_the_canvas() -> None:
    long = "internlm2.5-twenty-billion-parameters/lora-rank-sixty-four-seed-seven"
    figure = drawn(three_ways(*SPECIALISTS[:3], (long, 0.5, 0.5, 0.5)))
    (shown,) = [str(part.text) for part in figure.iter("text") if "…" in str(part.text)]
    head, _, tail = shown.partition("…")
    assert long.startswith(head) and long.endswith(tail)
    _, _, width, height = map(float, figure.attrib["viewBox"].split())
    for part in figure.iter():
        for name, limit in (("x", width), ("cx", width), ("y", height), ("cy", height)):
            assert 0 <= float(part.attrib.get(name, 0)) <= limit


def test_a_choice_without_a_ranked_arm_is_still_a_picture() -> None:
    results = results_of(arm("a", score("chrf", 0.1)), arm("b", score("meteor", 0.1)))
    figure = drawn(chosen(results, {"chrf": 0.5, "meteor": 0.5}))
    assert "哪组在哪些权重下胜出" in str(figure.findtext("title"))
    assert list(figure.iter("circle")) == []
