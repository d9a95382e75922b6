"""What is wrong with a row, in Chinese and English."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from qingting.judging.importing.rows import shown

_WORDS: dict[str, tuple[str, str]] = {
    "no_task": ("不是带标注的 Label Studio 任务", "not a task with annotations of Label Studio"),
    "no_result": ("标注里有读不懂的结果", "a result of the annotation cannot be read"),
    "no_record": ("不是一条记录", "not a record of this form"),
    "twice_in_one": ("同一个问题回答了两次", "answers one question twice"),
    "empty": ("“{name}”是空的", "“{name}” is empty"),
    "not_text": (
        "“{name}”里有不能保存的字符",
        "“{name}” holds characters that cannot be stored",
    ),
    "too_long": ("“{name}”超过 {value} 个字", "“{name}” is longer than {value} characters"),
    "label": (
        "“{name}”：没有说明“{value}”是什么意思{near}",
        "“{name}”: nothing tells what {value!r} means{near}",
    ),
    "number": ("“{name}”：{value} 不是可用的数", "“{name}”: {value!r} is no number that fits"),
    "time": ("“{name}”：{value} 不是可用的时间", "“{name}”: {value!r} is no time that fits"),
    "no_credential": (
        "没有说明评价者的资质（licensed、trainee、researcher 或 lay）",
        "nothing tells the rater's credential (licensed, trainee, researcher or lay)",
    ),
    "unknown_item": ("研究里没有情境“{value}”{near}", "the study has no item {value!r}{near}"),
    "unknown_arm": ("研究里没有组“{value}”{near}", "the study has no arm {value!r}{near}"),
    "no_language": (
        "情境“{value}”有几种语言，没有说明是哪一种",
        "item {value!r} is there in several languages; nothing tells which was judged",
    ),
    "no_unit": (
        "研究里没有安排评价“{value}”",
        "the study does not have {value} judged",
    ),
    "withdrawn": ("情境“{value}”已经撤下", "item {value!r} was withdrawn from the study"),
    "full": (
        "“{value}”要 {n} 次评价，已经没有空位",
        "{value} is judged by {n} raters, and no place is free",
    ),
    "twice": (
        "同一个人对同一内容的评价已在 {value}",
        "the same person judged the same in {value} already",
    ),
    "judged": (
        "这个人已经评过这一条，而且说的不一样",
        "this person's judgment of it is in the study already, and differs",
    ),
    "other_credential": (
        "评价者的资质前面说是 {value}",
        "the rater's credential was {value} before",
    ),
    "erased": (
        "这个人已经退出研究，数据已删除；请把这些行拿掉",
        "this person withdrew from the study and was erased; take these rows out",
    ),
    "near": ("，是不是“{value}”？", ". Did you mean {value!r}?"),
}


def say(
    code: str,
    language: str,
    *,
    name: str = "",
    value: object = "",
    n: int = 0,
    known: Iterable[str] = (),
) -> str:
    """Return a problem in words; one that has none, a reader's own, is returned as it is.

    Args:
        known: what could have been meant; the near name is offered.
    """
    if code not in _WORDS:
        return code
    at = 0 if language == "zh" else 1
    given = shown(value)
    meant = get_close_matches(given, list(known), n=1, cutoff=0.6)
    near = _WORDS["near"][at].format(value=meant[0]) if meant else ""
    return _WORDS[code][at].format(name=shown(name), value=given, near=near, n=n)
