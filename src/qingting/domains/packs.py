"""Domain packs that ship: dialogues, knowledge questions, prompts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from qingting.core.errors import NotFoundError, did_you_mean


@dataclass(frozen=True, slots=True)
class Pack:
    """One domain pack, as files."""

    name: str
    folder: Path
    system_prompt: str
    """What every arm is told it is, unless the experiment says otherwise."""

    @property
    def dialogues(self) -> Path:
        """Return the folder of dialogue files."""
        return self.folder / "dialogues"

    @property
    def knowledge(self) -> Path:
        """Return the file of multiple-choice questions."""
        return self.folder / "knowledge.jsonl"

    @property
    def requests(self) -> Path:
        """Return the file of labelled requests."""
        return self.folder / "requests.jsonl"


def pack_names() -> tuple[str, ...]:
    """Return the names of the packs that ship."""
    root = Path(str(files("qingting.domains")))
    return tuple(sorted(p.parent.name for p in root.glob("*/system_prompt.txt")))


def find_pack(name: str) -> Pack:
    """Return a pack by name.

    Raises:
        NotFoundError: no such pack ships.
    """
    if name not in pack_names():
        raise NotFoundError(
            f"no pack {name!r} ships.{did_you_mean(name, pack_names())} "
            f"Packs: {', '.join(pack_names())}."
        )
    folder = Path(str(files("qingting.domains"))) / name
    return Pack(name, folder, (folder / "system_prompt.txt").read_text(encoding="utf-8").strip())


def locate(reference: str, *, base: Path, part: str) -> Path:
    """Return a pack's ``part`` (``dialogues``, ``knowledge``, ``requests``), or the path meant.

    Raises:
        NotFoundError: neither a pack nor a file or folder relative to ``base``.
    """
    if reference in pack_names():
        place: Mapping[str, Path] = {
            "dialogues": find_pack(reference).dialogues,
            "knowledge": find_pack(reference).knowledge,
            "requests": find_pack(reference).requests,
        }
        if part not in place or not place[part].exists():
            raise NotFoundError(f"the pack {reference} has no {part}; name a file or folder")
        return place[part]
    path = (base / Path(reference).expanduser()).resolve()
    if not path.exists():
        raise NotFoundError(
            f"{reference}: no such file or folder (looked at {path}), and no pack of that name."
            f"{did_you_mean(reference, pack_names())} Packs: {', '.join(pack_names())}."
        )
    return path
