"""The errors a person may see; each is one line that says what, where and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import NamedTuple


class QingtingError(Exception):
    """Root of every expected failure; printed as one line, without a traceback."""


class Problem(NamedTuple):
    """One thing wrong with a specification: where it stands and what to do about it."""

    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


class SpecificationError(QingtingError, ValueError):
    """A specification is wrong; carries every problem at once."""

    def __init__(self, problems: Sequence[Problem] | str) -> None:
        if isinstance(problems, str):
            problems = [Problem("", problems)]
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type[SpecificationError], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)


class NotFoundError(QingtingError, FileNotFoundError):
    """A file, folder or named thing does not exist."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class DataError(QingtingError, ValueError):
    """Data cannot be used as they are."""


class ModelError(QingtingError, ValueError):
    """A model folder, tokenizer or chat template cannot be used."""


class StoreError(QingtingError, OSError):
    """An artifact or the work folder cannot be read or written."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class BusyError(QingtingError, RuntimeError):
    """Another run holds the work folder."""


class WaitingError(QingtingError, RuntimeError):
    """People have to do something before the work can go on.

    ``code`` names what is waited for, in a word that stays the same while nothing happens.
    """

    def __init__(self, message: str, code: str = "people") -> None:
        self.code = code
        super().__init__(message)

    def __reduce__(self) -> tuple[type[WaitingError], tuple[str, str]]:
        return type(self), (str(self), self.code)


class EngineError(QingtingError, RuntimeError):
    """A worker failed in a way that it could explain."""


class OutOfMemoryError(EngineError, MemoryError):
    """The device ran out of memory; the runner may halve the micro-batch and start again."""


class NonFiniteLossError(EngineError, ArithmeticError):
    """The loss became NaN or infinite; names the step and the batch."""


class IncomparableError(QingtingError, ValueError):
    """Two scores carry different signatures and must not be compared."""


class UndefinedStatisticError(QingtingError, ValueError):
    """A statistic is not defined on these data (one category, one rater, no overlap)."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the nearest known name, or an empty string."""
    near = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""
