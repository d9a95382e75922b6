"""Blinding: the same form for all, and no name that tells the model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qingting.judging.blinding import MASK, blinded, mask_names, normalise_formatting


@pytest.mark.parametrize(
    "said",
    [
        "我是通义千问，由阿里云开发。",
        "我是 Qwen2.5-7B-Instruct，很高兴认识你。",
        "我叫百川，是一个模型。",
        "作为智谱清言（ChatGLM3-6B），我……",
        "我是书生·浦语，由上海人工智能实验室开发。",
        "I am ChatGPT, a large language model trained by OpenAI.",
        "I'm Llama 3.1, made by Meta AI.",
        "As GPT-4o I cannot diagnose.",
        "I am Yi, nice to meet you.",
        "我是InternLM2.5-7B-Chat。",
    ],
)
def test_a_model_that_says_its_name_is_masked_and_counted(said):
    masked = mask_names(said, language="zh")
    assert masked.n_masked >= 1
    for name in ("通义", "千问", "阿里云", "Qwen", "百川", "ChatGLM", "智谱", "浦语", "ChatGPT"):
        assert name not in masked.text
    for name in ("OpenAI", "Llama", "Meta", "GPT", "Yi", "InternLM", "7B", "2.5", "3.1", "4o"):
        assert name not in masked.text


@pytest.mark.parametrize(
    "said",
    [
        "海纳百川，有容乃大。",
        "That is a metaphor, and metabolism too.",
        "先把情绪写下来，文字会帮你看清。",
        "Try metacognition: notice the thought.",
        "睡前两小时不看屏幕，试 3 天。",
        "I am 17 and my llamas-and-alpacas phase is over.",
    ],
)
def test_ordinary_words_stay(said):
    masked = mask_names(said)
    if "llamas" not in said:
        assert masked == (said, 0)
    else:
        assert "llamas-and-alpacas" in masked.text


def test_arms_are_masked_as_they_are_written():
    masked = mask_names("这里是 clinic-v2/lora，不是 clinic-v1。", ["clinic-v2/lora", "clinic-v1"])
    assert masked.n_masked == 2
    assert "clinic" not in masked.text


def test_the_mask_is_in_the_language_of_the_answer():
    assert MASK["zh"] in blinded("我是Qwen。", names=(), language="zh").text
    assert MASK["en"] in blinded("I am Qwen.", names=(), language="en").text


def test_form_is_made_alike_and_words_are_kept():
    one = "## 建议\r\n\r\n\r\n* **深呼吸**\n* 写下来  \n---\n```\n晚安\n```"
    other = "建议\n\n- 深呼吸\n- 写下来\n晚安"
    assert normalise_formatting(one) == other
    assert normalise_formatting("1. 先睡\n2. 再说") == "1. 先睡\n2. 再说"
    assert normalise_formatting("👩‍👩‍👧 好") == "👩‍👩‍👧 好"
    assert normalise_formatting("2*3*4 = 24") == "2*3*4 = 24"


@given(st.text(alphabet="ab *#-_`>\n。好👍1.", max_size=60))
def test_normalising_twice_is_normalising_once_and_loses_no_letter(text):
    once = normalise_formatting(text)
    assert normalise_formatting(once) == once
    for letter in "ab。好👍":
        assert once.count(letter) == text.count(letter) or "```" in text


@given(st.text(max_size=80))
def test_masking_again_changes_nothing(text):
    once = mask_names(text).text
    assert mask_names(once).text == once
