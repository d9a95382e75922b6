"""Where a text speaks of a model or its maker, so that an ordinary word there is a name.

A context is what stands before a name and what stands after it, in folded text.
"""

from __future__ import annotations

import re
from typing import NamedTuple

# Makers and models of everyday words; words are ordinary names of a study's own arms.
_NAMES = frozenset({"model", "maker"})
_ALL = _NAMES | {"word"}

_MADE = (
    r"(?:made|built|created|developed|(?:pre-?)?trained|designed|fine-?tuned|released|produced|provided|"
    r"powered|launched|engineered|open-?sourced|published|maintained|operated|hosted|offered|introduced|deployed)"
)
_AI = r"(?:AI|(?:large )?language models?|LLMs?|chatbots?|virtual assistants?|foundation models?)"
_AI_END = r"(?![\w-]|\s+(?:research|engineer|expert|student|compan|scien))"
_NEW = r"(?:(?:open|new|latest|large|own|powerful|flagship)\s+)*"
_MAKE = "(?:开发|研发|训练|打造|推出|创建|创造|设计|提供|发布|构建|研制|开源|微调|制作|运营|支持|搭建|出品|研究|培训)"
_BOT = "(?:模型|AI|人工智能|助手|助理|机器人|系统|程序)"
_WITHIN = r"[^，。！？；,!?;\n]"
_MARK = r"[\s\"“”‘’「」『』《》*【】(（：:]"
_QUOTE = f"{_MARK}*"
_ME = (
    r"(?:我(?:就)?是|我来自|我叫|俺是|咱是|我乃|本人是|本模型[是为]|作为|身为|这里是|"
    r"我的?(?:名字|姓名|名称|全名|中文名|英文名|昵称)[是叫为]?|可以[叫称喊](?:呼)?我[为作]?|请?[叫喊]我|称呼我[为作]?)"
    rf"(?:一[个款名位]|来自|由|基于|叫做?|名叫|名为|是|{_MARK})*"
)
_MY_NAME = r"(?:我的?(?:名字|姓名|名称|全名|昵称)[是叫为]?|我叫|可以[叫称喊](?:呼)?我[为作]?|请?叫我|称呼我为?)"
# What follows a name of one's own: not the rest of a longer word (文心雕龙, 书生意气).
_OVER = (
    rf"(?=[\"”’」』》*】]*(?:[^\w]|$|[A-Za-z0-9]|的|这|大|模型|智能|助手|助理|{_MAKE}|团队|公司|集团|"
    r"实验室|机器人|旗下|和|与|及|语言|[一两]个|一款|一名|由|平台|小助手|聊天|[呀哦啦呢哟]))"
)


class _Context(NamedTuple):
    sorts: frozenset[str]
    before: re.Pattern[str]
    after: re.Pattern[str]


def _context(sorts: frozenset[str], before: str = "", after: str = "") -> _Context:
    return _Context(sorts, re.compile(rf"(?:{before})\Z", re.I), re.compile(after, re.I))


