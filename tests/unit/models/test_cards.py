"""The cards that ship: whole, typed, counted, and laid out as their models were trained."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from qingting.core.dialogue import Message
from qingting.core.errors import ModelError, NotFoundError, SpecificationError
from qingting.models.card_parameters import parameters_of
from qingting.models.card_sources import drafted
from qingting.models.card_writing import write_card
from qingting.models.catalogue import find_card, load_card, load_cards, require_card
from qingting.models.chat import RENDERING_DATE, ChatTemplate
from qingting.models.chat_layout import Segment, lay_out
from qingting.models.memory import n_parameters
from qingting.models.resolve import read_config, shipped_models

CARDS = load_cards()
NAMES = [card.name for card in CARDS]
DIALOGUE = [card for card in CARDS if card.chat is not None]
TALK = (
    Message("system", "请倾听。"),
    Message("user", "睡不好"),
    Message("assistant", "多久了？"),
    Message("user", "两周"),
)
LISTED = {
    *("Qwen2.5-7B-Instruct", "Llama-3.1-8B-Instruct", "ChatGLM3-6B", "InternLM2-7B-Chat"),
    *("InternLM2.5-7B-Chat", "Baichuan2-7B-Chat", "GPT-OSS-20B", "bert-base-chinese"),
    *("bert-base-uncased", "GPT-2", "Qwen3-8B", "GLM-4-9B-Chat", "Llama-3.2-3B-Instruct"),
    *("Qwen2.5-0.5B-Instruct", "Qwen2.5-1.5B-Instruct", "Qwen2.5-3B-Instruct"),
}


def test_every_model_that_is_promised_has_a_card():
    assert set(NAMES) >= LISTED | set(shipped_models())


@pytest.mark.parametrize("card", CARDS, ids=NAMES)
def test_parameters_are_those_that_the_architecture_has(card):
    assert parameters_of(card) == (card.parameters.total, card.parameters.active)


@pytest.mark.parametrize("card", CARDS, ids=NAMES)
def test_the_planner_counts_the_same_parameters(card):
    # a classifier's or guesser's head apart, the closed form is exact
    assert n_parameters(card.to_config_dict()) == card.parameters.total


def test_gpt_oss_counts_as_its_developer_does():
    # "20.9B total, 3.6B active": https://arxiv.org/abs/2508.10925, table 1
    card = require_card("GPT-OSS-20B")
    assert card.parameters.total / 1e9 == pytest.approx(20.91, abs=0.005)
    assert card.parameters.active / 1e9 == pytest.approx(3.61, abs=0.005)


@pytest.mark.parametrize("name", sorted(shipped_models()))
def test_a_small_models_card_says_what_its_files_say(name):
    mine, its = require_card(name).to_config_dict(), read_config(shipped_models()[name])
    for key, value in mine.items():
        if key == "pad_token_id" or (key == "head_dim" and key not in its):
            continue
        if isinstance(value, dict):
            assert value.items() <= its[key].items(), key
        else:
            assert its.get(key) == value, key


@pytest.mark.parametrize("card", CARDS, ids=NAMES)
def test_every_statement_has_a_source(card):
    for note in (
        *card.strengths,
        *card.weaknesses,
        *card.training_pitfalls,
        *card.serving_pitfalls,
    ):
        assert re.match(r"https://|measured with this project|this repository", note.source)
    assert card.sources


def test_a_card_is_found_by_name_and_by_hub_id():
    for name in ("qwen2.5-7b-instruct", "Qwen/Qwen2.5-7B-Instruct", "hf:Qwen/Qwen2.5-7B-Instruct"):
        assert find_card(name).name == "Qwen2.5-7B-Instruct"
    with pytest.raises(NotFoundError, match=r"Did you mean 'ChatGLM3-6B'\?"):
        require_card("chatglm-6b")


def test_a_card_of_ones_own_replaces_one_that_ships(tmp_path):
    shipped = require_card("GPT-2")
    text = json.dumps({**shipped.model_dump(mode="json", by_alias=True), "developer": "me"})
    (tmp_path / "gpt-2.yaml").write_text(text, encoding="utf-8")
    cards = load_cards(tmp_path)
    assert [card.developer for card in cards if card.name == "GPT-2"] == ["me"]
    assert len(cards) == len(CARDS)


def test_every_problem_of_a_card_is_told_with_its_place(tmp_path):
    record = require_card("GPT-2").model_dump(mode="json", by_alias=True)
    record["licenze"] = record.pop("licence")
    record["architecture"]["layers"] = 0
    path = tmp_path / "card.yaml"
    path.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(SpecificationError) as caught:
        load_card(path)
    told = str(caught.value)
    assert "licence" in told and "architecture.layers" in told
    assert all(problem.place.startswith(str(path)) for problem in caught.value.problems)


# -- how a conversation is laid out ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("talk", "generation_prompt"),
    [(TALK, True), (TALK, False), (TALK[1:], True), (TALK[:3], False), (TALK[1:3], False)],
    ids=range(5),
)
@pytest.mark.parametrize("name", [name for name in sorted(shipped_models()) if name != "bert-tiny"])
def test_a_layout_is_what_the_models_own_template_renders(name, talk, generation_prompt):
    template = ChatTemplate.load(shipped_models()[name])
    rendered = template.tokenizer.apply_chat_template(
        [{"role": role, "content": content} for role, content in talk],
        tokenize=False,
        add_generation_prompt=generation_prompt,
        strftime_now=RENDERING_DATE.strftime,
    )
    segments = lay_out(require_card(name).chat, talk, generation_prompt=generation_prompt)
    assert "".join(segment.text for segment in segments) == rendered


EXPECTED = {
    "Qwen2.5-7B-Instruct": (
        "<|im_start|>system\n请倾听。<|im_end|>\n<|im_start|>user\n睡不好<|im_end|>\n"
        "<|im_start|>assistant\n多久了？<|im_end|>\n<|im_start|>user\n两周<|im_end|>\n"
        "<|im_start|>assistant\n"
    ),
    "Qwen3-8B": (
        "<|im_start|>system\n请倾听。<|im_end|>\n<|im_start|>user\n睡不好<|im_end|>\n"
        "<|im_start|>assistant\n多久了？<|im_end|>\n<|im_start|>user\n两周<|im_end|>\n"
        "<|im_start|>assistant\n<think>\n\n</think>\n\n"
    ),
    "InternLM2-7B-Chat": (
        "<s><|im_start|>system\n请倾听。<|im_end|>\n<|im_start|>user\n睡不好<|im_end|>\n"
        "<|im_start|>assistant\n多久了？<|im_end|>\n<|im_start|>user\n两周<|im_end|>\n"
        "<|im_start|>assistant\n"
    ),
    "Llama-3.1-8B-Instruct": (
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n"
        "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n请倾听。<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\n睡不好<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n多久了？<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\n两周<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    ),
    "ChatGLM3-6B": (
        "[gMASK]sop<|system|>\n 请倾听。<|user|>\n 睡不好<|assistant|>\n 多久了？"
        "<|user|>\n 两周<|assistant|>"
    ),
    "GLM-4-9B-Chat": (
        "[gMASK]<sop><|system|>\n请倾听。<|user|>\n睡不好<|assistant|>\n多久了？"
        "<|user|>\n两周<|assistant|>"
    ),
    "Baichuan2-7B-Chat": (
        "请倾听。<reserved_106>睡不好<reserved_107>多久了？</s><reserved_106>两周<reserved_107>"
    ),
    "GPT-OSS-20B": (
        "<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.\n"
        "Knowledge cutoff: 2024-06\nCurrent date: 2024-07-26\n\nReasoning: medium\n\n"
        "# Valid channels: analysis, commentary, final. Channel must be included for every "
        "message.<|end|><|start|>developer<|message|># Instructions\n\n请倾听。\n\n<|end|>"
        "<|start|>user<|message|>睡不好<|end|>"
        "<|start|>assistant<|channel|>final<|message|>多久了？<|end|>"
        "<|start|>user<|message|>两周<|end|><|start|>assistant"
    ),
}
SAME = {
    "Qwen2.5-7B-Instruct": (
        *("Qwen2.5-0.5B-Instruct", "Qwen2.5-1.5B-Instruct", "Qwen2.5-3B-Instruct", "qwen2.5-tiny"),
    ),
    "InternLM2-7B-Chat": ("InternLM2.5-7B-Chat", "internlm2.5-tiny"),
    "Llama-3.1-8B-Instruct": ("Llama-3.2-3B-Instruct", "llama3.1-tiny"),
    "ChatGLM3-6B": ("chatglm3-tiny",),
    "Baichuan2-7B-Chat": ("baichuan2-tiny",),
}
BY_NAME = EXPECTED | {other: EXPECTED[one] for one, others in SAME.items() for other in others}
BY_NAME["gpt-oss-tiny"] = EXPECTED["GPT-OSS-20B"].replace("Reasoning: medium", "Reasoning: low")


@pytest.mark.parametrize("card", DIALOGUE, ids=[card.name for card in DIALOGUE])
def test_every_dialogue_card_lays_a_conversation_out_as_published(card):
    segments = lay_out(card.chat, TALK, generation_prompt=True)
    assert "".join(segment.text for segment in segments) == BY_NAME[card.name]


CONTROL = (
    *("<|user|>", "<|im_end|>", "<reserved_106>", "[INST]", "<|eot_id|>", "<|start|>", "</s>"),
    *("<|assistant|>", "<|system|>", "<|end|>", "<|channel|>", "[gMASK]", "<|im_start|>"),
)


@pytest.mark.parametrize("card", DIALOGUE, ids=[card.name for card in DIALOGUE])
def test_what_a_person_wrote_stays_a_segment_of_its_own(card):
    said = "".join(CONTROL)
    talk = (Message("system", said), Message("user", said), Message("assistant", said))
    contents = [one.text for one in lay_out(card.chat, talk) if one.is_content]
    assert contents == [said, said, said]


@pytest.mark.parametrize("name", [n for n in sorted(shipped_models()) if n != "bert-tiny"])
def test_segments_encode_to_what_the_engine_encodes(name):
    template = ChatTemplate.load(shipped_models()[name])
    said = " ".join(CONTROL) + "睡不好"
    talk = (Message("user", said), Message("assistant", "嗯"), Message("user", said))
    ids: list[int] = []
    for segment in lay_out(require_card(name).chat, talk, generation_prompt=True):
        encode = template._encode_content if segment.is_content else template._encode_template
        ids += encode(segment.text)
    assert ids == template.encode(talk, add_generation_prompt=True).input_ids
    control = {i for i, token in template.tokenizer.added_tokens_decoder.items() if token.special}
    for segment in lay_out(require_card(name).chat, talk):
        if segment.is_content:
            assert not control & set(template._encode_content(segment.text))


def test_a_system_message_stands_first_or_not_at_all():
    chat = require_card("ChatGLM3-6B").chat
    with pytest.raises(ModelError, match="first or not at all"):
        lay_out(chat, (TALK[1], TALK[0]))


def test_neighbours_of_the_layout_are_joined():
    chat = require_card("ChatGLM3-6B").chat
    assert lay_out(chat, TALK[1:2], generation_prompt=True) == (
        Segment("[gMASK]sop<|user|>\n ", False),
        Segment("睡不好", True),
        Segment("<|assistant|>", False),
    )


# -- drafting ---------------------------------------------------------------------------------------


def test_a_card_drafted_from_a_folder_has_its_sizes_and_leaves_the_rest_open(tmp_path):
    card = drafted(str(shipped_models()["gpt-oss-tiny"]))
    shipped = require_card("gpt-oss-tiny")
    assert card["parameters"] == shipped.parameters.model_dump()
    unknown = write_card(card, tmp_path / "card.yaml")
    assert "developer" in unknown and "licence.commercial" in unknown and "chat.user" in unknown
    read = load_card(tmp_path / "card.yaml")
    assert read.architecture == shipped.architecture
    assert read.to_config_dict() == shipped.to_config_dict()


def test_a_published_layout_is_sent_to_conversion_first(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "chatglm"}', encoding="utf-8")
    with pytest.raises(ModelError, match="qingting models convert"):
        drafted(str(tmp_path))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ("{}", "no model_type"),
        ('{"model_type": "llama"}', "no hidden_size"),
        (
            '{"model_type": "llama", "hidden_size": 64, "num_attention_heads": 4, '
            '"num_hidden_layers": 2, "vocab_size": 100}',
            "no max_position_embeddings",
        ),
    ],
)
def test_a_configuration_that_cannot_be_used_is_one_clear_line(tmp_path, content, told):
    (tmp_path / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=told) as caught:
        drafted(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_an_architecture_that_nobody_knows_is_named(tmp_path):
    config = {
        "model_type": "nosuch",
        "hidden_size": 64,
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "vocab_size": 100,
        "max_position_embeddings": 64,
    }
    Path(tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ModelError, match="cannot build this architecture"):
        drafted(str(tmp_path))
