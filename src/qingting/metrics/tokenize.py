"""Words and characters: how text becomes tokens, the same way for every metric.

One rule for mixed text. White space separates and is dropped. A run of Latin (or Cyrillic,
Greek …) letters and digits is one token, with inner apostrophes (``don't``), and with inner
points and commas between digits (``3.5``, ``10,000``). Every other character is a token alone:
punctuation, symbols, emoji, and CJK characters, full-width forms included. Three tokenizers
differ only in what they do with CJK:

- ``char`` (Chinese by character): every CJK character alone.
- ``rjieba-VERSION`` (Chinese by word): the stretches between Latin words are cut by rjieba with
  its dictionary and HMM; the version is part of the name because the dictionary is part of the
  result. What rjieba leaves joined around Latin letters (``T恤``) never reaches it joined.
- ``word`` (English by word): the same as ``char``; the name says what a reader sees.

Case is not the tokenizer's business: each metric's signature says ``case:mixed`` (compared as
written, the convention of sacreBLEU) or ``case:lower`` (compared after ``str.lower``, the
convention of ROUGE and METEOR). No other normalisation happens: ``，`` and ``,`` differ.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import version
from typing import Literal

from qingting.core.errors import SpecificationError

Language = Literal["zh", "en"]
Unit = Literal["char", "word"]

# The ranges in which a character stands alone though Python calls it a letter: bopomofo, kana,
# ideographs and their extensions, hangul, compatibility and full-width forms.
_CJK = (
    "\u1100-\u11ff\u2e80-\u2fff\u3000-\u31ff\u3200-\u33ff\u3400-\u4dbf\u4e00-\u9fff"
    "\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\ufe10-\ufe1f\ufe30-\ufe4f\uff00-\uffef"
    "\U0001b000-\U0001b16f\U00020000-\U0003ffff"
)
_LETTER = rf"[^\W_{_CJK}]"
_WORD = rf"{_LETTER}+(?:['’]{_LETTER}+|(?<=\d)[.,](?=\d){_LETTER}+)*"

HAS_WORD = re.compile(_LETTER)
"""Finds whether a text holds any letter or digit that may join others into one token."""

_TOKEN = re.compile(rf"{_WORD}|\S")
_WORDS = re.compile(rf"({_WORD})")


def tokenizer_name(language: Language, unit: Unit | None = None) -> str:
    """Return the tokenizer's name for a language and unit, as signatures write it.

    Chinese defaults to ``char``, English to ``word``.

    Raises:
        SpecificationError: English by character; chrF is the character metric for English.
    """
    if language == "zh":
        return "char" if unit in (None, "char") else _rjieba_name()
    if unit == "char":
        raise SpecificationError(
            "English is tokenized by word; for characters use the metric chrf, "
            "or leave the tokenizer out"
        )
    return "word"


@cache
def _rjieba_name() -> str:
    return f"rjieba-{version('rjieba')}"


def tokenize(text: str, tokenizer: str) -> list[str]:
    """Return the tokens of a text; ``tokenizer`` is a name from ``tokenizer_name``.

    Raises:
        SpecificationError: no such tokenizer, or rjieba in another version than is installed.
    """
    if tokenizer in ("char", "word"):
        return _TOKEN.findall(text)
    if tokenizer == _rjieba_name():
        return cut_words(text)
    raise SpecificationError(
        f"tokenizer {tokenizer!r} is not available here; use 'char', 'word' or {_rjieba_name()!r}"
    )


def cut_words(text: str) -> list[str]:
    """Return Chinese words by rjieba, with Latin words and numbers kept whole."""
    import rjieba

    if not HAS_WORD.search(text):
        return [word for word in rjieba.cut(text) if not word.isspace()]
    tokens: list[str] = []
    for index, part in enumerate(_WORDS.split(text)):
        if index % 2:
            tokens.append(part)
        elif part:
            tokens.extend(word for word in rjieba.cut(part) if not word.isspace())
    return tokens
