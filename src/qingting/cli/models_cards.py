"""``qingting models list | show | add``: the cards of models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qingting.cli.output import print_json

if TYPE_CHECKING:
    from qingting.models.card import ModelCard, Note

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
CardsFolder = Annotated[
    Path | None,
    typer.Option("--cards", help="Folder with cards of your own. [default: $QINGTING_CARDS]"),
]


def list_models(cards: CardsFolder = None, as_json: AsJson = False) -> None:
    """List the models that have a card: size, use, languages, licence, conversion."""
    from qingting.models.catalogue import load_cards

    found = load_cards(cards)
    if as_json:
        print_json([_row(card) for card in found])
        return
    width = max(len(card.name) for card in found)
    typer.echo(
        f"{'model':<{width}}  {'parameters':>10}  {'task':<14}  {'languages':<9}  "
        f"{'context':>7}  {'commercial':<10}  conversion"
    )
    for card in found:
        languages = ", ".join(card.languages) or "unknown"
        typer.echo(
            f"{card.name:<{width}}  {in_words(card.parameters.total):>10}  {card.tasks[0]:<14}  "
            f"{languages:<9}  {card.context.native:>7}  {card.licence.commercial:<10}  "
            f"{card.conversion or '–'}"
        )
    typer.echo("`qingting models show NAME` says more; the small models of Qingting ship with it")


def _row(card: ModelCard) -> dict[str, Any]:
    return {
        "name": card.name,
        "developer": card.developer,
        "architecture": card.architecture.cls,
        "n_parameters": card.parameters.total,
        "n_active": card.parameters.active,
        "tasks": list(card.tasks),
        "languages": list(card.languages),
        "context": card.context.native,
        "licence": card.licence.spdx or card.licence.name,
        "commercial": card.licence.commercial,
        "conversion": card.conversion,
        "huggingface": card.hub.huggingface,
        "modelscope": card.hub.modelscope,
    }


def in_words(n_parameters: int) -> str:
    """Return a number of parameters as ``7.62 B`` or ``2.3 M``."""
    if n_parameters >= 1e8:
        return f"{n_parameters / 1e9:.2f} B"
    return f"{n_parameters / 1e6:.1f} M"


def show(
    name: Annotated[str, typer.Argument(help="Name of a card, or a hub id.")],
    cards: CardsFolder = None,
    as_json: AsJson = False,
) -> None:
    """Show everything a card says, each statement with its source."""
    from qingting.models.catalogue import load_cards, require_card

    card = require_card(name, load_cards(cards))
    if as_json:
        print_json(card.model_dump(mode="json", by_alias=True))
        return
    a = card.architecture
    typer.echo(f"{card.name}\n{card.developer}, released {card.released}\n")
    _line("parameters", _parameters(card))
    _line("tasks", ", ".join(card.tasks))
    _line("languages", ", ".join(card.languages) or "unknown")
    extended = f", {card.context.extended:,} with scaling" if card.context.extended else ""
    _line("context", f"{card.context.native:,} tokens{extended}")
    _line("licence", f"{card.licence.name} ({card.licence.url})")
    _line("commercial use", f"{card.licence.commercial}: {card.licence.terms}")
    _line("Hugging Face", card.hub.huggingface or "–")
    _line("ModelScope", card.hub.modelscope or "–")
    _line("architecture", f"{a.cls} ({a.kind})")
    heads = f"{a.heads} heads of {a.head_dim}, {a.kv_heads} for keys and values"
    _line("", f"{a.layers} layers, width {a.hidden}, {heads}")
    experts = f", {a.moe.experts} experts of which {a.moe.active} work" if a.moe else ""
    _line("", f"feed-forward {a.ffn} ({a.activation}){experts}, vocabulary {a.vocabulary:,}")
    tied = "tied" if a.tied_embeddings else "not tied"
    bias = "with" if a.attention_bias else "without"
    _line("", f"{a.norm.kind} (eps {a.norm.eps:g}), attention {bias} bias, embeddings {tied}")
    _line("positions", _positions(card))
    _line("conversion", card.conversion or "none needed")
    for title, notes in (
        ("strengths for counselling", card.strengths),
        ("weaknesses for counselling", card.weaknesses),
        ("pitfalls in training", card.training_pitfalls),
        ("pitfalls in serving", card.serving_pitfalls),
    ):
        _notes(title, notes)
    typer.echo("\nsources: " + "; ".join(card.sources))


def _line(name: str, text: str) -> None:
    typer.echo(f"{name:<15} {text}")


def _parameters(card: ModelCard) -> str:
    total, active = card.parameters.total, card.parameters.active
    more = f", {active:,} at work for a token" if active != total else ""
    return f"{total:,} ({in_words(total)}){more}"


def _positions(card: ModelCard) -> str:
    a = card.architecture
    if a.rope is None:
        return "learned"
    share = "" if a.rope.partial == 1 else f", {a.rope.partial:.0%} of a head"
    scaling = ""
    if a.rope.scaling:
        scaling = ", " + ", ".join(f"{key} {value}" for key, value in a.rope.scaling.items())
    window = f", window of {a.sliding_window}" if a.sliding_window else ""
    return f"rotary, theta {a.rope.theta:g}{share}{scaling}{window}"


def _notes(title: str, notes: tuple[Note, ...]) -> None:
    typer.echo(f"\n{title}:" + ("" if notes else " none known with a source"))
    for note in notes:
        typer.echo(f"  {note.text}\n    [{note.source}]")


def add(
    source: Annotated[
        str,
        typer.Argument(metavar="PATH-OR-ID", help="A model folder, a config.json, or a hub id."),
    ],
    out: Annotated[
        Path | None, typer.Option(help="File to write. [default: NAME.yaml in --cards]")
    ] = None,
    cards: CardsFolder = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    as_json: AsJson = False,
) -> None:
    """Draft a card from a config.json; what it does not tell is left `unknown` for you to fill.

    A hub id is looked up without fetching weights. Nothing of the model is run.
    """
    import os

    from qingting.core.errors import SpecificationError
    from qingting.models.card_sources import drafted
    from qingting.models.card_writing import write_card
    from qingting.models.catalogue import CARDS_VARIABLE

    card = drafted(source)
    folder = cards or (Path(os.environ[CARDS_VARIABLE]) if CARDS_VARIABLE in os.environ else None)
    if out is None and folder is None:
        raise SpecificationError("where to? name a file with --out, or a folder with --cards")
    path = out or folder / f"{card['name'].lower()}.yaml"  # type: ignore[operator]
    unknown = write_card(card, path, force=force)
    if as_json:
        print_json({"file": str(path), "card": card, "unknown": unknown})
        return
    typer.echo(f"{path}: {in_words(card['parameters']['total'])} parameters, {card['name']}")
    typer.echo(f"left for you to fill: {', '.join(unknown)}")
