"""Answers made alike in form, without names that tell which model wrote them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

MASK = {"zh": "〔某模型〕", "en": "[a model]"}

_LATIN = (
    *("Qwen", "Tongyi", "Alibaba Cloud", "Llama", "Meta AI", "ChatGLM", "GLM", "Zhipu", "Z.ai"),
    *("InternLM", "Shanghai AI Lab", "Shanghai AI Laboratory", "Baichuan", "GPT-OSS", "ChatGPT"),
    *("GPT", "OpenAI", "DeepSeek", "Gemini", "Claude", "Anthropic", "Mistral", "Gemma", "Yi-Chat"),
    *("ERNIE Bot", "Doubao", "Kimi", "Moonshot AI", "SparkDesk", "EmoLLM", "SoulChat"),
)
_HAN = (
    *("通义千问", "通义", "千问", "阿里云", "智谱清言", "智谱AI", "智谱", "书生·浦语", "书生浦语"),
    *("浦语", "百川大模型", "百川智能", "文心一言", "文心", "豆包", "深度求索", "讯飞星火"),
    *("上海人工智能实验室", "月之暗面"),
)
"""Names that are no words of other use, or seldom; ``百川`` alone is (海纳百川)."""

_SELF = (
    re.compile(r"(我(?:是|叫|的名字(?:是|叫))\s*)(百川|通义|文心|混元|星火)(?=[，。！？,.!?\s]|$)"),
    re.compile(r"(\bI(?:'m| am)\s+)(Yi|Meta)\b(?=[\s,.!?]|$)"),
)


class Masked(NamedTuple):
    """A text as raters see it, and how many names were masked in it."""

    text: str
    n_masked: int


def blinded(text: str, *, names: Sequence[str], language: str) -> Masked:
    """Return an answer as raters see it: form made alike, names of models and arms masked.

    Args:
        names: of the study's arms; each is masked where it stands, in parts of a path too.
        language: of the mask.
    """
    return mask_names(normalise_formatting(text), names, language=language)


def normalise_formatting(text: str) -> str:
    """Return a text in the one form that all arms are shown in.

    Changed: line ends, white space at line ends, more than one blank line, heading and emphasis
    marks of Markdown, marks of list items (``-``), rules, code fences, invisible characters. Kept:
    every word, numbers of lists, emoji, the order and the breaks of lines.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = re.sub(r"[\u200b\u2060\ufeff]", "", text)  # joiners of emoji (U+200D) stay
    while (once := _without_marks(text)) != text:  # a mark may stand within another
        text = once
    return text


def _without_marks(text: str) -> str:
    lines = []
    for line in text.split("\n"):
        line = line.rstrip()
        if re.fullmatch(r"\s*(```\w*|~~~\w*|([-*_]\s*){3,})", line):
            continue
        line = re.sub(r"^\s{0,3}#{1,6}\s+", "", line)
        line = re.sub(r"^(\s*)[*•·‣◦●○▪–—+-]\s+", r"\1- ", line)
        line = re.sub(r"^\s*>\s?", "", line)
        line = re.sub(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1", r"\2", line)
        line = re.sub(r"(?<![\w*])\*(?=\S)([^*\n]+?)(?<=\S)\*(?![\w*])", r"\1", line)
        line = re.sub(r"`([^`\n]+)`", r"\1", line)
        lines.append(line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def mask_names(text: str, names: Iterable[str] = (), *, language: str = "en") -> Masked:
    """Return a text with names of models and their makers masked.

    Known names are masked as whole words with the version that follows them; names that are also
    common words only where a model introduces itself.
    """
    mask = MASK["zh" if language == "zh" else "en"]
    n_masked = 0

    def count(match: re.Match[str]) -> str:
        nonlocal n_masked
        n_masked += 1
        return mask

    def count_self(match: re.Match[str]) -> str:
        nonlocal n_masked
        n_masked += 1
        return f"{match[1]}{mask}"

    text = _pattern(tuple(sorted(set(names), key=lambda name: (-len(name), name)))).sub(count, text)
    for pattern in _SELF:
        text = pattern.sub(count_self, text)
    return Masked(text, n_masked)


@lru_cache(maxsize=64)
def _pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    """Return what matches any known name, and each of a study's arms as it is written."""
    # a version may follow: Qwen2.5-7B-Instruct, GPT-4o, Llama 3.1
    version = r"(?:[-\s]?(?:v?\d[\w.]*|[A-Za-z]?\d[\w.-]*))?(?:-[\w.]+)*"
    latin = "|".join(re.escape(name) for name in sorted(_LATIN, key=len, reverse=True))
    han = "|".join(re.escape(name) for name in sorted(_HAN, key=len, reverse=True))
    own = [re.escape(name) for name in names]
    parts = [
        *([rf"(?<![A-Za-z0-9])(?:{'|'.join(own)})(?![A-Za-z0-9])"] if own else []),
        rf"(?<![A-Za-z])(?:{latin}){version}(?![A-Za-z])",
        rf"(?:{han})(?:{version})",
    ]
    return re.compile("|".join(parts), re.I)
