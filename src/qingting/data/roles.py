"""Who speaks: the names that data sets give to the client, the counsellor and the system."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from qingting.core.dialogue import Role

_CLIENT: Final = (
    "user human client clients patient seeker visitor caller usr helpseeker help_seeker "
    "support_seeker 来访者 求助者 用户 咨询者 患者 病人 来询者 来访 当事人 倾诉者 提问者 求询者 "
    "来访人 访客 客户 人类 问 服务对象"
)
_COUNSELLOR: Final = (
    "assistant gpt counselor counsellor therapist bot model supporter chatgpt chatbot ai "
    "ai_assistant psychologist psychotherapist psychiatrist doctor helper listener agent "
    "mental_health_counselor psychological_counselor psychological_counsellor "
    "心理咨询师 咨询师 支持者 医生 助手 心理医生 心理治疗师 治疗师 咨询员 心理咨询员 倾听者 助理 "
    "机器人 模型 心理专家 心理学家 心理辅导师 心理顾问 心理助手 智能助手 ai助手 ai助理 人工智能 答"
)
_SYSTEM: Final = "system developer system_prompt 系统 系统提示 系统提示词"


def _table() -> dict[str, Role]:
    table: dict[str, Role] = {}
    names: tuple[tuple[Role, str], ...] = (
        ("user", _CLIENT),
        ("assistant", _COUNSELLOR),
        ("system", _SYSTEM),
    )
    for role, words in names:
        table.update((word.replace("_", " "), role) for word in words.split())
    return table


ROLE_NAMES: Final[Mapping[str, Role]] = _table()
"""Every known name, in lower case and with spaces for ``_`` and ``-``, and the role it means."""

_MOST_REMEMBERED = 4096
_remembered: dict[str, Role | None] = {}


def role_of(name: str) -> Role | None:
    """Return the role that a speaker's name means, or ``None`` for a name nobody knows.

    Case, outer white space, and the difference between ``help_seeker``, ``help-seeker`` and
    ``help seeker`` do not count.
    """
    try:
        return _remembered[name]
    except KeyError:
        role = ROLE_NAMES.get(" ".join(re.split(r"[\s_\-]+", name.strip().casefold())))
        # Names come from data: the memory of them must not grow with a hostile file.
        if len(_remembered) < _MOST_REMEMBERED and len(name) <= 64:
            _remembered[name] = role
        return role


_ALTERNATIVES = "|".join(
    re.escape(name).replace(r"\ ", r"[ _\-]?")
    for name in sorted(ROLE_NAMES, key=lambda name: (-len(name), name))
)
SPEAKER_LABEL: Final = re.compile(rf"[\s\ufeff]*({_ALTERNATIVES})[ \t\u3000]*[:：]", re.IGNORECASE)
"""Matches the label that leads a line: a known name and a colon, half-width or full-width."""
