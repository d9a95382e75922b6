"""Words that the commands of ``qingting stats`` share: numbers with intervals, problems, options."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from qingting.cli.output import show_problems

if TYPE_CHECKING:
    from qingting.core.missing import Missing
    from qingting.stats.estimates import Estimate
    from qingting.stats.rating_files import Scale

_NUMBER = r"([-+]?\d+(?:\.\d+)?)"
_SCALE = re.compile(rf"\s*{_NUMBER}\s*[:：~–-]\s*{_NUMBER}\s*")


def p_text(p_value: float) -> str:
    """Return a p value as a phrase, ``p = 0.0123``; a small one is never printed as 0."""
    return "p < 0.0001" if p_value < 0.0001 else f"p = {p_value:.4f}"


def signed(value: float) -> str:
    """Return a difference with its sign and three decimals; what rounds to 0 has a plus."""
    return _plain(value, "+", 3)


def names(option: str | None) -> tuple[str, ...]:
    """Return the names in an option that joins them by commas."""
    return tuple(name.strip() for name in (option or "").split(",") if name.strip())


def scale_of(option: str | None) -> Scale | None:
    """Return the scale in an option such as ``1:5``, ``1-5`` or ``-3:3``.

    Raises:
        SpecificationError: it is not two ascending numbers.
    """
    from qingting.core.errors import SpecificationError
    from qingting.stats.rating_files import Scale

    if option is None:
        return None
    found = _SCALE.fullmatch(option)
    low, high = (float(found[1]), float(found[2])) if found else (0.0, 0.0)
    if not low < high:
        raise SpecificationError(
            f"--scale {option!r} is not the smallest and the largest rating, such as 1:5 or 1-5"
        )
    return Scale(low, high)


def require_level(confidence_level: float, *, above: float = 0.5) -> None:
    """Return nothing when an option is a confidence level between ``above`` and 1.

    Raises:
        SpecificationError: it is not, such as 95 instead of 0.95.
    """
    from qingting.core.errors import SpecificationError

    if not above < confidence_level < 1:
        raise SpecificationError(f"--confidence-level {confidence_level:g} must lie in {above:g}–1")


def show_cells(problems: Sequence[object]) -> None:
    """Print cells that cannot be used to stderr, the first twenty, and how many are left out."""
    show_problems(problems)
    if problems:
        typer.echo(f"{len(problems)} cells cannot be used and are left out", err=True)


def estimate_text(
    one: Estimate | Missing, *, count: str | None = None, digits: int = 3, signed: bool = False
) -> str:
    """Return an estimate with its interval, or why there is none, as one phrase."""
    from qingting.core.missing import Missing

    if isinstance(one, Missing):
        return f"undefined: {one.reason}"
    sign = "+" if signed else ""
    interval = (
        f"no interval: {one.interval.reason}"
        if isinstance(one.interval, Missing)
        else f"{one.interval.low:{sign}.{digits}f} to {one.interval.high:{sign}.{digits}f}"
    )
    entered = f"  {one.n_valid} {count}" if count else ""
    left = f", {one.n_missing} without" if count and one.n_missing else ""
    return f"{_plain(one.value, sign, digits)}  [{interval}]{entered}{left}"


def _plain(value: float, sign: str, digits: int) -> str:
    # Rounding first and adding 0 takes the sign off what rounds to nothing.
    return f"{round(value, digits) + 0.0:{sign}.{digits}f}"
