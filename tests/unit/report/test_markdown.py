"""The Markdown report: plain words first, tables that hold together, nothing active from users."""

from __future__ import annotations

import re

from sample_results import replaced

from qingting.report.html import SECTIONS
from qingting.report.markdown import escaped, inline, render_markdown
from qingting.report.results import Results
from qingting.report.texts import TEXTS


def test_the_answer_comes_first_in_both_languages(results: Results) -> None:
    lines = render_markdown(results).splitlines()
    quoted = [n for n, line in enumerate(lines) if line.startswith("> ")]
    first_table = next(n for n, line in enumerate(lines) if line.startswith("|"))
    assert len(quoted) == 2 and quoted[-1] < first_table
    assert "predict a counsellor's words better" in lines[quoted[1]]


def test_headings_are_bilingual_and_in_order(results: Results) -> None:
    text = render_markdown(results)
    shown = [name for name in SECTIONS if name not in ("curves", "examples")]
    places = [text.index("## {} · {}".format(*TEXTS[f"section_{name}"])) for name in shown]
    assert places == sorted(places)


def test_every_table_has_the_same_number_of_cells_in_each_row(
    results_with_failure: Results,
) -> None:
    tables = re.findall(r"(?:^\|.*\|\n?)+", render_markdown(results_with_failure), re.M)
    assert len(tables) > 12
    for table in tables:
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.strip().splitlines()}
        assert len(widths) == 1, table[:200]


def test_a_failed_arm_is_there_with_its_reason(results_with_failure: Results) -> None:
    assert "Reason: train: the loss became NaN at step 17" in render_markdown(results_with_failure)


def test_user_text_is_inert(results: Results) -> None:
    hostile = "a|b <script>alert(1)</script> *x* [y](z)\n# heading"
    text = render_markdown(replaced(results, outcomes={"question": hostile}))
    first = text.splitlines()[0]
    assert "<script>" not in first and "\\<script\\>" in first and "\\|" in first
    assert not any(line == "# heading" for line in text.splitlines())


def test_marks_of_ours_are_kept_and_spaces_stand() -> None:
    assert inline("the best is `a/b`, **lead**: x<y") == "the best is `a/b`, **lead**: x\\<y"
    assert escaped("two\nlines | bar") == "two lines \\| bar"


def test_equal_results_give_equal_text(results: Results) -> None:
    again = Results.model_validate_json(results.model_dump_json())
    assert render_markdown(results) == render_markdown(again)
