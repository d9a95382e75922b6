"""Answers made alike in form, without names that tell which model wrote them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from qingting.judging.folding import folded
from qingting.judging.formatting import normalise_formatting
from qingting.judging.model_names import MASK, name_pattern
from qingting.judging.self_introductions import speaks_of_a_model

__all__ = ["MASK", "Masked", "blinded", "mask_names", "normalise_formatting"]

# Names between which one of these stands are masked together: by Zhipu AI and Tsinghua University.
_LISTED = re.compile(r"\s*(?:,|、|和|与|及|&|/|\+|联合|\band\b|,\s*and\b)\s*(?:the\s+)?", re.I)
# A maker before its model: Meta's Llama, 腾讯混元.
_BELONGS = re.compile(r"\s?|['’]s\s+|(?:公司|旗下|家)?的?\s?")
_TRADITIONAL = str.maketrans(
    "義問譜書騰訊飛語雲實驗學軟華為開發訓練創團隊來僅請稱這個種計構與關於們將東",
    "义问谱书腾讯飞语云实验学软华为开发训练创团队来仅请称这个种计构与关于们将东",
)


class Masked(NamedTuple):
    """A text as raters see it, and how many names were masked in it."""

    text: str
    n_masked: int


class _Name(NamedTuple):
    start: int
    end: int
    sort: str


def blinded(text: str, *, names: Sequence[str], language: str) -> Masked:
    """Return an answer as raters see it: form made alike, names of models and arms masked.

    Args:
        names: of the study's arms; a distinctive one (``clinic-v2``) is masked where it stands, an
            ordinary word (``base``) only where a model introduces itself by it.
        language: of the mask.
    """
    return mask_names(normalise_formatting(text), names, language=language)


def mask_names(text: str, names: Iterable[str] = (), *, language: str = "en") -> Masked:
    """Return a text with names of models and their makers masked; each masked name counts.

    Names that are no words of other use are masked wherever they stand, with the version that
    follows them, in any case, width or spacing. Names that also are ordinary words, given names or
    companies of everyday life are masked where the text speaks of a model or its making ("I am
    Claude", "developed by Google", "由腾讯研发"): a brother called Claude, 文心雕龙, meta-analysis and
    "google it" stay. Masking again changes nothing.
    """
    mask = MASK["zh" if language == "zh" else "en"]
    pattern = _pattern(tuple(sorted(set(names))))
    n_masked = 0
    while found := _found(text, pattern):
        # A mask may complete a list that tells what its other names are.
        n_masked += len(found)
        for start, end in reversed(found):
            text = f"{text[:start]}{mask}{text[end:]}"
    return Masked(text, n_masked)


_pattern = lru_cache(maxsize=64)(name_pattern)


def _found(text: str, pattern: re.Pattern[str]) -> list[tuple[int, int]]:
    """Return the spans of the names to mask, in order."""
    plain = folded(text)
    readable = plain.text.translate(_TRADITIONAL)
    names = [
        _Name(*match.span(), match.lastgroup or "")
        for match in pattern.finditer(readable)
        if match.end() > match.start()
    ]
    to_mask: list[tuple[int, int]] = []
    for group in _groups(names, readable):
        is_told = _is_told(group, readable)
        to_mask += [
            plain.span(one.start, one.end)
            for one in group
            if one.sort == "known" or (is_told and one.sort != "mask")
        ]
    return to_mask


def _groups(names: Sequence[_Name], text: str) -> list[list[_Name]]:
    groups: list[list[_Name]] = []
    for one in names:
        between = text[groups[-1][-1].end : one.start] if groups else ""
        if groups and (_LISTED.fullmatch(between) or _BELONGS.fullmatch(between)):
            groups[-1].append(one)
        else:
            groups.append([one])
    return groups


def _is_told(group: Sequence[_Name], text: str) -> bool:
    """Return whether ordinary words that stand together are names of models or makers here."""
    sorts = {one.sort for one in group}
    if sorts <= {"known", "mask"}:
        return False
    for one, other in itertools.pairwise(group):
        is_pair = one.sort == "maker" and other.sort in ("model", "known", "mask")
        if is_pair and _BELONGS.fullmatch(text[one.end : other.start]):
            return True
    start, end = group[0].start, group[-1].end
    return any(
        speaks_of_a_model(text, sort, start=start, end=end)
        for sort in sorts
        if sort not in ("known", "mask")
    )
