"""Is there room on the disk? Asked before heavy work, not after it."""

from __future__ import annotations

import shutil
from pathlib import Path

from qingting.core.errors import StoreError
from qingting.planning.build import Blueprint
from qingting.store.atomic import storage_errors

_MARGIN_BYTES = 64 * 2**20


def bytes_needed(blueprint: Blueprint) -> int:
    """Return about how much a fresh run writes: an exported model per tuned arm, twice the data.

    Checkpoints of full fine-tuning hold weights and two moments in fp32, one set being written
    while ``keep_checkpoints`` are kept.
    """
    needed = _MARGIN_BYTES
    for arm in blueprint.arms:
        folder = blueprint.models[arm.model.label].folder
        if arm.variant == "base" or folder is None:
            continue
        weights = sum(
            f.stat().st_size for f in folder.iterdir() if f.suffix in (".safetensors", ".bin")
        )
        needed += weights
        if arm.recipe.method == "full":
            needed += 6 * weights * (arm.recipe.keep_checkpoints + 1)
    for stage in blueprint.stages:
        if stage.kind == "prepare_data":
            for path in stage.sources.values():
                files = [path] if path.is_file() else [f for f in path.rglob("*") if f.is_file()]
                needed += 2 * sum(file.stat().st_size for file in files)
    return needed


def require_room(blueprint: Blueprint, work: Path, *, n_free_bytes: int | None = None) -> None:
    """Return nothing when the disk has room for a fresh run.

    Args:
        blueprint: what is to run.
        work: the work folder; what it holds already need not be written again.
        n_free_bytes: room on the disk; asked of the system where not given.

    Raises:
        StoreError: it has not; names what is needed and what is free.
    """
    needed = bytes_needed(blueprint)
    with storage_errors(work):
        used = sum(f.stat().st_size for f in (work / "artifacts").rglob("*") if f.is_file())
        free = shutil.disk_usage(work).free if n_free_bytes is None else n_free_bytes
    if free + used < needed:
        raise StoreError(
            f"{work}: this run writes about {needed / 2**30:.1f} GiB and {free / 2**30:.1f} GiB "
            "are free; free some room, or choose another folder with --work"
        )
