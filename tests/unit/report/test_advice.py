"""Advice follows from findings, names them, and stays silent without them."""

from __future__ import annotations

from typing import Any

import pytest
from sample_results import replaced, sample_results

from qingting.report.advice import advise, prompts_to_settle
from qingting.report.results import (
    Advice,
    ContrastResult,
    CurvePoint,
    Interval,
    Results,
)


def contrast(difference: float, half: float, *, n_items: int = 40) -> ContrastResult:
    return ContrastResult(
        family="tuned vs base",
        metric="chrf",
        language="zh",
        arm="a/lora",
        other="a/base",
        difference=difference,
        interval=Interval(
            low=difference - half, high=difference + half, confidence_level=0.95, method="t"
        ),
        p=0.2,
        p_adjusted=0.4,
        verdict="inconclusive",
        n_items=n_items,
        n_missing=0,
    )


def outcomes_advice(results: Results) -> list[str]:
    return [one.en for one in advise(results.outcomes, results.measurements)[0]]


def with_training(results: Results, **fields: Any) -> Results:
    """Return the results with fields of every arm's training changed."""
    arms = tuple(
        arm.model_copy(update={"training": arm.training.model_copy(update=fields)})
        if arm.training
        else arm
        for arm in results.outcomes.arms
    )
    return replaced(results, outcomes={"arms": arms})


def curve(*losses: float) -> tuple[CurvePoint, ...]:
    return tuple(CurvePoint(step=10 * n, loss=loss) for n, loss in enumerate(losses, start=1))


def test_items_to_settle_follow_from_the_normal_approximation() -> None:
    # SE = 0.02 / 1.96; n = 40 · ((1.96 + 0.8416) · SE / 0.01)² = 40 · (2.8016 · 1.0204)² = 326.9
    assert prompts_to_settle(contrast(0.01, 0.02)) == 327
    # corrected for 5 comparisons z = 2.5758: 40 · ((2.5758 + 0.8416) · 1.0204)² = 486.4
    assert prompts_to_settle(contrast(0.01, 0.02), n_comparisons=5) == 487


def test_items_to_settle_are_never_fewer_than_there_are() -> None:
    assert prompts_to_settle(contrast(0.1, 0.02)) == 41


def test_items_to_settle_are_unknown_without_a_difference() -> None:
    assert prompts_to_settle(contrast(0.0, 0.02)) is None


@pytest.mark.parametrize(
    ("validation", "expected", "absent"),
    [
        ((3.0, 2.8, 2.6), "still falling at the end", "rose after step"),
        ((3.0, 2.6, 2.8), "rose after step 20", "still falling"),
    ],
)
def test_the_shape_of_validation_loss_gives_advice(
    validation: tuple[float, ...], expected: str, absent: str
) -> None:
    results = with_training(
        sample_results(), validation_curve=curve(*validation), validation_loss=validation[-1]
    )
    said = " ".join(outcomes_advice(results))
    assert expected in said and absent not in said


def test_a_level_validation_loss_gives_none() -> None:
    results = with_training(
        sample_results(), validation_curve=curve(3.0, 2.8, 2.8), validation_loss=2.8
    )
    said = " ".join(outcomes_advice(results))
    assert "still falling" not in said and "rose after" not in said


def test_a_gap_between_training_and_validation_gives_advice() -> None:
    results = with_training(sample_results(), final_loss=2.0, validation_loss=3.0)
    assert any("a sign of memorising" in one for one in outcomes_advice(results))
    even = with_training(sample_results(), final_loss=2.9, validation_loss=3.0)
    assert not any("a sign of memorising" in one for one in outcomes_advice(even))


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("knowledge-likelihood-exact", "lost knowledge through tuning"),
        ("bits-per-byte", "predict a counsellor's words worse"),
    ],
)
def test_a_tuned_model_worse_than_its_base_gives_advice(metric: str, expected: str) -> None:
    results = sample_results()
    turned = tuple(
        one.model_copy(update={"verdict": "worse"})
        if one.metric == metric and one.family == "tuned vs base"
        else one
        for one in results.outcomes.contrasts
    )
    said = outcomes_advice(replaced(results, outcomes={"contrasts": turned}))
    assert any(expected in one for one in said)
    assert not any(expected in one for one in outcomes_advice(results))


