from dataclasses import asdict

import numpy as np
import pytest
from scipy import stats

from qingting.core.errors import DataError, UndefinedStatisticError
from qingting.stats.judge_drift import judge_agreement, judge_drift
from qingting.stats.prediction_powered import (
    JudgedScores,
    prediction_powered_difference,
    prediction_powered_mean,
    rectified_mean,
)
from qingting.stats.repeats import intra_rater_consistency

N = np.nan


def rng():
    return np.random.default_rng(9)


def judged(n=1000, n_human=150, *, noise=0.4, seed=1, clusters=None):
    r = np.random.default_rng(seed)
    human = r.normal(3, 1, n)
    judge = human + 0.7 + noise * r.normal(size=n)
    human[r.permutation(n)[n_human:]] = N
    return JudgedScores(human, judge, clusters)


def mean(scores):
    return prediction_powered_mean(scores, labels_chosen_at_random=True)


def test_independent_replies_give_the_rectified_mean():
    scores = judged()
    labelled = ~np.isnan(scores.human)
    expected = rectified_mean(
        scores.human[labelled], scores.judge[labelled], scores.judge[~labelled]
    )
    found = mean(scores)
    assert found.estimate.value == pytest.approx(expected.value, abs=1e-12)
    assert found.tuning == pytest.approx((expected.tuning,), abs=1e-12)
    # Student's t with 148 degrees of freedom, one less for the tuned weight, and n / (n − 2).
    half = stats.t.ppf(0.975, 148) * expected.standard_error * np.sqrt(150 / 148)
    assert found.estimate.interval.high - found.estimate.value == pytest.approx(half, abs=1e-12)


def test_a_good_judge_gains_and_its_bias_does_not_matter():
    scores = judged()
    found = mean(scores)
    width = found.estimate.interval.high - found.estimate.interval.low
    alone = found.human_only.interval.high - found.human_only.interval.low
    assert found.gain == pytest.approx((alone / width) ** 2, rel=0.02)
    assert found.effective_n == pytest.approx(150 * found.gain)
    assert found.gain > 2
    shifted = mean(scores._replace(judge=scores.judge + 5))
    assert shifted.estimate.value == pytest.approx(found.estimate.value, abs=1e-10)


def test_a_useless_judge_is_tuned_out():
    scores = judged()
    noise = np.random.default_rng(3).normal(size=1000)
    assert mean(scores._replace(judge=noise)).gain == pytest.approx(1.0, abs=0.05)
    constant = mean(scores._replace(judge=np.full(1000, 4.0)))
    assert constant.tuning == (0.0,)
    assert constant.estimate.value == constant.human_only.value
    opposed = mean(scores._replace(judge=-scores.judge))
    assert opposed.tuning == (0.0,)


def test_a_prompt_twice_is_no_new_evidence():
    labels = [*range(1000)]
    scores = judged(clusters=labels)
    twice = JudgedScores(np.tile(scores.human, 2), np.tile(scores.judge, 2), labels * 2)
    one, other = mean(scores), mean(twice)
    assert other.estimate.interval == pytest.approx(one.estimate.interval, abs=1e-12)
    assert other.n_human == 300
    assert other.n_labelled_clusters == 150


def test_a_difference_on_the_same_prompts_is_sharper_than_on_others():
    r = np.random.default_rng(2)
    prompts = 2 * r.normal(size=1000)
    chosen = r.permutation(1000)[120:]
    arms = []
    for shift in (0.5, 0.0):
        human = prompts + shift + 0.3 * r.normal(size=1000)
        judge = human + 0.5 * r.normal(size=1000)
        human[chosen] = N
        arms.append((human, judge))
    shared = [JudgedScores(*arm, [*range(1000)]) for arm in arms]
    apart = [JudgedScores(*arm) for arm in arms]
    one, other = (
        prediction_powered_difference(*pair, labels_chosen_at_random=True)
        for pair in (shared, apart)
    )
    width = [p.estimate.interval.high - p.estimate.interval.low for p in (one, other)]
    assert width[0] < 0.5 * width[1]
    assert one.estimate.interval.low < 0.5 < one.estimate.interval.high
    swapped = prediction_powered_difference(*shared[::-1], labels_chosen_at_random=True)
    assert swapped.estimate.value == pytest.approx(-one.estimate.value, abs=1e-12)


