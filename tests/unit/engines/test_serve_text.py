"""Streamed words: never half a character, the same as decoding the whole."""

import random
from functools import lru_cache

import pytest

from qingting.core.dialogue import Message
from qingting.engines.native.server_text import AnswerText, TextLayout
from qingting.models.chat import ChatTemplate
from qingting.models.resolve import shipped_models

CHAT_MODELS = sorted(name for name in shipped_models() if "bert" not in name)

NASTY = (
    "别担心👩‍👩‍👧‍👦，我在这里🫂。",
    "👋🏽 x\u0323 ﷽ 𠮷野家 龘靐齉 \U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "第一行\n\n  第二行\u2028第三行\u0085第四行\u2029末",
    "هل أنت بخير؟ שלום नमस्ते கொ",
    "a\ufffdb 真有一个\ufffd",
)


@lru_cache
def template(name: str) -> ChatTemplate:
    return ChatTemplate.load(shipped_models()[name])


def layout(name: str) -> TextLayout:
    return TextLayout.of_chat(template(name).tokenizer, template(name).stop_ids)


def answer_ids(name: str, words: str) -> list[int]:
    """Return the tokens that a model produces that answers with ``words``, the end included."""
    asked = [Message("user", "?")]
    prompt = template(name).encode(asked, add_generation_prompt=True).input_ids
    whole = template(name).encode([*asked, Message("assistant", words)])
    return whole.input_ids[len(prompt) :]


def pieces(text: AnswerText, ids: list[int]) -> list[str]:
    said = []
    for token in ids:
        said.append(text.push(token))
        if text.is_over:
            break
    said.append(text.end())
    return said


@pytest.mark.parametrize("name", CHAT_MODELS)
@pytest.mark.parametrize("words", NASTY)
def test_streamed_words_are_exact(name, words):
    said = pieces(AnswerText(layout(name)), answer_ids(name, words))
    assert "".join(said).encode() == words.encode()
    assert all(character in words for piece in said for character in piece)


@pytest.mark.parametrize("name", CHAT_MODELS)
def test_any_tokens_stream_to_what_the_template_decodes(name):
    rng = random.Random(5)
    vocabulary = len(template(name).tokenizer)
    controls = layout(name).control_ids
    plain = [i for i in range(vocabulary) if i not in controls]
    stop = min(template(name).stop_ids)
    for length in (1, 2, 7, 40, 120):
        for _ in range(20):
            ids = [*(rng.choice(plain) for _ in range(length)), stop]
            said = "".join(pieces(AnswerText(layout(name)), ids))
            assert said == template(name).decode(ids)


def test_a_character_that_the_limit_cuts_is_left_out():
    name = "qwen2.5-tiny"
    ids = answer_ids(name, "好\U000e0067")
    for n in range(1, len(ids)):
        text = AnswerText(layout(name))
        said = "".join(text.push(token) for token in ids[:n]) + text.end()
        assert "\ufffd" not in said
        assert "好\U000e0067".startswith(said)


def test_a_stop_string_ends_the_answer_before_itself_even_across_tokens():
    ids = answer_ids("qwen2.5-tiny", "我听到了。来访者：然后呢？")
    text = AnswerText(layout("qwen2.5-tiny"), ["来访者："])
    assert "".join(pieces(text, ids)) == "我听到了。"
    assert text.is_over
    assert text.n_tokens < len(ids)


def test_the_beginning_of_a_stop_string_is_held_back_and_then_said():
    text = AnswerText(layout("qwen2.5-tiny"), ["来访者："])
    ids = answer_ids("qwen2.5-tiny", "来访者说他很累")
    assert "".join(pieces(text, ids)) == "来访者说他很累"


def test_only_the_final_channel_is_said():
    name = "gpt-oss-tiny"
    tokenizer = template(name).tokenizer
    raw = "<|channel|>analysis<|message|>hmm<|end|><|start|>assistant<|channel|>final<|message|>好的。"
    ids = [*tokenizer.encode(raw, add_special_tokens=False), min(template(name).stop_ids)]
    assert "".join(pieces(AnswerText(layout(name)), ids)) == "好的。" == template(name).decode(ids)


def test_white_space_at_the_ends_of_an_answer_is_not_said_and_of_a_text_is():
    name = "qwen2.5-tiny"
    ids = template(name).tokenizer.encode("\n 好 的 \n", add_special_tokens=False)
    assert "".join(pieces(AnswerText(layout(name)), ids)) == "好 的"
    plain = TextLayout.of_text(template(name).tokenizer, template(name).stop_ids)
    assert "".join(pieces(AnswerText(plain), ids)) == "\n 好 的 \n"
