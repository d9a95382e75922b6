"""Free text without what could name a person: numbers, ids, addresses.

What is found is replaced by its kind in square brackets. Names of people cannot be found by rule
and are not: raters are asked not to write any.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

_CHECK_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK_DIGITS = "10X98765432"


class Scrubbed(NamedTuple):
    """A text without identifiers, and how many of each kind were found."""

    text: str
    counts: dict[str, int]


def _is_resident_id(text: str) -> bool:
    """Return whether 18 digits carry the check digit of GB 11643-1999 (ISO 7064 MOD 11-2)."""
    total = sum(
        int(digit) * weight for digit, weight in zip(text[:17], _CHECK_WEIGHTS, strict=True)
    )
    return _CHECK_DIGITS[total % 11] == text[17].upper()


def _is_bank_card(text: str) -> bool:
    """Return whether digits pass the Luhn check (ISO/IEC 7812-1, annex B)."""
    digits = [int(c) for c in text if c.isdigit()]
    doubled = [d * 2 - 9 if d > 4 else d * 2 for d in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


class _Kind(NamedTuple):
    name: str
    pattern: re.Pattern[str]
    holds: Callable[[str], bool] | None = None


# In this order: an earlier kind takes what a later one would take a part of.
_KINDS = (
    _Kind("address", re.compile(r"https?://\S+|\bwww\.\S+", re.I)),
    _Kind("e-mail", re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")),
    _Kind("id", re.compile(r"(?<!\d)\d{17}[\dXx](?![\dXx])"), _is_resident_id),
    _Kind("card", re.compile(r"(?<![\d-])(?:\d[ -]?){15,18}\d(?![\d-])"), _is_bank_card),
    _Kind("phone", re.compile(r"(?<!\d)(?:\+?86[ -]?)?1[3-9]\d[ -]?\d{4}[ -]?\d{4}(?!\d)")),
    _Kind("phone", re.compile(r"(?<!\d)0\d{2,3}[ -]\d{7,8}(?!\d)")),
    _Kind("phone", re.compile(r"\+\d{1,3}(?:[ .-]?\(?\d{1,4}\)?){2,5}(?!\d)")),
    _Kind("phone", re.compile(r"(?<!\d)\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?!\d)")),
    _Kind(
        "account",
        re.compile(
            r"(?:微信号?|wechat|weixin|wx|v信)(?:\s*(?:id|号))?\s*(?:是|为|[:：])?\s*"
            r"[A-Za-z][A-Za-z0-9_-]{5,19}",
            re.I,
        ),
    ),
    _Kind("account", re.compile(r"(?:QQ|扣扣)(?:号)?\s*(?:是|为|[:：])?\s*[1-9]\d{4,10}", re.I)),
    _Kind("passport", re.compile(r"(?<![A-Za-z0-9])[EGDSPHeGdsph]\d{8}(?!\d)")),
    _Kind("id", re.compile(r"(?<!\d)\d{3}-\d{2}-\d{4}(?!\d)")),
)


def scrub(text: str) -> Scrubbed:
    """Return a text with identifiers replaced by ``[kind]``; scrubbing again changes nothing."""
    counts: Counter[str] = Counter()
    for kind in _KINDS:

        def replace(match: re.Match[str], kind: _Kind = kind) -> str:
            if kind.holds is not None and not kind.holds(match[0]):
                return match[0]
            counts[kind.name] += 1
            return f"[{kind.name}]"

        text = kind.pattern.sub(replace, text)
    return Scrubbed(text, dict(counts))
