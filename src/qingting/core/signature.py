"""The signature of a score: everything that changes its number, in one stable string."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from qingting.core.errors import IncomparableError

Level = Literal["item", "corpus"]

_KEYS = (
    ("tok", "tokenizer"),
    ("n", "n"),
    ("smooth", "smoothing"),
    ("case", "case"),
)


@dataclass(frozen=True, slots=True)
class Signature:
    """How a score was computed; two scores compare only when these are equal.

    ``str()`` gives ``bleu|tok:char|n:4|smooth:exp|case:mixed|eff:yes|level:item|v:1``, which
    ``parse`` reads back. Fields that a metric does not have are ``None`` and left out.
    ``parameters`` holds what belongs to one metric only, as sorted (key, value) pairs.
    ``version`` rises whenever our code changes the number for the same settings.
    """

    metric: str
    tokenizer: str | None = None
    n: int | None = None
    smoothing: str | None = None
    case: str | None = None
    parameters: tuple[tuple[str, str], ...] = ()
    level: Level = "item"
    version: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", tuple(sorted(self.parameters)))
        for text in (self.metric, *(part for pair in self.fields() for part in pair)):
            if not text or "|" in text:
                raise ValueError(f"a signature field is empty or contains '|': {text!r}")

    def fields(self) -> tuple[tuple[str, str], ...]:
        """Return the (key, value) pairs in the order in which they are written."""
        named = [
            (key, str(value)) for key, name in _KEYS if (value := getattr(self, name)) is not None
        ]
        tail = [("level", self.level), ("v", str(self.version))]
        return (*named, *self.parameters, *tail)

    def __str__(self) -> str:
        return "|".join([self.metric, *(f"{key}:{value}" for key, value in self.fields())])

    def at(self, level: Level) -> Signature:
        """Return the same signature at another level."""
        return replace(self, level=level)

    @classmethod
    def parse(cls, text: str) -> Signature:
        """Return the signature that ``str()`` wrote.

        Raises:
            ValueError: a field is malformed, repeated, or level or version is absent.
        """
        metric, *rest = text.split("|")
        pairs = dict(part.partition(":")[::2] for part in rest)
        if len(pairs) != len(rest) or not all(pairs.values()):
            raise ValueError(f"not a signature: {text!r}")
        level, version = pairs.pop("level", ""), pairs.pop("v", "")
        if level not in ("item", "corpus") or not version.isdigit():
            raise ValueError(f"not a signature: {text!r} (needs level:item|corpus and v:NUMBER)")
        n = pairs.pop("n", None)
        return cls(
            metric,
            tokenizer=pairs.pop("tok", None),
            n=None if n is None else int(n),
            smoothing=pairs.pop("smooth", None),
            case=pairs.pop("case", None),
            parameters=tuple(pairs.items()),
            level="item" if level == "item" else "corpus",
            version=int(version),
        )


def require_same(first: Signature | str, second: Signature | str) -> None:
    """Return nothing when two signatures are equal.

    Raises:
        IncomparableError: they differ; one sentence names every field that does.
    """
    if str(first) == str(second):
        return
    a, b = _parts(str(first)), _parts(str(second))
    differing = ", ".join(
        f"{key} is {a.get(key, 'absent')} on one side and {b.get(key, 'absent')} on the other"
        for key in dict.fromkeys([*a, *b])
        if a.get(key) != b.get(key)
    )
    raise IncomparableError(
        f"Scores with different signatures cannot be compared: {differing}. "
        f"Score both sides with the same settings ({first} / {second})."
    )


def _parts(text: str) -> dict[str, str]:
    metric, *rest = text.split("|")
    return {"metric": metric, **dict(part.partition(":")[::2] for part in rest)}
