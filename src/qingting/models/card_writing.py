"""A drafted card as a YAML file."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qingting.core.errors import StoreError
from qingting.models.card_draft import UNKNOWN
from qingting.store.atomic import write_bytes


def write_card(card: dict[str, Any], path: Path, *, force: bool = False) -> list[str]:
    """Write a drafted card; return the key paths that are left for a person to fill.

    Raises:
        StoreError: the file exists and ``force`` is not set.
    """
    from ruamel.yaml import YAML

    if path.exists() and not force:
        raise StoreError(f"{path} exists; overwrite it with --force")
    yaml = YAML()
    yaml.allow_unicode = True
    yaml.width = 96
    text = io.StringIO()
    text.write(
        "# Drafted from a configuration. Fill in what is unknown, each note with its source.\n"
    )
    yaml.dump(card, text)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, text.getvalue().encode())
    return list(_unknown(card, ""))


def _unknown(value: Any, at: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _unknown(inner, f"{at}.{key}" if at else str(key))
    elif value == UNKNOWN or (isinstance(value, list) and (not value or UNKNOWN in value)):
        yield at
