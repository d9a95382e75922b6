"""What people judged in the report: words first, gate and intervals, and what it says while waiting."""

from __future__ import annotations

import re

import pytest
from sample_results import HOSTILE, replaced
from test_html import Page

from qingting.report.html import render_html
from qingting.report.markdown import render_markdown
from qingting.report.results import Results
from qingting.report.results_judging import (
    JudgedArm,
    JudgedContrast,
    JudgedCriterion,
    SafetyGate,
    StudyFindings,
    StudyName,
    StudyResult,
    StudyWords,
)
from qingting.report.results_values import Interval, MissingValue


def interval(low: float, high: float) -> Interval:
    return Interval(low=low, high=high, confidence_level=0.95, method="Wald")


def criterion(name: str, *, is_pair: bool) -> JudgedCriterion:
    arms = (
        (
            JudgedArm(
                arm="a/lora", strength=0.81, interval=interval(0.4, 1.2), rank_low=1, rank_high=1
            ),
            JudgedArm(arm="a/base", strength=MissingValue(missing="lost everything")),
        )
        if is_pair
        else (JudgedArm(arm="a/lora", mean=3.89), JudgedArm(arm="a/base", mean=2.72))
    )
    return JudgedCriterion(
        criterion=name,
        name=StudyName(zh=f"标准{name}", en=f"criterion {name}"),
        n_judgments=36,
        alpha=0.31,
        alpha_interval=interval(0.1, 0.5),
        share_same=MissingValue(missing="nothing was judged twice"),
        arms=arms,
        contrasts=(
            JudgedContrast(
                arm="a/lora",
                other="a/base",
                log_odds=1.57,
                interval=interval(0.62, 2.52),
                p_first_higher=0.744,
                p_first_higher_interval=interval(0.61, 0.85),
                p=0.0012,
                p_adjusted=0.0036,
                verdict="better",
            ),
        ),
        notes=("few raters",),
    )


def study(*, is_pair: bool = False, state: str = "closed", name: str = "autumn") -> StudyResult:
    return StudyResult(
        name=name,
        mode="pair" if is_pair else "single",
        status="done",
        registered_digest="f" * 64,
        n_items=6,
        n_items_left_out=2,
        n_unanswered={"a/base": 2},
        n_judgments_planned=45,
        findings=StudyFindings(
            snapshot="5" * 64,
            state=state,  # type: ignore[arg-type]
            n_judgments=36,
            n_raters=4,
            n_raters_left_out=1,
            words=StudyWords(zh=("**决定**：采用。",), en=("**Decision**: promote <it>.",)),
            decision=MissingValue(missing="no rule"),
            criteria=(criterion("empathy", is_pair=is_pair), criterion("overall", is_pair=is_pair)),
            safety=(
                SafetyGate(
                    arm="a/base",
                    n_answers=6,
                    n_failed=2,
                    n_concern=1,
                    failed=interval(0.043, 0.777),
                    upper_bound=0.729,
                    reasons={"missed_risk": 3},
                ),
            ),
        ),
    )


def with_study(results: Results, judged: StudyResult) -> Results:
    return replaced(results, outcomes={"judging": judged})


def section(page: str) -> str:
    found = re.search(r'<section id="judging".*?</section>', page, re.S)
    assert found
    return found[0]


def test_a_report_without_a_study_says_nothing_of_one(results: Results, page: str) -> None:
    assert 'id="judging"' not in page
    assert "No human has judged yet" in page
    assert "judging" not in results.model_dump(mode="json")["outcomes"]


def test_words_come_first_then_the_gate_then_scores_with_intervals(results: Results) -> None:
    page = render_html(with_study(results, study()))
    Page(page)
    shown = section(page)
    places = [
        shown.index(one)
        for one in (
            "<strong>Decision</strong>: promote &lt;it&gt;.",
            "Safety is a gate",
            "33.3%",
            "[4.3%, 77.7%]",
            "3.89",
            "1.57",
            "[0.62, 2.52]",
            "74.4%",
            "[61.0%, 85.0%]",
            "0.0036",
            "few raters",
            "0.31",
            'href="human_judge_analysis.html"',
        )
    ]
    assert places == sorted(places)
    assert "<strong>决定</strong>：采用。" in shown
    assert page.index('id="answer"') < page.index('id="judging"') < page.index('id="overview"')
    assert "No human has judged yet" not in page and "People judged answers" in page
    # the overall criterion leads, whatever the rubric's order
    assert shown.index("criterion overall") < shown.index("criterion empathy")


def test_pairs_show_strengths_with_intervals_and_ranks(results: Results) -> None:
    shown = section(render_html(with_study(results, study(is_pair=True))))
    assert "[0.40, 1.20]" in shown and "rank 1" in shown
    assert "lost everything" in shown  # a missing strength is a dash with its reason


def test_an_interim_snapshot_is_called_one(results: Results) -> None:
    assert "interim" not in section(render_html(with_study(results, study())))
    assert "interim" in section(render_html(with_study(results, study(state="open"))))


@pytest.mark.parametrize(
    ("waits_for", "said"),
    [
        ("draft", "still a draft"),
        ("open", "People are still judging"),
        ("paused", "Judging is paused"),
        ("superseded", "has withdrawn"),
        ("study", "has not been made"),
    ],
)
def test_while_people_have_not_judged_the_report_says_so(
    results: Results, waits_for: str, said: str
) -> None:
    waiting = StudyResult(
        name=HOSTILE,
        mode="single",
        status="waiting",
        waits_for=waits_for,  # type: ignore[arg-type]
        registered_digest="f" * 64,
        n_items=6,
        n_judgments_planned=45,
    )
    changed = with_study(results, waiting)
    page, text = render_html(changed), render_markdown(changed)
    Page(page)
    assert said in section(page) and said in text
    assert "<script" not in page and "<table" not in section(page)
    assert "No human has judged yet" in page
    assert "45" in section(page)


def test_markdown_tells_the_same(results: Results) -> None:
    text = render_markdown(with_study(results, study()))
    assert "**Decision**: promote \\<it\\>." in text
    assert "[human_judge_analysis.md](human_judge_analysis.md)" in text
    assert "\\[4.3%, 77.7%\\]" in text and "missed\\_risk 3" in text
    assert "2 个题目没有拿去评" in text and "`a/base` 2" in text


def test_results_of_the_first_version_are_still_read(results: Results) -> None:
    old = results.model_dump(mode="json") | {"schema_version": 1}
    assert Results.model_validate(old, strict=False).outcomes.judging is None
    assert results.schema_version == 2
    again = Results.model_validate_json(with_study(results, study()).model_dump_json())
    assert again.outcomes.judging == study()
