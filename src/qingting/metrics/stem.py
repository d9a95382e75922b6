"""Porter's stemmer for English, the original algorithm of 1980."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise

_VOWEL = "aeiou"
_LOWER_WORD = re.compile(r"[a-z][a-z'’]*")

# (ending, replacement) pairs; the longest ending that fits is the only one tried.
_STEP_2 = (
    ("ational", "ate"), ("tional", "tion"), ("enci", "ence"), ("anci", "ance"), ("izer", "ize"),
    ("abli", "able"), ("alli", "al"), ("entli", "ent"), ("eli", "e"), ("ousli", "ous"),
    ("ization", "ize"), ("ation", "ate"), ("ator", "ate"), ("alism", "al"), ("iveness", "ive"),
    ("fulness", "ful"), ("ousness", "ous"), ("aliti", "al"), ("iviti", "ive"), ("biliti", "ble"),
)  # fmt: skip
_STEP_3 = (
    ("icate", "ic"), ("ative", ""), ("alize", "al"), ("iciti", "ic"), ("ical", "ic"),
    ("ful", ""), ("ness", ""),
)  # fmt: skip
_STEP_4 = (
    "ement", "ance", "ence", "able", "ible", "ment", "sion", "tion", "ant", "ent", "ism", "ate",
    "iti", "ous", "ive", "ize", "al", "er", "ic", "ou",
)  # fmt: skip


@lru_cache(maxsize=1 << 16)
def porter_stem(word: str) -> str:
    """Return the stem of a lower-case English word; anything else is returned unchanged.

    Source: Porter (1980), *An algorithm for suffix stripping*, Program 14(3). Equals nltk's
    ``PorterStemmer(mode="ORIGINAL_ALGORITHM")``.
    """
    if not _LOWER_WORD.fullmatch(word):
        return word
    word = _step_1(word)
    word = _longest(word, _STEP_2, more_than=0)
    word = _longest(word, _STEP_3, more_than=0)
    word = _step_4(word)
    return _step_5(word)


def _step_1(word: str) -> str:
    for ending, new in (("sses", "ss"), ("ies", "i"), ("ss", "ss"), ("s", "")):
        if word.endswith(ending):
            word = word[: -len(ending)] + new
            break
    if word.endswith("eed"):
        if _measure(word[:-3]) > 0:
            word = word[:-1]
    else:
        for ending in ("ed", "ing"):
            stem = word[: -len(ending)]
            if word.endswith(ending) and _has_vowel(stem):
                word = _tidy(stem)
                break
    if word.endswith("y") and _has_vowel(word[:-1]):
        word = word[:-1] + "i"
    return word


def _tidy(stem: str) -> str:
    """Return a stem that lost -ed or -ing with its own ending restored."""
    if stem.endswith(("at", "bl", "iz")):
        return stem + "e"
    if _doubled(stem) and stem[-1] not in "lsz":
        return stem[:-1]
    return stem + "e" if _measure(stem) == 1 and _closed(stem) else stem


def _step_4(word: str) -> str:
    for ending in _STEP_4:
        if word.endswith(ending):
            # -ion goes, but only after s or t, which stay.
            stem = word[:-3] if ending in ("sion", "tion") else word[: -len(ending)]
            return stem if _measure(stem) > 1 else word
    return word


def _step_5(word: str) -> str:
    if word.endswith("e"):
        stem = word[:-1]
        measure = _measure(stem)
        if measure > 1 or (measure == 1 and not _closed(stem)):
            word = stem
    if word.endswith("ll") and _measure(word[:-1]) > 1:
        word = word[:-1]
    return word


def _longest(word: str, rules: tuple[tuple[str, str], ...], *, more_than: int) -> str:
    fitting = [rule for rule in rules if word.endswith(rule[0])]
    if not fitting:
        return word
    ending, new = max(fitting, key=lambda rule: len(rule[0]))
    stem = word[: -len(ending)]
    return stem + new if _measure(stem) > more_than else word


def _is_consonant(word: str, index: int) -> bool:
    if word[index] == "y":
        return index == 0 or not _is_consonant(word, index - 1)
    return word[index] not in _VOWEL


def _measure(stem: str) -> int:
    """Return how often a vowel is followed by a consonant."""
    kinds = [_is_consonant(stem, index) for index in range(len(stem))]
    return sum(not before and after for before, after in pairwise(kinds))


def _has_vowel(stem: str) -> bool:
    return any(not _is_consonant(stem, index) for index in range(len(stem)))


def _doubled(stem: str) -> bool:
    return len(stem) > 1 and stem[-1] == stem[-2] and _is_consonant(stem, len(stem) - 1)


def _closed(stem: str) -> bool:
    """Return whether a stem ends consonant, vowel, consonant, the last not w, x or y."""
    last = len(stem) - 1
    return (
        last >= 2
        and _is_consonant(stem, last - 2)
        and not _is_consonant(stem, last - 1)
        and _is_consonant(stem, last)
        and stem[last] not in "wxy"
    )
