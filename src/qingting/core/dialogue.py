"""Dialogues as every part of the system passes them on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

Role = Literal["system", "user", "assistant"]
"""``user`` is the client (来访者), ``assistant`` the counsellor (咨询师)."""


class Message(NamedTuple):
    """One turn: who speaks and the words, exactly as written."""

    role: Role
    content: str


class Origin(NamedTuple):
    """Where a dialogue stood: the file, and the 1-based line or record within it."""

    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Dialogue:
    """One conversation; ``messages`` may begin with one system message.

    ``language`` is ``"zh"``, ``"en"`` or ``None`` where nobody said; ``kind`` is the pack's label
    (``counselling``, ``psychoeducation``, ``crisis``, ``refusal``) or ``None``.
    """

    id: str
    messages: tuple[Message, ...]
    origin: Origin | None = None
    language: str | None = None
    kind: str | None = None

    @property
    def turns(self) -> tuple[Message, ...]:
        """Return the turns of client and counsellor, without a system message."""
        return tuple(message for message in self.messages if message.role != "system")

    def to_record(self) -> dict[str, Any]:
        """Return the plain JSON form that artifacts hold; ``from_record`` reads it back."""
        record: dict[str, Any] = {
            "id": self.id,
            "messages": [{"role": role, "content": content} for role, content in self.messages],
        }
        if self.origin is not None:
            record["origin"] = {"file": self.origin.file, "line": self.origin.line}
        if self.language is not None:
            record["language"] = self.language
        if self.kind is not None:
            record["kind"] = self.kind
        return record

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Dialogue:
        """Return the dialogue that ``to_record`` wrote."""
        origin = record.get("origin")
        return cls(
            id=record["id"],
            messages=tuple(Message(m["role"], m["content"]) for m in record["messages"]),
            origin=Origin(origin["file"], origin["line"]) if origin else None,
            language=record.get("language"),
            kind=record.get("kind"),
        )
