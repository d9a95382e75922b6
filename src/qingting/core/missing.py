"""A value that could not be had, and why; it stands where a number would have been a lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Missing:
    """The absence of a value, with its ``reason`` as a short phrase a reader can act on.

    Functions return it instead of ``-1``, ``0.0``, ``NaN`` or an empty string. It has no truth
    value, so ``if score:`` fails loudly rather than mistaking "could not be scored" for zero.
    """

    reason: str

    def __bool__(self) -> bool:
        raise TypeError(f"Missing has no truth value ({self.reason}); ask isinstance(x, Missing)")

    def __str__(self) -> str:
        return f"missing ({self.reason})"

    def to_record(self) -> dict[str, str]:
        """Return the JSON form ``{"missing": reason}``; ``from_record`` reads it back."""
        return {"missing": self.reason}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Missing:
        """Return the value that ``to_record`` wrote."""
        return cls(str(record["missing"]))


def is_missing_record(value: object) -> bool:
    """Return whether a value read from JSON is the form of a ``Missing``."""
    return isinstance(value, dict) and value.keys() == {"missing"}
