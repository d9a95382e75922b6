"""Words that the commands of ``qingting metrics`` share."""

from __future__ import annotations

from collections.abc import Sequence

import typer

_SHOWN_PROBLEMS = 20


def show_problems(problems: Sequence[object]) -> None:
    """Print what cannot be used to stderr, the first twenty, with their number."""
    for problem in problems[:_SHOWN_PROBLEMS]:
        typer.echo(str(problem), err=True)
    if len(problems) > _SHOWN_PROBLEMS:
        typer.echo(f"… and {len(problems) - _SHOWN_PROBLEMS} more", err=True)
