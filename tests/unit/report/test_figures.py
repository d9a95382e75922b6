"""Figures are well-formed, labelled, and their labels keep apart."""

from __future__ import annotations

import random
from itertools import combinations
from xml.etree import ElementTree

import pytest

from qingting.report import charts
from qingting.report.findings import Findings
from qingting.report.results import Results
from qingting.report.svg import Box, place_labels, spread, tick_text, ticks


def drawn(results: Results) -> list[ElementTree.Element]:
    findings = Findings(results.outcomes)
    figures = [
        *charts.curve_figures(findings),
        *charts.forest_figures(findings),
        *charts.knowledge_figures(findings),
        *charts.cost_figures(findings, results.measurements),
        charts.split_figure(findings),
    ]
    return [
        ElementTree.fromstring(str(figure.svg))
        for figure in figures
        if not isinstance(figure, charts.NoFigure)
    ]


def test_every_figure_is_xml_with_title_and_description(results: Results) -> None:
    elements = drawn(results)
    assert len(elements) > 15
    identities = [e.find("title").get("id") for e in elements]  # type: ignore[union-attr]
    assert len(set(identities)) == len(identities)
    for element in elements:
        assert element.get("role") == "img"
        assert element.findtext("title") and element.findtext("desc")


def test_nothing_is_styled_inline_or_outside_the_canvas(results: Results) -> None:
    for element in drawn(results):
        _, _, width, height = map(float, element.get("viewBox", "").split())
        for part in element.iter():
            assert "style" not in part.attrib and "fill" not in part.attrib
            for name, limit in (("x", width), ("x1", width), ("x2", width), ("y", height)):
                if name in part.attrib:
                    assert -0.6 <= float(part.attrib[name]) <= limit + 0.6, part.attrib


def test_a_failed_arm_has_a_reason_in_place_of_its_curve(results_with_failure: Results) -> None:
    figures = charts.curve_figures(Findings(results_with_failure.outcomes))
    (absent,) = [figure for figure in figures if isinstance(figure, charts.NoFigure)]
    assert "NaN at step 17" in absent.reason.en


@pytest.mark.parametrize("seed", range(8))
def test_twelve_labels_keep_apart(seed: int) -> None:
    rng = random.Random(seed)
    points = [(rng.uniform(70, 440), rng.uniform(40, 320)) for _ in range(12)]
    labels = [f"some-model-{n}b/lora" for n in range(12)]
    placed = place_labels(points, labels, inside=Box(60, 28, 470, 330))
    for one, other in combinations(placed, 2):
        assert one.box.overlap(other.box) < 0.05 * 12 * 80


def test_labels_of_points_in_one_spot_keep_apart() -> None:
    points = [(240.0 + n, 180.0 + n) for n in range(12)]
    labels = [f"model-{n}/lora" for n in range(12)]
    placed = place_labels(points, labels, inside=Box(60, 28, 470, 330))
    assert all(not a.box.overlap(b.box) for a, b in combinations(placed, 2))


def test_spread_keeps_order_gap_and_range() -> None:
    moved = spread([50, 51, 52, 10], gap=15, low=0, high=60)
    assert moved[3] < moved[0] < moved[1] < moved[2] <= 60
    assert min(b - a for a, b in zip(sorted(moved), sorted(moved)[1:], strict=False)) >= 14.999


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-0.254, 0.01), (1.38, 1.74), (0, 9e9), (2, 2)])
def test_ticks_are_round_and_within(low: float, high: float) -> None:
    found = ticks(low, high)
    assert found and all(low - 1e-9 <= tick <= high + 1e-9 for tick in found)
    assert len(found) <= 9


def test_ticks_are_written_with_the_digits_of_their_step() -> None:
    assert [tick_text(value, 0.25) for value in (0.25, 0.5)] == ["0.25", "0.50"]
    assert tick_text(-0.1, 0.1) == "−0.1"
    assert tick_text(-1e-17, 0.1) == "0"
    assert tick_text(1500, 500) == "1,500"
