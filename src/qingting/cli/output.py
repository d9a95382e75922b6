"""What every command prints alike: results as JSON, and what could not be used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer

_SHOWN_PROBLEMS = 20


def print_json(record: Any) -> None:
    """Print a result as indented JSON on stdout."""
    import json

    typer.echo(json.dumps(record, ensure_ascii=False, indent=2))


def show_problems(problems: Sequence[object]) -> None:
    """Print what cannot be used to stderr, the first twenty, with the number of the rest."""
    for problem in problems[:_SHOWN_PROBLEMS]:
        typer.echo(str(problem), err=True)
    if len(problems) > _SHOWN_PROBLEMS:
        typer.echo(f"… and {len(problems) - _SHOWN_PROBLEMS} more", err=True)