_CONTEXTS = (
    _context(
        _ALL,
        rf"\b{_MADE}(?:\s*(?:,|and|&|,\s*and)\s+[\w-]+){{0,2}}\s+(?:by|at)\s+(?:the\s+|a\s+)?"
        r"(?:(?:[\w-]+\s+){0,3}(?:at|from|of)\s+)?",
    ),
    _context(
        _ALL,
        r"\b(?:my\s+name(?:\s+is|['’]s)|call\s+me|I\s+go\s+by|I(?:\s+am|['’]m)\s+(?:called|named)"
        rf"|(?:{_AI}|models?|assistant|bot)\b[^.!?\n]{{0,20}}\b(?:called|named|known\s+as)){_QUOTE}",
    ),
    _context(_NAMES, rf"\b(?:I\s+am|I['’]m){_QUOTE}", r"(?!['’]s\b)"),
    _context(
        frozenset({"word"}),
        rf"\b(?:I\s+am|I['’]m){_QUOTE}",
        r"[\"”’]?\s*,\s*(?:an?|your|the|made|built|trained|developed|created)\b",
    ),
    _context(_NAMES, r"\bas\s+", r",?\s+(?:I\b|an?\s+(?:AI|large|language))"),
    _context(
        _ALL,
        after=rf"(?:\s*[,(]|\s+(?:is|was|am))?\s*(?<=[\s,(])(?:an?|the|your)\s+(?:[\w-]+\s+){{0,4}}{_AI}{_AI_END}",
    ),
    _context(_NAMES, after=rf"(?:['’]s)?\s+{_NEW}{_AI}{_AI_END}"),
    _context(_NAMES, after=rf"['’]s\s+{_NEW}(?:models?|assistant)\b"),
    _context(_ALL, r"\bthe\s+", r"\s+(?:chat\s+)?models?\b"),
    _context(
        _NAMES,
        rf"\b(?:{_AI}|model|assistant|bot)\b(?:\s+[\w-]+){{0,3}}?\s*[,(]?\s*(?:from|by|of|at)\s+(?:the\s+)?",
    ),
    _context(
        frozenset({"model"}),
        r"\b(?:(?:based|built)\s+(?:up)?on(?:\s+top\s+of)?|derived\s+from|fine-?tuned\s+(?:from|on)|"
        r"distilled\s+from|running\s+on)\s+(?:the\s+)?",
    ),
    _context(_ALL, r"\bmy\s+(?:creators?|makers?|developers?|company)\s*(?:is|are|,|:|at)?\s*"),
    _context(_NAMES, after=rf"\s+(?:has\s+|have\s+)?{_MADE}\s+me\b"),
    _context(frozenset({"model"}), r"\bthis\s+is\s+", r"\s+(?:speaking|here)\b"),
    _context(
        _ALL, rf"由(?![于你我他她此])(?:{_WITHIN}{{0,8}}?){_QUOTE}", rf"{_WITHIN}{{0,14}}?{_MAKE}"
    ),
    _context(frozenset({"model"}), _ME, _OVER),
    _context(_NAMES, _ME, r"[\"”’」』》*】]*\s*(?:[，。！？,.!?;；\n]|$)"),
    _context(_NAMES, _ME, rf"{_WITHIN}{{0,12}}?(?:{_BOT}|{_MAKE}的)"),
    _context(_ALL, rf"{_MY_NAME}{_QUOTE}", _OVER),
    _context(frozenset({"word"}), rf"我是{_QUOTE}", r"[”\"’」]?[，,]\s*(?:一|由|你|您|AI|人工)"),
    _context(_NAMES, after=rf"{_WITHIN}{{0,8}}?{_MAKE}的{_WITHIN}{{0,10}}?{_BOT}"),
    _context(
        _NAMES,
        after=rf"(?:公司|集团|团队|旗下|自家|自研)?的?\s*(?:大?语言|大|对话|聊天|智能|开源)*{_BOT}",
    ),
    _context(frozenset({"word"}), after=r"\s*(?:大?语言|大|对话)?模型"),
    _context(frozenset({"model"}), rf"(?:基于|依托|源自){_QUOTE}"),
    _context(_NAMES, rf"(?:基于|依托|源自|来自|使用|采用){_QUOTE}", rf"{_WITHIN}{{0,10}}?{_BOT}"),
    _context(
        _ALL, rf"{_BOT}[^。！？\n]{{0,8}}(?:名叫|名为|叫做?|叫作|称为|名字是|是){_QUOTE}", _OVER
    ),
    _context(
        _ALL, rf"(?:名叫|名为|叫做|叫作|称为){_QUOTE}", rf"[”\"’」』》]*的?{_WITHIN}{{0,8}}?{_BOT}"
    ),
    _context(
        _ALL,
        rf"(?:开发者|创造者|开发商|研发团队|开发团队|训练者|制造商)(?:是|为|来自|：|:)?{_QUOTE}",
    ),
    _context(_NAMES, after=rf"(?:公司|集团|团队)?{_MAKE}了?我"),
)
_FAR = 80
"""Characters before a name that are looked at."""


def speaks_of_a_model(text: str, sort: str, *, start: int, end: int) -> bool:
    """Return whether names of a sort that fill ``text[start:end]`` are those of models or makers."""
    before = text[max(0, start - _FAR) : start]
    return any(
        sort in one.sorts and one.after.match(text, end) and one.before.search(before)
        for one in _CONTEXTS
    )
