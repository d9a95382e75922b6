"""From an analysis of simulated raters to the report's figures: the same, in the report's form."""

from __future__ import annotations

from pathlib import Path

import pytest

from qingting.core.missing import Missing
from qingting.judging.analysis import analyse
from qingting.report.judging_findings import study_findings
from qingting.report.results_values import Interval, MissingValue
from qingting.stats.rating_results import OrdinalMixedFit
from qingting.stats.vote_results import VoteRanking
from unit.judging.simulated_study import ARMS, simulated


def test_scores_keep_their_figures_and_are_corrected_for_all_pairs(tmp_path: Path) -> None:
    result = analyse(simulated(tmp_path, careless=1, n_raters=9), digest="d" * 64)
    found = study_findings(result)
    source = next(one for one in result.criteria if one.criterion == "overall")
    overall = next(one for one in found.criteria if one.criterion == "overall")
    assert [arm.arm for arm in overall.arms] == list(ARMS)  # best first
    assert source.means is not None and isinstance(source.ratings, OrdinalMixedFit)
    assert {arm.arm: arm.mean for arm in overall.arms} == source.means
    assert isinstance(overall.contrasts, tuple)
    for one in overall.contrasts:
        fit = source.ratings.contrast(one.arm, one.other)
        assert not isinstance(fit.p_value, Missing)
        assert one.p_adjusted == pytest.approx(min(1.0, 3 * fit.p_value))  # three pairs of arms
        assert isinstance(one.interval, Interval) and isinstance(one.log_odds, float)
        assert one.interval.low < one.log_odds < one.interval.high
        assert isinstance(one.p_adjusted, float)
        settled = "better" if one.log_odds > 0 else "worse"
        assert one.verdict == (settled if one.p_adjusted <= 0.05 else "inconclusive")
        if {one.arm, one.other} == {"strong", "weak"}:
            assert one.verdict == ("better" if one.arm == "strong" else "worse")
    assert (found.n_raters, found.n_raters_left_out) == (8, 1)
    gate = {one.arm: one for one in found.safety}
    assert gate["strong"].n_failed == 0
    assert gate["strong"].upper_bound == pytest.approx(1 - 0.05 ** (1 / 24))
    assert any("strong above weak" in words for words in found.words.en)
    assert any("strong 好于 weak" in words for words in found.words.zh)
    assert not any(words.startswith("#") for words in (*found.words.en, *found.words.zh))
    assert isinstance(found.decision, MissingValue)


def test_pairs_keep_strengths_ranks_and_holms_correction(tmp_path: Path) -> None:
    result = analyse(simulated(tmp_path, mode="pair", n_scenarios=30), digest="d" * 64)
    overall = next(o for o in study_findings(result).criteria if o.criterion == "overall")
    source = next(one for one in result.criteria if one.criterion == "overall").ranking
    assert isinstance(source, VoteRanking)
    assert [arm.arm for arm in overall.arms] == list(ARMS)
    assert [(arm.rank_low, arm.rank_high) for arm in overall.arms] == [
        (one.rank_low, one.rank_high) for one in source.arms
    ]
    assert isinstance(overall.contrasts, tuple)
    assert [one.p_adjusted for one in overall.contrasts] == [one.p_holm for one in source.contrasts]
    assert all(arm.mean is None and isinstance(arm.interval, Interval) for arm in overall.arms)


def test_a_rule_that_was_registered_decides(tmp_path: Path) -> None:
    rule = tmp_path / "rule.yaml"
    rule.write_text(
        "candidate: strong\nbaseline: weak\nscale: [1, 5]\n"
        "primary: {criterion: overall, margin: 0}\nsafety: {at_most: 0.2}\n"
        "minimum: {prompts: 20, raters: 3, safety_answers: 20}\n",
        encoding="utf-8",
    )
    result = analyse(simulated(tmp_path, decision=str(rule)), digest="d")
    decision = study_findings(result).decision
    assert not isinstance(decision, MissingValue)
    assert decision.answer == "promote"
