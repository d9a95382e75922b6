"""``qingting metrics``: automatic metrics over files of replies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from qingting.metrics.text import TextScores

app = typer.Typer(
    help="Score replies against references: BLEU, ROUGE, METEOR, chrF, diversity.",
    no_args_is_help=True,
)

_SHOWN_PROBLEMS = 20


@app.callback()
def _metrics() -> None:
    """Score replies against references."""


@app.command()
def score(
    pairs: Annotated[Path, typer.Argument(help="JSON Lines or CSV, one reply per row.")],
    metrics: Annotated[
        str, typer.Option(help="Names joined by commas, such as bleu,rouge,chrf,distinct.")
    ] = "bleu,rouge,meteor,chrf,distinct,length",
    language: Annotated[
        Literal["zh", "en"], typer.Option(help="Decides how text becomes tokens.")
    ] = "zh",
    by: Annotated[
        Literal["char", "word"] | None,
        typer.Option(help="Tokens: Chinese by character (default) or word; English by word."),
    ] = None,
    level: Annotated[
        Literal["corpus", "item"], typer.Option(help="One value for the file, or one per row.")
    ] = "corpus",
    hypothesis_column: Annotated[
        str | None, typer.Option(help="Column of the replies, where its name is not recognised.")
    ] = None,
    reference_column: Annotated[str | None, typer.Option(help="Column of the references.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print each metric with its signature and the number of rows that it could score."""
    import json

    from qingting.core.errors import SpecificationError, did_you_mean
    from qingting.metrics.pair_files import read_pairs
    from qingting.metrics.text import METRICS, score_texts

    if pairs.is_dir():
        raise SpecificationError(f"{pairs}: a folder; name a file of replies")
    asked = [name.strip() for name in metrics.split(",") if name.strip()]
    for name in asked:
        if name not in METRICS:
            raise SpecificationError(
                f"there is no metric {name!r}.{did_you_mean(name, METRICS)} "
                f"Known are: {', '.join(METRICS)}."
            )
    read = read_pairs(pairs, hypothesis_column=hypothesis_column, reference_column=reference_column)
    for problem in read.problems[:_SHOWN_PROBLEMS]:
        typer.echo(problem, err=True)
    if len(read.problems) > _SHOWN_PROBLEMS:
        typer.echo(f"… and {len(read.problems) - _SHOWN_PROBLEMS} more rows", err=True)
    scores = score_texts(
        read.hypotheses,
        read.references,
        metrics=asked,
        language=language,
        unit=by,
    )
    if as_json:
        record = _record(scores, level=level, problems=read.problems)
        typer.echo(json.dumps(record, ensure_ascii=False, indent=2))
    elif level == "item":
        _print_items(scores)
    else:
        _print_corpus(scores)


def _record(
    scores: TextScores, *, level: Literal["corpus", "item"], problems: tuple[str, ...]
) -> dict[str, Any]:
    from qingting.core.missing import Missing

    record = {**scores.to_record(), "problems": list(problems)}
    if level == "item":
        for name, one in scores.scores.items():
            record["scores"][name]["items"] = [
                value.to_record() if isinstance(value, Missing) else value for value in one.items()
            ]
    return record


def _print_corpus(scores: TextScores) -> None:
    from qingting.core.missing import Missing

    width = max([6, *map(len, scores.scores)])
    typer.echo(f"{'metric':<{width}}  {'value':>9}  {'scored':>7}  {'missing':>7}  signature")
    for name, one in scores.scores.items():
        value = "missing" if isinstance(one.corpus, Missing) else f"{one.corpus:.4f}"
        typer.echo(
            f"{name:<{width}}  {value:>9}  {one.n_valid:>7}  {one.n_missing:>7}  "
            f"{one.corpus_signature}"
        )
        if isinstance(one.corpus, Missing):
            typer.echo(f"{'':<{width}}  {one.corpus.reason}")


def _print_items(scores: TextScores) -> None:
    """Print tab-separated values, one row per item, missing ones empty."""
    from qingting.core.missing import Missing

    for one in scores.scores.values():
        typer.echo(f"# {one.name}: {one.signature}, missing {one.n_missing}")
    typer.echo("\t".join(["item", *scores.scores]))
    for index in range(scores.n_items):
        values = [one.item(index) for one in scores.scores.values()]
        cells = ["" if isinstance(value, Missing) else f"{value:.6f}" for value in values]
        typer.echo("\t".join([str(index + 1), *cells]))
