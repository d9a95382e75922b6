"""Cards drafted from what a person names: a folder, a file, or an id on a hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from qingting.core.errors import ModelError, NotFoundError
from qingting.models.card_draft import draft_card, read_config_file
from qingting.models.hubs import Hub, HubName

_MAX_CONFIG_BYTES = 1 << 20


def drafted(source: str, *, hub: Hub | None = None) -> dict[str, Any]:
    """Return the drafted card of a folder, a config.json or a hub id, parameters counted.

    Args:
        source: a path, or ``ID``, ``hf:ID``, ``ms:ID``.
        hub: to be asked instead of the one that the environment names.

    Raises:
        NotFoundError: there is no such folder or model.
        ModelError: its configuration cannot be used.
    """
    path = Path(source).expanduser()
    if path.exists():
        folder = path if path.is_dir() else path.parent
        name = folder.resolve().name
        card = draft_card(read_config_file(path), name=name)
    elif source.startswith(("/", ".", "~")):
        raise NotFoundError(f"{source}: no such folder or config.json")
    else:
        name, identity = _hub_of(source)
        asked = hub or Hub.from_environment(name)
        card = draft_card(
            _config_on_hub(asked, identity), name=identity.split("/")[-1], hub_id=identity
        )
        if asked.name == "ms":
            card["hub"] = {"huggingface": None, "modelscope": identity}
    card["parameters"] = _count(card)
    return card


def _hub_of(source: str) -> tuple[HubName, str]:
    if source.startswith("ms:"):
        return "ms", source.removeprefix("ms:")
    return "hf", source.removeprefix("hf:")


def _config_on_hub(hub: Hub, identity: str) -> dict[str, Any]:
    """Return the configuration of a model on a hub; nothing else is fetched."""
    listing = hub.list_files(identity, None)
    with hub.open(hub.file_url(listing, "config.json")) as file:
        content = file.read(_MAX_CONFIG_BYTES)
    try:
        config = json.loads(content)
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise ModelError(f"{identity}: its config.json is not JSON") from None
    if not isinstance(config, dict):
        raise ModelError(f"{identity}: its config.json is not a JSON object")
    return config


def _count(card: dict[str, Any]) -> dict[str, int]:
    """Return parameters counted on the meta device, where no memory is taken."""
    from qingting.models.card import ModelCard
    from qingting.models.card_parameters import parameters_of

    total, active = parameters_of(ModelCard.model_validate_json(json.dumps(card)))
    return {"total": total, "active": active}
