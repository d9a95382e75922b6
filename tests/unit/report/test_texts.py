"""Every text exists in both languages and is used."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest

import qingting.report
from qingting.report.texts import TEXTS, Bilingual, listing, text

_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_SAME_IN_BOTH = re.compile(r"metric_(bleu|meteor|chrf|distinct|rouge)$|hint_none$|f1$")


@pytest.mark.parametrize("key", TEXTS)
def test_every_text_stands_in_both_languages(key: str) -> None:
    zh, en = TEXTS[key]
    if _SAME_IN_BOTH.match(key):
        assert zh == en
        return
    has_words = _CHINESE.search(zh) or not re.search(r"\w", re.sub(r"\{\w+\}", "", zh))
    assert zh and has_words, f"no Chinese in {zh!r}"
    assert en and not _CHINESE.search(en.replace("倾听", "")), f"Chinese in {en!r}"


@pytest.mark.parametrize("key", TEXTS)
def test_both_languages_say_the_same_values(key: str) -> None:
    def names(template: str) -> set[str]:
        return {name for _, name, _, _ in Formatter().parse(template) if name}

    zh, en = TEXTS[key]
    assert names(zh) == names(en)


def test_every_text_is_used() -> None:
    folder = Path(qingting.report.__file__).parent
    files = [*folder.glob("*.py"), *folder.glob("templates/*.html")]
    source = "".join(f.read_text() for f in files if not f.name.startswith("texts"))
    prefixes = set(re.findall(r"[\"'](\w+_)[\"'{]", source))
    unused = [
        key
        for key in TEXTS
        if f'"{key}"' not in source and not any(key.startswith(prefix) for prefix in prefixes)
    ]
    # Chosen by a verdict, a language, a direction or a side, never spelled out.
    task = re.compile("_(classification|generation|texts)$")
    unused = [key for key in unused if not (task.search(key) and task.sub("", key) in TEXTS)]
    chosen = re.compile(r"(headline|lead|part|open|metric|higher|lower)_|better|worse|zh$|en$")
    assert [key for key in unused if not chosen.match(key)] == []


def test_a_value_may_differ_between_languages() -> None:
    assert text("with_language", metric="chrF", language=text("zh")) == Bilingual(
        "chrF（中文）", "chrF (Chinese)"
    )


def test_a_missing_value_is_an_error() -> None:
    with pytest.raises(KeyError):
        text("with_language", metric="chrF")


def test_braces_in_values_are_left_alone() -> None:
    assert "{x}" in text("missing_note", reason="{x}").en


@pytest.mark.parametrize(
    ("names", "zh", "en"),
    [
        (["a"], "`a`", "`a`"),
        (["a", "b"], "`a` 和 `b`", "`a` and `b`"),
        (["a", "b", "c"], "`a`、`b` 和 `c`", "`a`, `b` and `c`"),
        (list("abcde"), "`a`、`b`、`c` 等 5 个模型", "`a`, `b`, `c` and 2 more"),
    ],
)
def test_names_are_listed(names: list[str], zh: str, en: str) -> None:
    assert listing(names) == Bilingual(zh, en)
