"""Whether raters recognise the model: the question near the end of their work, and its answers.

The families to choose from are the same in every study, so the question tells nothing about which
arms there are. It comes late, for asking early would set people searching for signs; and it comes
with every answer then, checks too, so that it does not tell a check from the others.
"""

from __future__ import annotations

import re
from math import ceil

from qingting.store.judging_tables import Assignment, Campaign

NO_IDEA = "no_idea"

FAMILIES: dict[str, tuple[str, str]] = {
    NO_IDEA: ("没有认出来", "I do not recognise it"),
    "qwen": ("通义千问（Qwen）", "Qwen"),
    "llama": ("Llama", "Llama"),
    "glm": ("智谱（ChatGLM、GLM）", "GLM (ChatGLM)"),
    "internlm": ("书生（InternLM）", "InternLM"),
    "baichuan": ("百川（Baichuan）", "Baichuan"),
    "gpt": ("GPT（OpenAI）", "GPT (OpenAI)"),
    "other": ("别的模型", "another model"),
}
"""Id to its name in Chinese and English; the order in which they are offered."""

_SIGNS = {
    "qwen": r"qwen|tongyi|通义|千问",
    "llama": r"llama",
    "glm": r"glm|智谱",
    "internlm": r"internlm|书生|浦语",
    "baichuan": r"baichuan|百川",
    "gpt": r"gpt",
}


def asks_guess(campaign: Campaign, assignment: Assignment, *, language: str) -> bool:
    """Return whether the question comes with this assignment.

    It does in the last ``quality.share_guess`` of a rater's equal share of the study, and beyond.
    """
    quality = campaign.spec["quality"]
    share = float(quality.get("share_guess", 0.0))  # studies of earlier versions do not ask
    if not share or assignment.role == "training":
        return False
    n_planned = int(campaign.plan[language]["n_per_rater"])
    first = int(quality["n_training"]) + n_planned - ceil(n_planned * share)
    return assignment.sequence >= first


def family_of(arm: str) -> str | None:
    """Return the family that an arm's name tells, or None where it tells none or several."""
    found = [name for name, sign in _SIGNS.items() if re.search(sign, arm, re.IGNORECASE)]
    return found[0] if len(found) == 1 else None
