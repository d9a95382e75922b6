"""``qingting metrics compare``: two results of ``metrics score``, where their signatures agree."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from qingting.cli.output import print_json


def compare(
    first: Annotated[Path, typer.Argument(help="What qingting metrics score --json printed.")],
    second: Annotated[Path, typer.Argument(help="The same of other replies.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print two files of scores side by side; refuse scores that were computed differently.

    A difference without an interval is not evidence yet: for that, give the values per item to
    ``qingting stats compare``.
    """

    from qingting.core.errors import IncomparableError
    from qingting.core.missing import is_missing_record
    from qingting.core.signature import require_same

    one, other = _scores(first), _scores(second)
    shared = [name for name in one if name in other]
    if not shared:
        raise IncomparableError(
            f"{first} and {second} have no metric in common: {', '.join(one)} / {', '.join(other)}"
        )
    for path, mine, others in ((first, one, other), (second, other, one)):
        if alone := [name for name in mine if name not in others]:
            typer.echo(f"only in {path}: {', '.join(alone)}", err=True)
    for name in shared:
        require_same(one[name]["signature"], other[name]["signature"])
    rows = []
    for name in shared:
        values = [
            None if is_missing_record(side["corpus"]) else float(side["corpus"])
            for side in (one[name], other[name])
        ]
        rows.append(
            {
                "metric": name,
                "first": one[name]["corpus"],
                "second": other[name]["corpus"],
                "difference": None
                if values[0] is None or values[1] is None
                else values[1] - values[0],
                "signature": one[name]["signature"],
            }
        )
    if as_json:
        record = {"first": str(first), "second": str(second), "scores": rows}
        print_json(record)
        return
    width = max([6, *map(len, shared)])
    typer.echo(f"{'metric':<{width}}  {'first':>9}  {'second':>9}  {'difference':>10}  signature")
    for row in rows:
        cells = [
            "missing" if is_missing_record(row[side]) else f"{row[side]:.4f}"
            for side in ("first", "second")
        ]
        difference = "" if row["difference"] is None else f"{row['difference']:+.4f}"
        typer.echo(
            f"{row['metric']:<{width}}  {cells[0]:>9}  {cells[1]:>9}  {difference:>10}  "
            f"{row['signature']}"
        )


def _scores(path: Path) -> dict[str, dict[str, Any]]:
    import json

    from qingting.core.errors import DataError, NotFoundError

    if not path.is_file():
        raise NotFoundError(f"{path}: there is no such file")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        scores: dict[str, dict[str, Any]] = record["scores"]
        for one in scores.values():
            one["signature"], one["corpus"]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DataError(f"{path}: not what qingting metrics score --json prints") from None
    return scores
