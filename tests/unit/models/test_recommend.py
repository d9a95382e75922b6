"""Recommending: hard constraints first, then a stated order, each with its reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qingting.models.catalogue import load_cards, require_card
from qingting.models.memory import TrainingSetup, estimate_training
from qingting.models.recommend import Wish, names_of, predicted_peak_gib, recommend

CARDS = load_cards()
CLINIC = Wish(memory_gib=24, language="zh", use="commercial")


def ranked(wish):
    return [one.card.name for one in recommend(wish, CARDS).ranked]


def excluded(wish):
    return {one.card.name: names_of(one.reasons) for one in recommend(wish, CARDS).excluded}


def test_every_card_is_ranked_or_left_out_with_a_reason():
    found = recommend(CLINIC, CARDS)
    names = [one.card.name for one in (*found.ranked, *found.excluded)]
    assert sorted(names) == sorted(card.name for card in CARDS)
    assert all(one.reasons for one in (*found.ranked, *found.excluded))
    assert [one.rank for one in found.ranked] == list(range(1, len(found.ranked) + 1))


def test_a_licence_for_research_is_left_out_of_commercial_use_only():
    assert excluded(CLINIC)["Qwen2.5-3B-Instruct"] == ("licence",)
    assert "Qwen2.5-3B-Instruct" in ranked(replace(CLINIC, use="research"))


def test_a_language_that_is_not_stated_leaves_a_model_out():
    assert "language" in excluded(CLINIC)["Llama-3.1-8B-Instruct"]
    assert "Llama-3.1-8B-Instruct" in ranked(replace(CLINIC, language="en"))


def test_memory_is_the_planners():
    need = predicted_peak_gib(require_card("Qwen2.5-7B-Instruct"), CLINIC)
    setup = TrainingSetup(method="lora", micro_batch=1, length=3072)
    config = require_card("Qwen2.5-7B-Instruct").to_config_dict()
    assert need == estimate_training(config, setup).peak_gib
    assert "Qwen2.5-7B-Instruct" in ranked(replace(CLINIC, memory_gib=need))
    too_little = excluded(replace(CLINIC, memory_gib=need - 0.01))
    assert too_little["Qwen2.5-7B-Instruct"] == ("memory",)


def test_quantised_training_lets_larger_models_in():
    wish = replace(CLINIC, memory_gib=12)
    assert "Qwen2.5-7B-Instruct" not in ranked(wish)
    assert "Qwen2.5-7B-Instruct" in ranked(replace(wish, how="qlora"))


def test_larger_comes_first_and_alike_sizes_by_headroom_then_licence():
    names = ranked(CLINIC)
    assert names.index("Qwen2.5-7B-Instruct") < names.index("InternLM2.5-7B-Chat")
    assert names.index("InternLM2.5-7B-Chat") < names.index("Qwen2.5-1.5B-Instruct")
    # 9.4 billion count as alike, but take more than four fifths of the memory
    assert names.index("GLM-4-9B-Chat") > names.index("Baichuan2-7B-Chat")


def test_the_order_does_not_depend_on_the_order_of_the_cards():
    assert [one.card.name for one in recommend(CLINIC, CARDS[::-1]).ranked] == ranked(CLINIC)


def test_encoders_are_for_classification():
    wish = replace(CLINIC, task="classification")
    assert ranked(wish) == ["bert-base-chinese"]
    assert excluded(wish)["bert-base-uncased"] == ("language",)
    assert "bert-tiny" in ranked(replace(wish, include_small=True))


def test_cautions_name_the_conversion_and_the_conditions():
    found = {one.card.name: one for one in recommend(CLINIC, CARDS).ranked}
    cautions = names_of(found["InternLM2.5-7B-Chat"].cautions)
    assert {"conversion", "licence"} <= set(cautions)
    assert not {"conversion", "licence"} & set(names_of(found["Qwen3-8B"].cautions))


@pytest.mark.parametrize("how", ["lora", "qlora", "full", "inference"])
def test_more_memory_never_leaves_a_model_out(how):
    small, large = (replace(CLINIC, how=how, memory_gib=size) for size in (16, 80))
    assert set(ranked(small)) <= set(ranked(large))
