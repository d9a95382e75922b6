"""Tokenizers of other stacks, for their numbers only; ours are in ``tokenize``.

``jieba`` is what Chinese stacks cut words with. The package's own word cutter, rjieba, has the same
dictionary and model and differs in runs of Latin letters and signs (``SCL-90``) and in rare
ideographs; ``cut_like_jieba`` mends both and equals ``jieba.lcut`` 0.42.1. ``13a`` and ``zh`` are
sacreBLEU's: mteval-v13a's rules for Western text, and the same after setting Chinese characters
apart.
"""

from __future__ import annotations

import re

# What jieba hands to its dictionary; everything else it leaves a character each.
_DICTIONARY = re.compile(r"([\u4e00-\u9fd5A-Za-z0-9+#&._%\-]+)")
_WESTERN = re.compile(r"[A-Za-z0-9+#&._%\-]{2,}")
_NUMBER_OR_WORD = re.compile(r"([A-Za-z0-9]+(?:\.[0-9]+)?%?)")
_IN_DICTIONARY = frozenset({"AT&T", "C#", "c#", "C++", "c++"})
_ONE_OR_LINE_END = re.compile(r"\r\n|.", re.S)


def cut_like_jieba(text: str) -> list[str]:
    """Return the words of ``jieba.lcut(text)``, white space among them, without jieba."""
    import rjieba

    words: list[str] = []
    for index, part in enumerate(_DICTIONARY.split(text)):
        if not index % 2:
            words += _ONE_OR_LINE_END.findall(part)
            continue
        for word in rjieba.cut(part):
            if _WESTERN.fullmatch(word) and word not in _IN_DICTIONARY:
                words += filter(None, _NUMBER_OR_WORD.split(word))
            else:
                words.append(word)
    return words


_APART = {ord(sign): f" {sign} " for sign in '!"#$%&()*+/:;<=>?@[\\]^_`{|}~'}
# A point or comma stays within a number. Two passes that each consume the neighbour, as theirs do:
# after an odd number of points, one stays with the number (``...50`` gives ``. . .50``).
_POINT_AFTER = re.compile(r"([^0-9])([.,])")
_POINT_BEFORE = re.compile(r"([.,])([^0-9])")
_DASH_AFTER_DIGIT = re.compile(r"(?<=[0-9])-")
_ENTITIES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))


def tokenize_13a(text: str) -> list[str]:
    """Return the tokens of sacreBLEU's ``13a``, the rules of mteval-v13a."""
    text = text.rstrip().replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for entity, sign in _ENTITIES:
        text = text.replace(entity, sign)
    return _western(f" {text} ")


# sacreBLEU 2.x writes two ranges beyond U+FFFF with four hexadecimal digits, so that they begin
# and end elsewhere: just above U+2000 and at U+2A6D, and from U+2F80 on.
_CHINESE = re.compile(
    "([\u2001-\u2a6d\u2e80-\u2eff\u2f00-\u2fdf\u2ff0-\u303f\u3100-\u312f\u31a0-\u31bf\u31c0-\u31ef"
    "\u3200-\u4db5\u4e00-\u9fbb\uf900-\ufa2d\ufa30-\ufa6a\ufa70-\ufad9\ufe10-\ufe1f\ufe30-\ufe4f"
    "\uff00-\uffef])"
)


def tokenize_zh(text: str) -> list[str]:
    """Return the tokens of sacreBLEU's ``zh``: Chinese characters and signs alone, then 13a's."""
    return _western(_CHINESE.sub(r" \1 ", text.strip()))


def _western(text: str) -> list[str]:
    text = _POINT_AFTER.sub(r"\1 \2 ", text.translate(_APART))
    text = _POINT_BEFORE.sub(r" \1 \2", text)
    return _DASH_AFTER_DIGIT.sub(" - ", text).split()
