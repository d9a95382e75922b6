import math

import pytest

from qingting.core.errors import DataError, IncomparableError
from qingting.core.missing import Missing
from qingting.core.signature import require_same
from qingting.metrics.choice import (
    always_one_letter,
    choose_by_likelihood,
    choose_by_log_odds,
    elastic_credit,
    option_probabilities,
    score_choices,
)


def letters(text):
    return frozenset(text)


@pytest.mark.parametrize(
    ("answer", "key", "credit"),
    [("AC", "AC", 1), ("A", "AC", 1 / 2), ("AB", "AC", 0), ("B", "AC", 0), ("ABC", "AC", 0),
     ("B", "B", 1), ("A", "B", 0), ("ABD", "ABCD", 3 / 4)],
)  # fmt: skip
def test_elastic_credit_rewards_right_options_and_no_wrong_one(answer, key, credit):
    assert elastic_credit(letters(answer), letters(key)) == credit


def test_scores_keep_unusable_keys_and_unread_answers_apart():
    answers = [letters("A"), letters("AC"), Missing("names no option"), letters("B")]
    keys = [letters("A"), letters("ABC"), letters("D"), Missing("the key 'C,' holds more")]
    scores = score_choices(answers, keys, source="text")
    assert scores.exact.items()[:2] == (1.0, 0.0)
    assert scores.elastic.item(1) == pytest.approx(2 / 3)
    assert isinstance(scores.exact.item(2), Missing)
    assert (scores.n_items, scores.n_unusable_keys, scores.n_unread) == (4, 1, 1)
    assert scores.exact.corpus == 1 / 2
    assert scores.strict_accuracy == 1 / 3
    assert scores.reasons == {"names no option": 1, "the key 'C,' holds more": 1}


def test_without_a_usable_key_nothing_is_claimed():
    scores = score_choices([letters("A")], [Missing("empty")], source="text")
    assert isinstance(scores.exact.corpus, Missing)
    assert isinstance(scores.strict_accuracy, Missing)


def test_accuracy_by_text_and_by_likelihood_do_not_compare():
    one, other = (
        score_choices([letters("A")], [letters("A")], source=source).exact.signature
        for source in ("text", "likelihood")
    )
    with pytest.raises(IncomparableError, match="by is text on one side"):
        require_same(one, other)


def test_always_one_letter_is_counted_over_usable_keys():
    keys = [letters("A"), letters("B"), letters("B"), letters("AB"), Missing("empty")]
    baselines = always_one_letter(keys, "ABC")
    assert [(one.letter, one.n_right, one.accuracy) for one in baselines] == [
        ("A", 1, 1 / 4),
        ("B", 2, 2 / 4),
        ("C", 0, 0.0),
    ]
    # Elastically A earns half of AB as well, and so does B.
    assert [one.elastic for one in baselines] == [1.5 / 4, 2.5 / 4, 0.0]
    assert isinstance(always_one_letter([], "A")[0].accuracy, Missing)
    assert isinstance(always_one_letter([], "A")[0].elastic, Missing)


def test_the_likeliest_option_is_chosen_and_a_tie_is_not():
    assert choose_by_likelihood({"A": -2.0, "B": -1.0, "C": -math.inf}) == letters("B")
    assert isinstance(choose_by_likelihood({"A": -1.0, "B": -1.0}), Missing)


def test_several_options_are_chosen_each_by_its_own_odds():
    assert choose_by_log_odds({"A": 0.2, "B": -1.0, "C": 3.0}) == letters("AC")
    assert choose_by_log_odds({"A": -0.5, "B": -0.1, "C": -3.0}) == letters("B")


@pytest.mark.parametrize("values", [{}, {"A": math.nan, "B": 0.0}, {"A": math.inf}])
def test_likelihoods_that_are_none_are_refused(values):
    for choose in (choose_by_likelihood, choose_by_log_odds, option_probabilities):
        with pytest.raises(DataError):
            choose(values)


def test_probabilities_are_normalised_without_underflow():
    found = option_probabilities({"A": -1000.0, "B": -1000.0 - math.log(3), "C": -math.inf})
    assert found == pytest.approx({"A": 0.75, "B": 0.25, "C": 0.0})
    with pytest.raises(DataError, match="likelihood 0"):
        option_probabilities({"A": -math.inf})