def test_knowledge_near_chance_is_not_to_be_relied_on() -> None:
    results = sample_results()
    assert any("do not use it to explain facts" in one for one in outcomes_advice(results))
    low = tuple(one.model_copy(update={"value": 0.01}) for one in results.outcomes.baselines)
    said = outcomes_advice(replaced(results, outcomes={"baselines": low}))
    assert not any("explain facts" in one for one in said)


def test_lengths_are_judged_against_the_reference_only() -> None:
    results = sample_results()
    assert any("much longer than the counsellor's" in one for one in outcomes_advice(results))
    said = outcomes_advice(replaced(results, outcomes={"references": ()}))
    assert not any("than the counsellor's" in one for one in said)


def test_a_failed_arm_gives_advice(results_with_failure: Results) -> None:
    assert outcomes_advice(results_with_failure)[0].startswith("`chatglm3-tiny/lora` failed")


def test_one_seed_is_pointed_out() -> None:
    assert any("with one seed" in one for one in outcomes_advice(sample_results()))


def test_lost_and_cut_dialogues_give_advice() -> None:
    results = sample_results()
    data = results.outcomes.data.model_copy(update={"n_quarantined": 100, "n_cut": 60})
    said = " ".join(outcomes_advice(replaced(results, outcomes={"data": data})))
    assert (
        "30.1% of the dialogues went unused" in said and "18.3% of the dialogues were cut" in said
    )


def test_batching_waiting_and_packing_follow_from_measurements() -> None:
    results = sample_results()
    arms = tuple(
        one.model_copy(
            update={
                "inference": tuple(
                    i.model_copy(update={"time_to_first_token_s": 3.0}) for i in one.inference
                )
            }
        )
        for one in results.measurements.arms
    )
    specification = {
        **results.outcomes.specification,
        "recipe": {"packing": False, "effective_batch": 32},
    }
    changed = replaced(
        results,
        outcomes={"specification": specification},
        measurements={"arms": arms, "hardware": {"gpu_memory_bytes": 80 * 2**30}},
    )
    outcomes, measurements = advise(changed.outcomes, changed.measurements)
    said = " ".join(one.en for one in measurements)
    assert "rises at least" in said and "a silence clients notice" in said
    assert "without packing" in said and "a larger micro_batch" in said
    assert not any("packing" in one.en for one in outcomes)


def test_the_cheapest_among_the_best_is_named() -> None:
    results = sample_results()
    rankings = tuple(
        ranking.model_copy(
            update={"rows": tuple(r.model_copy(update={"rank_low": 1}) for r in ranking.rows)}
        )
        for ranking in results.outcomes.rankings
    )
    changed = replaced(results, outcomes={"rankings": rankings})
    fastest = max(
        changed.measurements.arms,
        key=lambda one: one.inference[-1].tokens_per_s if one.inference else 0,
    )
    said = [one.en for one in advise(changed.outcomes, changed.measurements)[1]]
    assert any(f"`{fastest.arm}` answers fastest" in one for one in said)


def test_every_advice_names_findings_in_both_languages(results: Results) -> None:
    every: tuple[Advice, ...] = (*results.outcomes.advice, *results.measurements.advice)
    assert every
    for one in every:
        assert one.zh and one.en and one.evidence
        assert all(finding.zh and finding.en for finding in one.evidence)


def test_advice_from_outcomes_does_not_move_with_time() -> None:
    results = sample_results()
    slower = tuple(one.model_copy(update={"inference": ()}) for one in results.measurements.arms)
    changed = replaced(results, measurements={"arms": slower})
    assert (
        advise(results.outcomes, results.measurements)[0]
        == advise(changed.outcomes, changed.measurements)[0]
    )
