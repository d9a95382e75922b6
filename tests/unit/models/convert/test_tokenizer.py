"""SentencePiece models of every flag, as fast tokenizers with the same ids."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import published
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sentencepiece import SentencePieceProcessor
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from qingting.core.errors import ModelError
from qingting.models.convert.conversion import convert
from qingting.models.convert.sentencepiece_model import parse_sentencepiece
from qingting.models.convert.tokenizer import AddedPiece, fast_tokenizer, merges

TEXTS = (
    *("", " ", "  ", "   ", "\n", " \n ", "\t\t", "a", " a", "  a  b   c    ", "你好", " 你好 "),
    *("I can't sleep  at night.\n\n  what now?", "\x07bell", "▁▁▁a▁b", "<unk>", "<s>hi</s>"),
    *("a<0x0A>b", "<0x0A>", "<reserved_106>", "x<reserved_106> y<reserved_106>", "😀👍🏽 ok"),
    *(
        "ｆｕｌｌ　ｗｉｄｔｈ ①②",
        "é é ế",
        "각 각",
        "ﬁne ½",
        "1️⃣ ❤️",
        "ก็ำ",
        "def f(x):\n    return x\n",
    ),
    *("a\u200bb\u00adc", "\u3000x\u3000", "end.   ", "aaaaaaaaaaaaaaaaaa", "—— ……", "tab\tsep"),
)
PIECES: tuple[tuple[str, ...], ...] = (
    (),
    ("<r1>", "<reserved_106>"),
    ("▁▁", "▁▁▁▁", "\n", "\t", "<r1>"),
    ("  ", "    ", "a b"),
)
RULES = ("identity", "nmt_nfkc", "nmt_nfkc_cf")


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("pieces", PIECES)
def test_ids_are_those_of_sentencepiece_for_every_flag(rule: str, pieces: tuple[str, ...]) -> None:
    for fallback, prefix, strip in product((True, False), repeat=3):
        if strip and pieces == PIECES[3] and rule != "identity":
            continue  # refused; see below
        proto = published.train_tokenizer(
            byte_fallback=fallback,
            add_dummy_prefix=prefix,
            remove_extra_whitespaces=strip,
            normalization_rule_name=rule,
            user_defined_symbols=pieces,
        )
        fast = fast_tokenizer(parse_sentencepiece(proto))
        original = SentencePieceProcessor(model_proto=proto)
        for text in (*TEXTS, *published.WORDS):
            got = fast.encode(text, add_special_tokens=False).ids
            assert got == original.encode(text), (text, fallback, prefix, strip)


PREFIXED = published.train_tokenizer(user_defined_symbols=("▁▁", "▁▁▁▁", "\n", "<r1>"))


@settings(deadline=None, max_examples=200)
@given(
    text=st.text(max_size=12)
    | st.lists(st.sampled_from([" ", "  ", "\n", "<r1>", "▁", "a", "sleep", "<s>", "睡"])).map(
        "".join
    )
)
def test_white_space_pieces_with_a_dummy_prefix(text: str) -> None:
    if "\0" in text:
        return  # SentencePiece itself stops at it
    assert _prefixed().encode(text).ids == _original().encode(text)


def _prefixed(cache: list[Tokenizer] = []) -> Tokenizer:  # noqa: B006 - a cache on purpose
    if not cache:
        cache.append(fast_tokenizer(parse_sentencepiece(PREFIXED)))
    return cache[0]


def _original() -> SentencePieceProcessor:
    return SentencePieceProcessor(model_proto=PREFIXED)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"model_type": "unigram", "vocabulary": 340}, "a unigram model"),
        ({"treat_whitespace_as_suffix": True}, "white space as suffix"),
        (
            {
                "user_defined_symbols": ("  ",),
                "normalization_rule_name": "nmt_nfkc",
                "remove_extra_whitespaces": True,
            },
            "no fast tokenizer was found",
        ),
    ],
)
def test_what_cannot_be_equal_is_refused(flags: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        fast_tokenizer(parse_sentencepiece(published.train_tokenizer(**flags)))


def test_merges_follow_scores_not_ids() -> None:
    model = parse_sentencepiece(published.train_tokenizer())
    score = {piece.text: piece.score for piece in model.pieces}
    made = [score[left + right] for left, right in merges(model)]
    assert made == sorted(made, reverse=True)


def test_added_tokens_must_fit_the_vocabulary() -> None:
    model = parse_sentencepiece(published.train_tokenizer())
    with pytest.raises(ModelError, match="comes next"):
        fast_tokenizer(model, added=[AddedPiece(len(model.pieces) + 3, "<|x|>")])
    with pytest.raises(ModelError, match="already id 1"):
        fast_tokenizer(model, added=[AddedPiece(len(model.pieces), "<s>")])


def test_saved_tokenizers_load_with_the_same_ids_and_pipeline(tmp_path: Path) -> None:
    source = published.chatglm3()
    convert(source.write(tmp_path / "source"), tmp_path / "native")
    loaded = AutoTokenizer.from_pretrained(tmp_path / "native")
    assert source.tokenizer is not None
    original = SentencePieceProcessor(model_proto=source.tokenizer)
    first = original.vocab_size()
    for text in TEXTS:
        ids = loaded.encode(text, split_special_tokens=True)
        assert ids == [first + 1, first + 3, *original.encode(text)], text
        assert loaded.decode(original.encode(text)) == original.decode(original.encode(text))
    saved = json.loads((tmp_path / "native" / "tokenizer_config.json").read_text())
    assert saved["tokenizer_class"] == "PreTrainedTokenizerFast"
    loaded.save_pretrained(tmp_path / "saved")
    again = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert all(again.encode(text) == loaded.encode(text) for text in TEXTS)


@pytest.mark.parametrize("prefix", [True, False])
def test_chat_prompts_are_those_that_the_originals_build(tmp_path: Path, *, prefix: bool) -> None:
    turns = [
        {"role": "system", "content": "你很温暖。"},
        {"role": "user", "content": "hello  world"},
        {"role": "assistant", "content": "\n you are heard"},
        {"role": "user", "content": " and now?"},
    ]
    glm = published.chatglm3(flags={"add_dummy_prefix": prefix})
    tokenizer, encode, first = _converted(glm, tmp_path / "glm")
    roles = {"system": first + 5, "user": first + 6, "assistant": first + 7}
    expected = [first + 1, first + 3]
    for turn in turns:
        expected += [roles[turn["role"]], *encode("\n"), *encode(turn["content"])]
    ids = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
    assert ids == [*expected, first + 7]
    baichuan = published.baichuan2(flags={"add_dummy_prefix": prefix})
    tokenizer, encode, _ = _converted(baichuan, tmp_path / "baichuan")
    expected = encode(turns[0]["content"])
    for turn in turns[1:]:
        expected += [3 if turn["role"] == "user" else 4, *encode(turn["content"])]
    ids = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
    assert ids == [*expected, 4]


def _converted(source: published.Source, folder: Path) -> tuple[Any, Any, int]:
    convert(source.write(folder / "source"), folder / "native")
    original = SentencePieceProcessor(model_proto=source.tokenizer)
    return (
        AutoTokenizer.from_pretrained(folder / "native"),
        original.encode,
        original.vocab_size(),
    )
