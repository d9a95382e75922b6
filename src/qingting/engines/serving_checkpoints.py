"""From what a person names to the folder that is served: a model, or an arm of an experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import orjson

from qingting.core.errors import NotFoundError, SpecificationError, did_you_mean
from qingting.models.resolve import resolve, shipped_models
from qingting.store.artifacts import ArtifactStore

_EXPORT = "export/"
_RESULTS = "results.json"


class ServedCheckpoint(NamedTuple):
    """A complete model's folder, and the name under which it is served."""

    folder: Path
    name: str


def find_checkpoint(
    reference: str, *, arm: str | None = None, revision: str | None = None, base: Path | None = None
) -> ServedCheckpoint:
    """Return what is served.

    ``reference`` names a small model that ships, a folder, a hub model that was fetched, or, with
    ``arm``, the work folder of an experiment; ``WORK/ARM`` says the same in one word.

    Raises:
        NotFoundError: No such model, work folder or arm; near names are offered.
        ModelError: The model is not complete on this machine.
        SpecificationError: A work folder without an arm.
    """
    base = base or Path.cwd()
    folder = base / Path(reference).expanduser()
    if arm is not None:
        if not _is_work(folder):
            raise NotFoundError(f"{reference}: not the work folder of an experiment")
        return _arm(folder, arm)
    if _is_work(folder) and reference not in shipped_models():
        arms = ", ".join(sorted(_arms(folder))) or "none that was exported"
        raise SpecificationError(f"{reference}: name one of its arms with --arm; it holds {arms}")
    work = next((parent for parent in folder.parents if _is_work(parent)), None)
    if work is not None and not folder.exists():
        return _arm(work, str(folder.relative_to(work)))
    found = resolve(reference, revision=revision, base=base, task="generation")
    return ServedCheckpoint(found.require(), _name(reference))


def _name(reference: str) -> str:
    """Return how clients call a model: a hub id as it is, a folder by its last name."""
    hub, colon, identity = reference.partition(":")
    if colon and hub in ("hf", "ms"):
        return identity
    is_path = reference.startswith((".", "/", "~")) or Path(reference).is_dir()
    return Path(reference).expanduser().resolve().name if is_path else reference


def _is_work(folder: Path) -> bool:
    return (folder / "artifacts").is_dir()


def _arms(work: Path) -> dict[str, Path]:
    """Return the tuned arms of a work folder: arm → folder of its newest exported model."""
    store = ArtifactStore.for_reading(work)
    newest: dict[str, tuple[str, Path]] = {}
    for key in store.artifact_keys():
        artifact = store.find(key)
        if artifact is None or not str(artifact.manifest.get("stage")).startswith(_EXPORT):
            continue
        arm = str(artifact.manifest["stage"]).removeprefix(_EXPORT)
        finished = str(artifact.manifest.get("finished", ""))
        if arm not in newest or finished > newest[arm][0]:
            newest[arm] = (finished, artifact / "model")
    return {arm: folder for arm, (_, folder) in newest.items()}


def _bases(work: Path) -> dict[str, dict[str, Any]]:
    """Return the untuned arms that an experiment's results name: arm → its model's entry."""
    path = work / _RESULTS
    if not path.is_file():
        return {}
    outcomes = orjson.loads(path.read_bytes())["outcomes"]
    labels = [entry["label"] for entry in outcomes["models"]]
    entries = outcomes["specification"]["models"]
    return {f"{label}/base": e for label, e in zip(labels, entries, strict=False)}


def _arm(work: Path, arm: str) -> ServedCheckpoint:
    tuned, bases = _arms(work), _bases(work)
    if arm in tuned:
        return ServedCheckpoint(tuned[arm], arm)
    if arm in bases:
        entry = bases[arm]
        found = resolve(
            entry["model"], revision=entry.get("revision"), base=Path.cwd(), task="generation"
        )
        return ServedCheckpoint(found.require(), arm)
    known = sorted({*tuned, *bases})
    raise NotFoundError(
        f"{work}: no arm {arm!r}.{did_you_mean(arm, known)} "
        f"It holds: {', '.join(known) or 'none that was exported'}"
    )
