"""Where the sizes of a model come from: its card, its folder, or the configuration that ships."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qingting.core.errors import NotFoundError
from qingting.models.resolve import read_config, resolve


def read_architecture(reference: str, *, base: Path) -> Mapping[str, Any]:
    """Return the configuration of a model that need not be on this machine.

    Raises:
        NotFoundError: Nothing here describes it.
        ModelError: Its configuration is damaged.
    """
    found = resolve(reference, base=base)
    if found.folder is None:
        raise NotFoundError(
            f"{reference}: not on this machine and no card describes it; give a folder with its "
            "config.json."
        )
    return read_config(found.folder)
