"""Scrubbing: identifiers go, words stay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qingting.judging.scrubbing import scrub


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("打我电话13812345678", "phone"),
        ("+86 138 1234 5678", "phone"),
        ("座机 010-62751234", "phone"),
        ("call +44 20 7946 0958", "phone"),
        ("(212) 555-0187", "phone"),
        # 11010519491231002X is the example of GB 11643-1999
        ("身份证11010519491231002X", "id"),
        ("SSN 078-05-1120", "id"),
        ("写信到 li.lei+a@example.edu.cn", "e-mail"),
        ("加我微信：lilei_2008", "account"),
        ("我的QQ号是 12345678", "account"),
        ("卡号 4539 1488 0343 6467", "card"),
        ("护照E12345678", "passport"),
        ("见 https://example.org/u/77?x=1", "address"),
    ],
)
def test_an_identifier_is_replaced_by_its_kind(text, kind):
    scrubbed = scrub(text)
    assert scrubbed.counts == {kind: 1}
    assert f"[{kind}]" in scrubbed.text
    assert not any(part in scrubbed.text for part in ("1234", "6275", "7946", "0187", "002X"))


@pytest.mark.parametrize(
    "text",
    [
        "他 1990 年出生，身高 175，2026-11-27 那天来的。",
        "评分 4/5，用时 12.5 秒，第 110105194912310021 号",  # the check digit is wrong
        "回答太长，有 1200 字。",
        "微信上聊过",
    ],
)
def test_ordinary_numbers_and_words_stay(text):
    assert scrub(text) == (text, {})


@given(st.text(alphabet="0123456789-+ ()@a.中X", max_size=40))
def test_scrubbing_again_changes_nothing(text):
    once = scrub(text).text
    assert scrub(once).text == once
