"""``qingting models recommend``: which models fit a purpose, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from qingting.cli.models_cards import AsJson, CardsFolder, in_words
from qingting.cli.output import print_json

if TYPE_CHECKING:
    from qingting.models.recommend import Reason, Recommendation


def recommend(
    gpu_memory_gib: Annotated[float, typer.Option(help="Memory of the GPU, in GiB.", min=0.1)],
    language: Annotated[Literal["zh", "en"], typer.Option(help="Language of the service.")],
    use: Annotated[
        Literal["commercial", "research"], typer.Option(help="What the licence must allow.")
    ] = "research",
    task: Annotated[
        Literal["dialogue", "classification", "generation"], typer.Option(help="What it is for.")
    ] = "dialogue",
    method: Annotated[
        Literal["lora", "qlora", "full", "inference"],
        typer.Option(help="What must fit: a way to train, or serving alone."),
    ] = "lora",
    length: Annotated[int, typer.Option(help="Tokens of a row in training.", min=1)] = 3072,
    concurrency: Annotated[int, typer.Option(help="Dialogues served at a time.", min=1)] = 8,
    small: Annotated[
        bool, typer.Option("--small", help="Consider the small models that ship too.")
    ] = False,
    figure: Annotated[Path | None, typer.Option(help="Write a picture (SVG).")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the picture.")] = False,
    cards: CardsFolder = None,
    as_json: AsJson = False,
) -> None:
    """Say which models can be used for a purpose, in which order to try them, and why.

    Hard constraints come first: task, language, licence, and memory as `models plan` predicts it.
    What is left is ordered by size, then by memory to spare, languages, licence, context and age.
    How well a model counsels is not known before it is measured on your data.
    """
    from qingting.models.catalogue import load_cards
    from qingting.models.device_plan import Serving
    from qingting.models.recommend import Wish, recommend

    wish = Wish(
        memory_gib=gpu_memory_gib,
        language=language,
        use=use,
        task=task,
        how=method,
        length=length,
        serving=Serving(concurrency),
        include_small=small,
    )
    found = recommend(wish, load_cards(cards))
    if as_json:
        print_json(_record(found))
    else:
        _print(found)
    if figure is not None:
        from qingting.report.recommend_figure import recommend_figure
        from qingting.report.standalone import write_figure

        write_figure(figure, recommend_figure(found).svg, force=force)


def _record(found: Recommendation) -> dict[str, Any]:
    wish = found.wish
    return {
        "wish": {
            "gpu_memory_gib": wish.memory_gib,
            "language": wish.language,
            "use": wish.use,
            "task": wish.task,
            "method": wish.how,
            "length": wish.length,
            "concurrency": wish.serving.concurrency,
        },
        "ranked": [
            {
                "rank": one.rank,
                "name": one.card.name,
                "n_parameters": one.card.parameters.total,
                "peak_gib": one.peak_gib,
                "reasons": [reason._asdict() for reason in one.reasons],
                "cautions": [reason._asdict() for reason in one.cautions],
            }
            for one in found.ranked
        ],
        "excluded": [
            {"name": one.card.name, "reasons": [reason._asdict() for reason in one.reasons]}
            for one in found.excluded
        ],
        "unknown": found.unknown,
    }


def _print(found: Recommendation) -> None:
    if not found.ranked:
        typer.echo("no model fits; what stands in the way:")
    for one in found.ranked:
        peak = "" if one.peak_gib is None else f", {one.peak_gib:.1f} GiB"
        typer.echo(f"{one.rank}. {one.card.name} ({in_words(one.card.parameters.total)}{peak})")
        for reason in one.reasons:
            _print_reason("+", reason)
        for caution in one.cautions:
            _print_reason("!", caution)
    if found.excluded:
        typer.echo("\nleft out:" if found.ranked else "")
    for other in found.excluded:
        words = "; ".join(f"{reason.criterion}: {reason.text}" for reason in other.reasons)
        typer.echo(f"  {other.card.name}: {words}")
    typer.echo(f"\n{found.unknown}")


def _print_reason(sign: str, reason: Reason) -> None:
    typer.echo(f"   {sign} {reason.criterion}: {reason.text} [{reason.source}]")
