"""Words that stand in a pack twice, in Chinese and English, and lists of a needed length."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field

from qingting.spec.base import Frozen

Text = Annotated[str, Field(min_length=1)]


class Bilingual(Frozen):
    """The same words in Chinese and English."""

    zh: Text
    en: Text

    def text_in(self, language: str) -> str:
        """Return the words in ``zh`` or ``en``."""
        return self.zh if language == "zh" else self.en


def holds(
    at_least: int, at_most: int | None = None
) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """Return a check of a list's length that says how many are needed and how many stand there."""

    def check(entries: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(entries) < at_least or (at_most is not None and len(entries) > at_most):
            needed = f"{at_least}" if at_most == at_least else f"at least {at_least}"
            if at_most is not None and at_most != at_least:
                needed = f"{at_least} to {at_most}"
            raise ValueError(f"needs {needed} entries, has {len(entries)}")
        return entries

    return check
