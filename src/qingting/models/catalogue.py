"""The catalogue of model cards: those that ship, and those of one's own."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path

from qingting.core.errors import NotFoundError, Problem, SpecificationError, did_you_mean
from qingting.models.card import ModelCard
from qingting.spec.load import read_yaml, validated

CARDS_VARIABLE = "QINGTING_CARDS"
"""A folder with further cards, which come before those that ship."""


def load_card(path: Path) -> ModelCard:
    """Return the card in a YAML file.

    Raises:
        NotFoundError: there is no such file.
        SpecificationError: everything that is wrong with it, with line and key path.
    """
    return validated(read_yaml(path), ModelCard)


def load_cards(folder: Path | None = None) -> tuple[ModelCard, ...]:
    """Return all cards, those that ship last; ``folder`` or $QINGTING_CARDS holds one's own.

    A card of one's own replaces one that ships under the same name.

    Raises:
        SpecificationError: a card is wrong, or two of one's own have one name.
    """
    own = _own_cards(folder or _folder_of_variable())
    names = {card.name.lower() for card in own}
    return (*own, *(card for card in _shipped_cards() if card.name.lower() not in names))


def find_card(name: str, cards: Iterable[ModelCard] | None = None) -> ModelCard | None:
    """Return the card of a name or hub id, letter case and a leading ``hf:`` or ``ms:`` aside."""
    wanted = name.removeprefix("hf:").removeprefix("ms:").lower()
    for card in load_cards() if cards is None else cards:
        known = (card.name, card.hub.huggingface, card.hub.modelscope)
        if wanted in {one.lower() for one in known if one}:
            return card
    return None


def require_card(name: str, cards: Iterable[ModelCard] | None = None) -> ModelCard:
    """Return the card of a name or hub id.

    Raises:
        NotFoundError: there is none; the near name is offered.
    """
    cards = tuple(load_cards() if cards is None else cards)
    found = find_card(name, cards)
    if found is None:
        names = {card.name.lower(): card.name for card in cards}
        near = did_you_mean(name.split("/")[-1].lower(), names)
        for lower, proper in names.items():
            near = near.replace(repr(lower), repr(proper))
        raise NotFoundError(
            f"no card of {name!r}.{near} `qingting models list` shows all; "
            "`qingting models add` drafts one from a config.json."
        )
    return found


def _folder_of_variable() -> Path | None:
    named = os.environ.get(CARDS_VARIABLE)
    return Path(named) if named else None


def _own_cards(folder: Path | None) -> tuple[ModelCard, ...]:
    if folder is None:
        return ()
    if not folder.is_dir():
        raise NotFoundError(f"{folder}: no such folder of cards")
    cards = _read_folder(folder)
    seen: set[str] = set()
    for card in cards:
        if card.name.lower() in seen:
            raise SpecificationError(
                [Problem(str(folder), f"two cards have the name {card.name!r}")]
            )
        seen.add(card.name.lower())
    return cards


@cache
def _shipped_cards() -> tuple[ModelCard, ...]:
    return _read_folder(Path(str(files("qingting.models") / "cards")))


def _read_folder(folder: Path) -> tuple[ModelCard, ...]:
    cards: list[ModelCard] = []
    problems: list[Problem] = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            cards.append(load_card(path))
        except SpecificationError as error:
            problems += error.problems
    if problems:
        raise SpecificationError(problems)
    return tuple(cards)
