"""A check of a data set as people read it: a table of defects, in English or Chinese."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from qingting.data.check import CheckReport
from qingting.data.records import Defect

_WIDTH_ELSEWHERE: Final = 120


class _Words(NamedTuple):
    en: str
    zh: str


MEANINGS: Final[dict[Defect, _Words]] = {
    Defect.MALFORMED: _Words(
        "The record cannot be read as a dialogue.", "这条记录无法读成一段对话。"
    ),
    Defect.MISSING_TURNS: _Words("The record holds no turn at all.", "这条记录里没有任何发言。"),
    Defect.UNKNOWN_ROLE: _Words(
        "A turn is by somebody who is neither client nor counsellor.",
        "有一轮发言的说话人既不是来访者也不是咨询师。",
    ),
    Defect.UNLABELLED_LINE: _Words("A line does not say who speaks.", "有一行没有写明说话人。"),
    Defect.EMPTY_TURN: _Words("A turn has no words.", "有一轮发言是空的。"),
    Defect.ALTERNATION_BREAK: _Words(
        "One speaker has two turns in a row.", "同一说话人连续说了两轮。"
    ),
    Defect.STARTS_ON_COUNSELLOR: _Words("The counsellor speaks first.", "对话由咨询师先开口。"),
    Defect.ENDS_ON_CLIENT: _Words(
        "The client's last turn has no answer.", "来访者的最后一轮发言没有得到回应。"
    ),
    Defect.SINGLE_MESSAGE: _Words("There is only one turn.", "整段对话只有一轮发言。"),
    Defect.EXACT_DUPLICATE: _Words(
        "A redundant copy of an earlier dialogue; it stays valid.",
        "与前面某段对话完全相同的副本；不影响有效性。",
    ),
    Defect.BAD_ENCODING: _Words(
        "Characters were lost to a wrong or broken encoding.", "编码有误，部分字符已丢失。"
    ),
}
"""What each defect means, in one sentence."""


def print_report(
    report: CheckReport, path: Path, *, seconds: float, language: Literal["en", "zh"]
) -> None:
    """Print a report to stdout: counts, defects with their meaning and first places, speed."""
    console = Console(highlight=False, soft_wrap=False)
    if not console.is_terminal:
        console.width = _WIDTH_ELSEWHERE
    is_zh = language == "zh"
    forms = ", ".join(f"{name} {count:,}" for name, count in report.formats.items())
    mixture = f" ({forms})" if len(report.formats) > 1 else ""
    speed = report.n_bytes / 1e6 / max(seconds, 1e-9)
    rows = (
        (("格式", "format")[not is_zh], f"{report.format}{mixture}"),
        (("对话", "dialogues")[not is_zh], f"{report.n_dialogues:,}"),
        (("严格有效", "strictly valid")[not is_zh], f"{report.n_strictly_valid:,}"),
        (("发言", "turns")[not is_zh], f"{report.n_turns:,}"),
        (("无说话人的行", "unlabelled lines")[not is_zh], f"{report.n_unlabelled_lines:,}"),
        (
            ("读取", "read")[not is_zh],
            f"{report.n_bytes / 1e6:,.1f} MB, {seconds:,.1f} s, {speed:,.0f} MB/s",
        ),
    )
    summary = Table(box=None, show_header=False, padding=(0, 2, 0, 0), title_justify="left")
    for name, value in rows:
        summary.add_row(name, escape(value))
    console.print(escape(str(path)), style="bold")
    console.print(summary)
    _print_defects(console, report, is_zh=is_zh)
    places: dict[str, list[str]] = {}
    for place, problem in report.problems.items():
        places.setdefault(problem, []).append(place)
    for problem, at in places.items():
        console.print(escape(f"{', '.join(at)}: {problem}"), soft_wrap=True)
    if report.repairs:
        usable = "修复后可用" if is_zh else "usable after repair"
        console.print(f"{usable}: {report.n_usable:,}")
        for name, count in report.repairs.items():
            console.print(f"  {name}: {count:,}")


def _print_defects(console: Console, report: CheckReport, *, is_zh: bool) -> None:
    shown = [defect for defect in Defect if report.defects[defect]]
    if not shown:
        console.print("没有发现缺陷。" if is_zh else "No defects.")
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    names = (
        ("缺陷", "对话数", "含义", "位置")
        if is_zh
        else ("defect", "dialogues", "meaning", "places")
    )
    for name in names:
        is_number = name in (names[1],)
        table.add_column(
            name,
            justify="right" if is_number else "left",
            no_wrap=name in names[:2],
            overflow="fold",
        )
    for defect in shown:
        meaning = MEANINGS[defect].zh if is_zh else MEANINGS[defect].en
        places = "\n".join(escape(place) for place in report.places[defect])
        table.add_row(str(defect), f"{report.defects[defect]:,}", meaning, places)
    console.print(table)
