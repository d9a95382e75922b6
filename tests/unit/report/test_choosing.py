"""Choosing by results: orders worked out by hand, gates, gaps, and what options are refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr

from qingting.core.errors import SpecificationError
from qingting.report.choosing import Choice, choose
from qingting.report.choosing_options import parse_gate, parse_measures, parse_weights
from qingting.report.results import Results
from unit.report.choosing_results import arm, costs, results_of, score, specialists


def choice(results: Results, weights: str, *measures: str, gates: tuple[str, ...] = ()) -> Choice:
    wanted = parse_weights(weights)
    return choose(
        results,
        wanted,
        parse_measures(measures, list(wanted)),
        gates=[parse_gate(text) for text in gates],
        rng=np.random.default_rng(5),
    )


def test_arms_stand_in_the_order_of_their_weighted_scores() -> None:
    found = choice(specialists(), "quality=3,knowledge=1")
    # From 0 (worst) to 1 (best): writes (1, 0), both (1/2, 1/2), knows (0, 1); weights 3/4, 1/4.
    assert found.ranked == ("writes", "both", "knows")
    assert [one.score for one in found.arms] == [0.75, 0.5, 0.25]
    assert [one.rank for one in found.arms] == [1, 2, 3]
    assert found.arms[1].criteria == pytest.approx({"quality": 0.5, "knowledge": 0.5})
    # The lines of the specialists cross at equal weights, where the third only ties.
    assert found.shares is not None
    assert found.shares.values == pytest.approx([0.5, 0, 0.5])
    assert found.open_pairs == ()


def test_a_criterion_is_the_mean_of_its_measures_and_a_language_stands_for_itself() -> None:
    results = results_of(
        arm("a", score("chrf/zh", 0.2), score("chrf/en", 0.6), score("meteor/zh", 0.1)),
        arm("b", score("chrf/zh", 0.4), score("chrf/en", 0.2), score("meteor/zh", 0.1)),
    )
    both = choice(results, "quality=1", "quality=chrf")
    assert both.measures == {"quality": ("chrf/zh", "chrf/en")}
    assert [one.score for one in both.arms] == [0.5, 0.5]
    one = choice(results, "quality=1", "quality=chrf/zh,meteor")
    # b is best in chrf/zh; both are best where all are equal.
    assert [(x.arm, x.score) for x in one.arms] == [("b", 1.0), ("a", 0.5)]


def test_a_gate_holds_the_unfavourable_end_against_an_arm() -> None:
    results = specialists(half=0.1)
    kept = choice(results, "quality=1", gates=("knowledge-likelihood-exact>=0.4",))
    assert kept.ranked == ("both", "knows")  # 0.5 - 0.1 is enough, 0.2 - 0.1 is not
    (out,) = [one for one in kept.arms if one.rank is None]
    assert out.arm == "writes"
    assert out.why_unranked == "fails knowledge-likelihood-exact>=0.4: 0.1, lower bound"
    assert choice(results, "quality=1", gates=("knowledge-likelihood-exact>=0.41",)).ranked == (
        "knows",
    )
    assert choice(results, "quality=1", gates=("bits-per-byte<=1.1",)).ranked == ("writes",)


def test_what_no_arm_passes_leaves_no_order() -> None:
    found = choice(specialists(), "quality=1", gates=("knowledge-likelihood-exact>=0.9",))
    assert found.ranked == ()
    assert all("fails" in str(one.why_unranked) for one in found.arms)


def test_an_arm_without_a_measure_is_not_ranked_and_passes_no_gate() -> None:
    results = results_of(
        arm("a", score("accuracy", 0.5)),
        arm("b", score("chrf", 0.5)),
        arm("c", failed="the loss became NaN"),
    )
    reasons = {one.arm: one.why_unranked for one in choice(results, "labels=1").arms}
    assert reasons == {
        "a": None,
        "b": "accuracy is missing: not measured for this arm",
        "c": "accuracy is missing: the loss became NaN",
    }
    gated = choice(results, "labels=1", gates=("chrf>=0.1",))
    assert gated.ranked == ()
    assert "nothing unseen passes" in str(gated.arms[0].why_unranked)


def test_costs_are_those_of_the_largest_batch_and_a_base_costs_no_training() -> None:
    results = results_of(
        arm("base", score("chrf", 0.1)),
        arm("tuned", score("chrf", 0.2)),
        arm("unmeasured", score("chrf", 0.3)),
        measured=(
            costs("base", tokens_per_s=80, gib=2),
            costs("tuned", tokens_per_s=160, gib=2, training_s=60),
        ),
    )
    found = choice(results, "cost=1,training=1", "training=training_wall_s")
    assert found.ranked == ("base", "tuned")
    values = {one.arm: one.values for one in found.arms}
    assert values["base"]["training_wall_s"].mean == 0.0
    assert values["tuned"]["answer_tokens_per_s"].mean == 160
    assert values["tuned"]["answer_memory_gib"].mean == 2.0
    # tuned: cost 1 (faster, equal memory), training 0; base: cost (0 + 1)/2, training 1.
    assert {one.arm: one.score for one in found.arms if one.rank} == {"base": 0.75, "tuned": 0.5}
    assert found.arms[2].why_unranked is not None
    assert "nothing was measured" in found.arms[2].why_unranked


def test_neighbours_whose_intervals_overlap_stay_open() -> None:
    half = 0.19599639845400544  # a standard error of 0.1
    results = results_of(
        arm("a", score("chrf", 1.1, half=half)), arm("b", score("chrf", 1, half=half))
    )
    ((above, below, p),) = choice(results, "quality=1", "quality=chrf").open_pairs
    assert (above, below) == ("a", "b")
    # A difference of 0.1 with a standard error of 0.1·√2; 4,000 draws are within 0.02 of that.
    assert p == pytest.approx(ndtr(1 / np.sqrt(2)), abs=0.02)


def test_unknown_measures_and_those_without_a_better_end_are_told_together() -> None:
    results = results_of(arm("a", score("length", 40, better="neutral"), score("chrf", 0.5)))
    with pytest.raises(SpecificationError) as refused:
        choice(results, "quality=1", "quality=length,chfr")
    first, second = refused.value.problems
    assert str(first) == "length: neither more nor less of it is better"
    assert "chfr: no arm has this measure. Did you mean 'chrf'?" in str(second)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("quality=.5,quality=.5", "quality has two weights"),
        ("quality", "'quality' is not NAME=NUMBER"),
        ("quality=high", "'quality=high' is not NAME=NUMBER"),
        ("=.5,quality=.5", "'=.5' is not NAME=NUMBER"),
        ("quality=.5, =.5", "'=.5' is not NAME=NUMBER"),
        ("quality=.5,", "'' is not NAME=NUMBER"),
        ("quality=-1,cost=2", "'quality=-1': a weight is a number from 0 up"),
        ("quality=nan,cost=1", "a number from 0 up"),
        ("quality=inf,cost=1", "a number from 0 up"),
        ("quality=0,cost=0", "all are 0"),
    ],
)
def test_weights_that_say_nothing_clear_are_refused(text: str, words: str) -> None:
    with pytest.raises(SpecificationError) as refused:
        parse_weights(text)
    (problem,) = refused.value.problems
    assert problem.place == "--weights"
    assert words in problem.message


def test_all_that_is_wrong_with_weights_is_told_at_once() -> None:
    with pytest.raises(SpecificationError) as refused:
        parse_weights("=1,cost=-1,quality=1,quality=2")
    assert len(refused.value.problems) == 3


def test_weights_are_brought_to_a_sum_of_one() -> None:
    assert parse_weights(" quality = 3 , cost=1,labels=0 ") == {
        "quality": 0.75,
        "cost": 0.25,
        "labels": 0.0,
    }


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (("quality=bleu", "quality=chrf"), "quality stands twice"),
        (("quality=chrf,chrf",), "names a measure twice"),
        (("qualty=chrf",), "Did you mean 'quality'?"),
        (("quality=",), "quality: no measure is known"),
        (("=chrf",), "is not CRITERION=MEASURE"),
    ],
)
def test_measures_that_say_nothing_clear_are_refused(texts: tuple[str, ...], words: str) -> None:
    with pytest.raises(SpecificationError, match=words.replace("?", r"\?")):
        parse_measures(texts, ["quality"])


def test_safety_is_not_weighed_where_it_was_not_measured() -> None:
    with pytest.raises(SpecificationError, match="decide safety by a --gate"):
        parse_measures((), ["safety"])
    assert parse_measures(("safety=accuracy",), ["safety"]) == {"safety": ("accuracy",)}


@pytest.mark.parametrize("text", ["accuracy>0.5", "accuracy>=", ">=0.5", "accuracy>=e", "a b>=1"])
def test_a_gate_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(SpecificationError, match="is not MEASURE>=NUMBER or MEASURE<=NUMBER"):
        parse_gate(text)
