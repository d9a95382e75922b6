from itertools import chain

import pytest

from qingting.stages.schedule import common_lengths, schedule_steps


def dialogue(identity, n_turns):
    roles = ["user", "assistant"] * n_turns
    messages = [{"role": "system"}, *({"role": role} for role in roles[:n_turns])]
    return {"id": identity, "messages": messages}


def test_a_dialogue_is_cut_at_the_last_turn_that_every_tokenizer_can_hold():
    ends = [{"d": [5, 20, 40, 60, 80]}, {"d": [5, 25, 55, 90, 120]}]
    common = common_lengths([dialogue("d", 4)], ends, max_length=100)
    # messages: system, user, assistant, user, assistant; the second tokenizer holds three of them
    assert common.n_messages == {"d": 3}
    assert common.n_tokens == {"d": (40, 55)}
    assert common.cut == ("d",)


def test_a_dialogue_whose_first_exchange_fits_nowhere_is_left_out_and_named():
    common = common_lengths([dialogue("d", 2)], [{"d": [5, 20, 400]}], max_length=100)
    assert common.left_out == ("d",)
    assert common.n_messages == {}


def test_a_dialogue_that_fits_is_not_cut():
    common = common_lengths([dialogue("d", 4)], [{"d": [1, 2, 3, 4, 5]}], max_length=5)
    assert common.n_messages == {"d": 5}
    assert common.cut == ()


IDS = [f"d{n}" for n in range(10)]
TOKENS = dict.fromkeys(IDS, (100, 120))


def steps(**options):
    settings = {
        "effective_batch": 4,
        "epochs": None,
        "max_steps": None,
        "token_budget": None,
        "seed": 1,
    }
    return schedule_steps(IDS, TOKENS, **(settings | options))


def test_every_epoch_holds_every_dialogue_once_in_a_fresh_order():
    made = steps(epochs=2)
    assert [len(step) for step in made] == [4, 4, 2, 4, 4, 2]
    first, second = list(chain(*made[:3])), list(chain(*made[3:]))
    assert sorted(first) == sorted(second) == sorted(IDS)
    assert first != second


def test_the_order_of_the_file_does_not_matter():
    settings = {"effective_batch": 4, "epochs": 1, "max_steps": None, "token_budget": None}
    assert schedule_steps(IDS, TOKENS, seed=1, **settings) == schedule_steps(
        IDS[::-1], TOKENS, seed=1, **settings
    )


def test_the_token_budget_counts_the_mean_over_tokenizers():
    # one step of four dialogues is 4 × 110 = 440 tokens on average
    assert len(steps(token_budget=440)) == 1
    assert len(steps(token_budget=441)) == 2


@pytest.mark.parametrize("n", [1, 3, 7])
def test_max_steps_goes_round_the_data(n):
    assert len(steps(max_steps=n)) == n


def test_one_epoch_is_the_default():
    assert len(steps()) == 3
