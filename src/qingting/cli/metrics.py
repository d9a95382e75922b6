"""``qingting metrics``: automatic metrics over files of replies, answers and labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from qingting.cli.metrics_choice import choice
from qingting.cli.metrics_classify import classify
from qingting.cli.metrics_compare import compare

if TYPE_CHECKING:
    from qingting.metrics.text import TextScores

app = typer.Typer(
    help="Score replies, answers to choice questions and labels: BLEU, ROUGE, accuracy, F1 …",
    no_args_is_help=True,
)

_DEFAULT_METRICS = "bleu,rouge,meteor,chrf,distinct,length"


@app.callback()
def _metrics() -> None:
    """Score replies, answers to choice questions and labels."""


app.command()(choice)
app.command()(classify)
app.command()(compare)


@app.command()
def score(
    pairs: Annotated[Path, typer.Argument(help="JSON Lines or CSV, one reply per row.")],
    metrics: Annotated[
        str | None,
        typer.Option(
            help="Names joined by commas, such as bleu,rouge,chrf,distinct. "
            f"[default: {_DEFAULT_METRICS}, or with --like all that the stack has]",
            show_default=False,
        ),
    ] = None,
    language: Annotated[
        Literal["zh", "en"], typer.Option(help="Decides how text becomes tokens.")
    ] = "zh",
    by: Annotated[
        Literal["char", "word"] | None,
        typer.Option(help="Tokens: Chinese by character (default) or word; English by word."),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(
            help="Reproduce another stack's numbers: sacrebleu-13a, sacrebleu-zh, sacrebleu-char, "
            "evalscope, llama-factory, ms-swift, emollm, rouge-chinese, rouge-chinese-char."
        ),
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
    from qingting.cli.output import print_json, show_problems
    from qingting.core.errors import SpecificationError
    from qingting.metrics.pair_files import read_pairs

    if pairs.is_dir():
        raise SpecificationError(f"{pairs}: a folder; name a file of replies")
    asked = None if metrics is None else _asked(metrics, like=like)
    read = read_pairs(pairs, hypothesis_column=hypothesis_column, reference_column=reference_column)
    show_problems(read.problems)
    scores: TextScores
    if like is None:
        from qingting.metrics.text import score_texts

        scores = score_texts(
            read.hypotheses,
            read.references,
            metrics=asked or _DEFAULT_METRICS.split(","),
            language=language,
            unit=by,
        )
    else:
        from qingting.metrics.compatibility import score_like

        if by is not None:
            raise SpecificationError(f"--by has no part in --like {like}, which cuts text itself")
        if read.references is None:
            raise SpecificationError(
                f"{pairs}: --like {like} needs references; name their column with "
                "--reference-column"
            )
        scores = score_like(read.hypotheses, read.references, like=like, metrics=asked)
    if as_json:
        record = _record(scores, level=level, problems=read.problems, like=like)
        print_json(record)
    elif level == "item":
        _print_items(scores)
    else:
        _print_corpus(scores)


def _asked(metrics: str, *, like: str | None) -> list[str]:
    """Return the named metrics; with ``like`` the stack itself says which it has."""
    from qingting.core.errors import SpecificationError, did_you_mean
    from qingting.metrics.text import METRICS

    asked = [name.strip() for name in metrics.split(",") if name.strip()]
    for name in asked:
        if like is None and name not in METRICS:
            raise SpecificationError(
                f"there is no metric {name!r}.{did_you_mean(name, METRICS)} "
                f"Known are: {', '.join(METRICS)}."
            )
    if not asked:
        raise SpecificationError(f"--metrics names none; known are: {', '.join(METRICS)}")
    return asked


def _record(
    scores: TextScores,
    *,
    level: Literal["corpus", "item"],
    problems: tuple[str, ...],
    like: str | None,
) -> dict[str, Any]:
    from qingting.core.missing import Missing

    record = {**scores.to_record(), "like": like, "problems": list(problems)}
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
