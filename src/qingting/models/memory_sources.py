"""Where the sizes of a model come from: its card, its folder, or the configuration that ships."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qingting.core.errors import NotFoundError, did_you_mean
from qingting.models.catalogue import find_card, load_cards
from qingting.models.resolve import read_config, resolve


def read_architecture(reference: str, *, base: Path) -> Mapping[str, Any]:
    """Return the configuration of a model that need not be on this machine.

    A folder comes before a card of the same name, and a card before what was fetched.

    Raises:
        NotFoundError: Nothing here describes it.
        ModelError: Its configuration is damaged.
    """
    if not (base / reference).is_dir():
        card = find_card(reference)
        if card is not None:
            return card.to_config_dict()
    try:
        found = resolve(reference, base=base)
    except NotFoundError as error:
        hint = did_you_mean(reference, [card.name for card in load_cards()])
        raise NotFoundError(f"{error}{hint}") from None
    if found.folder is None:
        hint = did_you_mean(reference.split("/")[-1], [card.name for card in load_cards()])
        raise NotFoundError(
            f"{reference}: not on this machine and no card describes it; give a folder with its "
            f"config.json, or draft a card with `qingting models add`.{hint}"
        )
    return read_config(found.folder)
