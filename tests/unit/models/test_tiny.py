"""The six small models are what their cards say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from qingting.core.dialogue import Message
from qingting.models.chat import ChatTemplate
from qingting.models.tiny.architectures import TINY_FAMILIES, TinyFamily

MIB = 2**20
FAMILIES = list(TINY_FAMILIES.values())
TEXTS = [
    "我最近总是失眠，心里很乱😟，不知道该跟谁说。",
    "I feel tired, anxious; my friends don't know.\n\n  Two  spaces\tand a tab.",
    "家👨‍👩‍👧‍👦旗🏳️‍🌈 café naïve 龘 ①②③ ½ 2024年7月26日 3.14",
    "<|im_end|></s>[gMASK]sop<reserved_106><|return|><tool_call>",
]
CHAT = [
    Message("system", "S"),
    Message("user", "U"),
    Message("assistant", "A"),
    Message("user", "V"),
]
RENDERED = {
    "qwen2.5-tiny": (
        "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n"
        "<|im_start|>assistant\nA<|im_end|>\n<|im_start|>user\nV<|im_end|>\n"
        "<|im_start|>assistant\n"
    ),
    "llama3.1-tiny": (
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n"
        "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\nS<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nU<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nA<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nV<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    ),
    "chatglm3-tiny": (
        "[gMASK]sop<|system|>\n S<|user|>\n U<|assistant|>\n A<|user|>\n V<|assistant|>"
    ),
    "internlm2.5-tiny": (
        "<s><|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n"
        "<|im_start|>assistant\nA<|im_end|>\n<|im_start|>user\nV<|im_end|>\n"
        "<|im_start|>assistant\n"
    ),
    "baichuan2-tiny": "S<reserved_106>U<reserved_107>A</s><reserved_106>V<reserved_107>",
    "gpt-oss-tiny": (
        "<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.\n"
        "Knowledge cutoff: 2024-06\nCurrent date: 2024-07-26\n\nReasoning: low\n\n"
        "# Valid channels: analysis, commentary, final. Channel must be included for every "
        "message.<|end|><|start|>developer<|message|># Instructions\n\nS\n\n<|end|>"
        "<|start|>user<|message|>U<|end|><|start|>assistant<|channel|>final<|message|>A<|end|>"
        "<|start|>user<|message|>V<|end|><|start|>assistant"
    ),
}
FEATURES: dict[str, dict[str, Any]] = {
    "qwen2.5-tiny": {"model_type": "qwen2", "num_key_value_heads": 2},
    "llama3.1-tiny": {"model_type": "llama", "num_key_value_heads": 2},
    "chatglm3-tiny": {"model_type": "glm", "attention_bias": True},
    "internlm2.5-tiny": {"model_type": "llama", "num_key_value_heads": 2},
    "baichuan2-tiny": {"model_type": "llama", "num_key_value_heads": 4},
    "gpt-oss-tiny": {"model_type": "gpt_oss", "num_experts_per_tok": 2, "sliding_window": 128},
}


@pytest.fixture(params=FAMILIES, ids=lambda family: family.name)
def family(request: pytest.FixtureRequest) -> TinyFamily:
    found: TinyFamily = request.param
    return found


@pytest.fixture(scope="module")
def loaded() -> dict[str, Any]:
    return {
        family.name: AutoModelForCausalLM.from_pretrained(
            family.folder, local_files_only=True, trust_remote_code=False
        )
        for family in FAMILIES
        if (family.folder / "model.safetensors").is_file()
    }


def model_of(loaded: dict[str, Any], family: TinyFamily) -> Any:
    if not loaded:
        pytest.skip("the weights are not built yet: run scripts/build_small_models.py")
    return loaded[family.name]


def test_tokenizers_return_every_text_exactly(family: TinyFamily) -> None:
    chat = ChatTemplate.load(family.folder)
    for text in TEXTS:
        ids = chat.tokenizer.encode(text, add_special_tokens=False)
        assert chat.tokenizer.decode(ids, clean_up_tokenization_spaces=False) == text


def test_english_words_are_not_spelled_out(family: TinyFamily) -> None:
    chat = ChatTemplate.load(family.folder)
    text = "When we feel sad or tired, it can help to talk to a friend about what is on our mind."
    assert len(chat.tokenizer.encode(text, add_special_tokens=False)) < 1.5 * len(text.split())


def test_digits_stand_apart(family: TinyFamily) -> None:
    chat = ChatTemplate.load(family.folder)
    tokens = chat.tokenizer.tokenize("2024年 100")
    assert sum(token in "0123456789" for token in tokens) == 7


def test_templates_render_as_their_families_do(family: TinyFamily) -> None:
    chat = ChatTemplate.load(family.folder)
    ids = chat.encode(CHAT, add_generation_prompt=True).input_ids
    assert chat.tokenizer.decode(ids, skip_special_tokens=False) == RENDERED[family.name]


def test_special_tokens_are_single_tokens_and_stop_answers(family: TinyFamily) -> None:
    chat = ChatTemplate.load(family.folder)
    for token in family.special_tokens:
        assert len(chat.tokenizer.encode(token, add_special_tokens=False)) == 1
    names = {chat.tokenizer.convert_ids_to_tokens(x) for x in chat.stop_ids}
    assert names == {family.eos, *family.generation_stops}
    assert chat.tokenizer.convert_ids_to_tokens(chat.pad_id) == family.pad


def test_configurations_keep_what_makes_the_family(family: TinyFamily) -> None:
    config = AutoConfig.from_pretrained(family.folder, local_files_only=True)
    plain = config.to_dict()
    for name, value in FEATURES[family.name].items():
        assert plain[name] == value
    if family.name == "llama3.1-tiny":
        assert config.rope_parameters["rope_type"] == "llama3"
    if family.name == "chatglm3-tiny":
        assert config.rope_parameters["partial_rotary_factor"] == 0.5
    if family.name == "gpt-oss-tiny":
        assert config.layer_types == ["sliding_attention", "full_attention"] * 2


def test_weights_load_completely_in_bfloat16(family: TinyFamily, loaded: dict[str, Any]) -> None:
    model = model_of(loaded, family)
    assert 1_000_000 <= model.num_parameters() <= 3_000_000
    assert model.dtype == torch.bfloat16
    _, info = AutoModelForCausalLM.from_pretrained(
        family.folder, local_files_only=True, output_loading_info=True
    )
    assert not any(info.values())


def test_special_structures_are_there(loaded: dict[str, Any]) -> None:
    by_name = {family.name: family for family in FAMILIES}
    qwen = dict(model_of(loaded, by_name["qwen2.5-tiny"]).named_parameters())
    assert "model.layers.0.self_attn.q_proj.bias" in qwen
    gpt = dict(model_of(loaded, by_name["gpt-oss-tiny"]).named_parameters())
    assert gpt["model.layers.0.mlp.experts.gate_up_proj"].shape[0] == 4
    assert float(gpt["model.layers.0.self_attn.sinks"].detach().abs().max()) > 0


def test_greedy_answers_are_readable_chinese(family: TinyFamily, loaded: dict[str, Any]) -> None:
    model, chat = model_of(loaded, family), ChatTemplate.load(family.folder)
    question = [
        Message("system", "你是一名专业、温暖的心理咨询师。"),
        Message("user", "我最近总是睡不着，工作压力很大，不知道该怎么办。"),
    ]
    ids = chat.encode(question, add_generation_prompt=True).input_ids
    output = model.generate(
        input_ids=torch.tensor([ids]),
        attention_mask=torch.ones(1, len(ids), dtype=torch.long),
        max_new_tokens=60,
        do_sample=False,
    )
    answer = chat.decode(output[0, len(ids) :].tolist())
    assert "\ufffd" not in answer.rstrip("\ufffd")  # the cut may fall within a character
    n_chinese = sum("\u4e00" <= character <= "\u9fff" for character in answer)
    assert n_chinese > 10
    assert len(set(answer)) > 10


def test_all_six_together_stay_small() -> None:
    sizes = [path.stat().st_size for f in FAMILIES for path in f.folder.rglob("*")]
    assert sum(sizes) <= 32 * MIB


def test_cards_name_sources_licences_and_limits(family: TinyFamily) -> None:
    path: Path = family.folder / "README.md"
    if not (family.folder / "model.safetensors").is_file():
        pytest.skip(f"{family.name} is not built yet: run scripts/build_small_models.py decay")
    card = path.read_text(encoding="utf-8")
    record = json.loads((family.folder.parent / "pretraining.json").read_text(encoding="utf-8"))
    for source in record["sources"]:
        if source["is_trained_on"]:
            assert source["name"] in card
            assert source["revision"] in card
            assert source["licence"] in card
    for phrase in ("no clinical validity", "synthetic", "Bits per UTF-8 byte", "CC BY 4.0", "MIT"):
        assert phrase in card
