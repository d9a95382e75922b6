"""Studies with hardly any data are told in clear words, in both languages, and never crash."""

from __future__ import annotations

import re
from typing import Any

import pytest

from qingting.core.errors import DataError
from qingting.judging.analysis import analyse
from qingting.judging.snapshot import SnapshotData
from qingting.report.judging_words import first_page, study_html, study_markdown
from unit.judging.written_study import pairs, row, singles, study

SLOW = {"min_median_s": 100.0}

CASES: dict[str, tuple[SnapshotData, str, str]] = {
    "two raters, three items": (study(singles({"a": 2, "b": 4})), 
        "the ratings of some arms do not overlap with those of the others. See the means.",
        "有的组与其他组的评分完全不重叠，模型算不出有限的差别；请看平均分",
),
    "one rater, one answer": (
        study([row("r0", "i0", "a", {"overall": 3})]),
        "one arm only (a): nothing to compare",
        "只有一组（a），没有可比较的",
    ),
    "one arm was judged": (
        study(singles({"a": 3})),
        "Nobody has judged b yet.",
        "还没有人评过：b。",
    ),
    "everybody says the same": (
        study([row(f"r{r}", f"i{i}", arm, {"overall": 4}) for r in (0, 1) for i in (0, 1)
               for arm in ("a", "b")]),
        "every rating is 4: nothing can be said of differences",
        "所有评分都是 4，看不出差别",
    ),
    "all excluded": (
        study(singles({"a": 2, "b": 4}), exclusion=SLOW),
        "All 2 raters (12 judgments) were left out",
        "全部 2 位评价者（12 次评价）都按事先定好的规则排除了",
    ),
    "all pairs excluded": (
        study(pairs("left"), mode="pair", exclusion=SLOW),
        "All 2 raters (6 judgments) were left out",
        "全部 2 位评价者（6 次评价）都按事先定好的规则排除了",
    ),
    "only ties": (
        study(pairs("tie"), mode="pair"),
        "every vote is a tie",
        "每次比较都评为差不多",
    ),
    "one pair": (
        study([row("r0", "i0", "a", {"overall": "left"}, other_arm="b")], mode="pair"),
        "separation: a won all 1 votes",
        "a 与其他组的 1 次比较全胜",
    ),
    "two raters of pairs": (
        study(pairs("left"), mode="pair"),
        "No two arms differ so much that it is sure",
        "没有哪两组之间的差别大到可以肯定",
    ),
    "a conversation": (
        study(singles({"a": 2, "b": 3}), mode="conversation"),
        "scores of whole conversations",
        "对整段对话打分",
    ),
    "no verdict on safety": (
        study([one | {"safety": {}} for one in singles({"a": 2, "b": 3})]),
        "There is no verdict on safety.",
        "没有安全判断。",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_few_data_are_told_in_both_languages(case: str) -> None:
    data, en, zh = CASES[case]
    result = analyse(data, digest="d" * 64)
    pages = {language: study_markdown(result, language=language) for language in ("en", "zh")}
    assert en in pages["en"]
    assert zh in pages["zh"]
    for page in pages.values():
        assert not re.search(r"\b(nan|None|inf|Missing)\b", page)
        assert page.startswith("# ")
    html = study_html(result)
    assert "<h1>" in html and "Missing(" not in html


@pytest.mark.parametrize("case", CASES)
def test_the_chinese_page_holds_no_english_sentence(case: str) -> None:
    page = study_markdown(analyse(CASES[case][0], digest="d" * 64), language="zh")
    left = re.findall(r"[A-Za-z]+(?: [A-Za-z]+){2,}", page)
    assert left == []


def test_without_a_judgment_of_the_main_part_the_reason_is_told() -> None:
    practice = row("r0", "i0", None, {"overall": 3}, role="training")
    for rows in ([], [practice]):
        with pytest.raises(DataError, match="no judgment of the main part"):
            analyse(study(rows), digest="d")


def test_what_everybody_says_stands_beside_where_all_are_left_out() -> None:
    result = analyse(CASES["all excluded"][0], digest="d" * 64)
    assert (result.n_raters, result.n_judgments, result.n_left_out) == (0, 0, 12)
    assert result.everyone is not None and result.everyone[0].n_judgments == 12
    page = study_markdown(result, language="en")
    assert "## Without exclusions" in page
    assert "| overall | No conclusion: no judgment is left. |" in page


@pytest.mark.parametrize("mode", ["single", "pair"])
def test_any_rubric_is_analysed_by_its_first_criterion(mode: str) -> None:
    names = ("warmth", "clarity")
    rows: list[dict[str, Any]] = pairs("left") if mode == "pair" else singles({"a": 2, "b": 4})
    renamed = [one | {"scores": dict.fromkeys(names, one["scores"]["overall"])} for one in rows]
    result = analyse(study(renamed, mode=mode, criteria=names), digest="d" * 64)
    assert result.headline == "warmth"
    assert {one.criterion for one in result.criteria} == set(names)
    assert result.parts and all(one.figures for one in result.parts)
    assert "**warmth**: " in first_page(result, language="en")
    assert "**标准warmth**：" in first_page(result, language="zh")


def test_overall_is_the_headline_wherever_it_stands() -> None:
    rows = [
        one | {"scores": {"warmth": 3, "overall": one["scores"]["overall"]}}
        for one in singles({"a": 2, "b": 4})
    ]
    data = study(rows, criteria=("warmth", "overall"))
    assert analyse(data, digest="d").headline == "overall"
