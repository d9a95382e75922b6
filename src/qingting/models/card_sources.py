"""Cards drafted from what a person names: a folder, a file, or an id on a hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from qingting.core.errors import ModelError
from qingting.models.card_draft import draft_card, read_config_file

_MAX_CONFIG_BYTES = 1 << 20


def drafted(source: str) -> dict[str, Any]:
    """Return the drafted card of a folder, a config.json or a hub id, parameters counted.

    Raises:
        NotFoundError: there is no such folder or model.
        ModelError: its configuration cannot be used.
    """
    path = Path(source).expanduser()
    if path.exists():
        folder = path if path.is_dir() else path.parent
        name = folder.resolve().name
        card = draft_card(read_config_file(path), name=name)
    else:
        hub, identity = _hub_of(source)
        card = draft_card(
            _config_on_hub(hub, identity), name=identity.split("/")[-1], hub_id=identity
        )
        if hub == "ms":
            card["hub"] = {"huggingface": None, "modelscope": identity}
    card["parameters"] = _count(card)
    return card


def _hub_of(source: str) -> tuple[str, str]:
    for prefix in ("hf", "ms"):
        if source.startswith(f"{prefix}:"):
            return prefix, source.removeprefix(f"{prefix}:")
    return "hf", source


def _config_on_hub(hub: str, identity: str) -> dict[str, Any]:
    from qingting.models.hubs import Hub

    client = Hub.from_environment(hub)  # type: ignore[arg-type]
    listing = client.list_files(identity, None)
    with client.open(client.file_url(listing, "config.json")) as file:
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