def test_too_few_or_chosen_labels_are_refused():
    with pytest.raises(UndefinedStatisticError, match="99 replies have a human and a judge score"):
        mean(judged(n_human=99))
    with pytest.raises(UndefinedStatisticError, match="chosen at random"):
        prediction_powered_mean(judged(), labels_chosen_at_random=False)
    with pytest.raises(UndefinedStatisticError, match="nothing to add"):
        mean(judged(n=150))
    with pytest.raises(UndefinedStatisticError, match="of 1 prompts, and it needs 20"):
        mean(judged(clusters=["p"] * 1000))
    with pytest.raises(DataError, match="infinite"):
        mean(judged()._replace(judge=np.full(1000, np.inf)))


def test_replies_without_a_judge_are_missing():
    scores = judged()
    judge = scores.judge.copy()
    judge[np.flatnonzero(np.isnan(scores.human))[:7]] = N
    found = mean(scores._replace(judge=judge))
    assert found.estimate.n_missing == 7
    assert found.n_judge_only == 843


def test_judge_and_humans():
    human, judge = np.array([1, 2, 3, 4, N]), np.array([2, 2, 4, 5, 1])
    found = judge_agreement(human, judge, rng=rng())
    assert (found.n_both, found.bias.value, found.error.value) == (4, 0.75, 0.75)
    assert found.exact.value == 0.25
    assert found.correlation == pytest.approx(np.corrcoef([1, 2, 3, 4], [2, 2, 4, 5])[0, 1])
    with pytest.raises(UndefinedStatisticError, match="no reply has"):
        judge_agreement(np.array([1, N]), np.array([N, 1]), rng=rng())
    same = judge_agreement(np.array([2, 2.0]), np.array([2, 2.0]), rng=rng())
    assert "undefined" in same.alpha.reason


def test_drift_of_a_judge():
    r = np.random.default_rng(1)
    old = r.integers(1, 6, 80).astype(float)
    new = np.where(r.random(80) < 0.5, old + 1, old)
    found = judge_drift(old, new, rng=rng(), human=old, margin=1.0)
    assert found.shift.value == pytest.approx((new - old).mean())
    assert found.test.p_value < 0.001
    assert found.within_margin.verdict == "equivalent"
    assert found.error_change.value == found.changed.value
    back = judge_drift(new, old, rng=rng())
    assert back.shift.value == -found.shift.value
    assert "no margin" in back.within_margin.reason
    assert "no human" in back.error_change.reason
    none = judge_drift(old, old, rng=rng(), margin=0.5)
    assert none.test.p_value == 1.0
    assert "no spread" in none.shift.interval.reason
    assert set(none.to_record()) == set(asdict(none))


def test_repeats_of_a_rater():
    items = ["a", "b", "c", "a", "b", "a"]
    raters = ["x", "x", "x", "x", "x", "y"]
    found = intra_rater_consistency(items, raters, [1, 2, 3, 1, 4, 5], level="interval")
    # a again 1 → 1, b again 2 → 4; y and item c were rated once.
    assert found.n_repeats == 2
    assert found.share_same.value == 0.5
    (one,) = found.raters
    assert one == ("x", 2, 0.5, 1.0)
    # Pairs (1,1), (2,4): observed 2·4 = 8; pooled 1,1,2,4: sum over pairs 2(4·22 − 64) = 48.
    assert found.alpha.value == pytest.approx(1 - 3 * 8 / 48, abs=1e-12)
    with pytest.raises(UndefinedStatisticError, match="no rater rated an item twice"):
        intra_rater_consistency(["a", "a"], ["x", "y"], [1, 1], level="nominal")
