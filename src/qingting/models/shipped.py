"""The small models that ship, described from their own files."""

from __future__ import annotations

import json
import struct
from math import prod
from pathlib import Path
from typing import NamedTuple

from qingting.models.resolve import read_config, shipped_models

_LICENCE_LINE = "license: "


class ShippedModel(NamedTuple):
    """One small model: name, native class, parameters (0 where weights are absent), licence."""

    name: str
    architecture: str
    n_parameters: int
    licence: str


def describe_shipped() -> list[ShippedModel]:
    """Return the small models in order of name; only headers of weight files are read."""
    return [
        ShippedModel(
            name,
            next(iter(read_config(folder).get("architectures") or []), "unknown"),
            _n_parameters(folder),
            stated_licence(folder) or "not stated",
        )
        for name, folder in shipped_models().items()
    ]


def stated_licence(folder: Path) -> str | None:
    """Return what the front matter of the model's README says, or None where it says nothing."""
    readme = folder / "README.md"
    lines = (
        readme.read_text(encoding="utf-8", errors="replace").splitlines()[:100]
        if readme.is_file()
        else []
    )
    if not lines or lines[0].strip() != "---":
        return None
    for line in lines[1:]:
        if line.strip() == "---":
            break
        if line.startswith(_LICENCE_LINE):
            return line.removeprefix(_LICENCE_LINE).strip() or None
    return None


def _n_parameters(folder: Path) -> int:
    total = 0
    for path in folder.glob("*.safetensors"):
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            table = json.loads(file.read(length))
        total += sum(prod(x["shape"]) for name, x in table.items() if name != "__metadata__")
    return total
