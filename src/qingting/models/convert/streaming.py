"""Weights converted one source shard at a time, into a folder that shows only when it is whole.

Everything is written to a hidden sibling of the destination and renamed at the end. A killed
conversion leaves the hidden folder, without a config.json; run again, it goes on after the last
output shard that was finished, if source and options are the same.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from qingting.core.canonical import digest_of
from qingting.core.errors import BusyError, ModelError, NotFoundError
from qingting.models.convert.plan import Plan, Step, TargetTypes
from qingting.models.convert.shards import OutputShard, finish, lay_out, write_target
from qingting.models.convert.source import Checkpoint
from qingting.store.atomic import storage_errors, sync_folder, write_bytes

if TYPE_CHECKING:
    from torch import Tensor

Progress = Callable[[int, int], None]
"""Told the bytes written so far and in all."""

CONVERSION_VERSION = 1
_JOURNAL = "conversion.json"
_LOCK = "lock"


def partial_folder(destination: Path) -> Path:
    """Return the hidden folder in which a conversion works."""
    return destination.parent / f".{destination.name}.converting"


@contextmanager
def work_folder(destination: Path, key: str) -> Iterator[Path]:
    """Hold the hidden folder of a conversion, emptied unless it is the same conversion's.

    Raises:
        BusyError: another process converts to the same destination.
        StoreError: the folder cannot be made or written.
    """
    folder = partial_folder(destination)
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"{destination}: another process is converting to it; wait") from None
        if _journalled_key(folder) != key:
            for path in folder.iterdir():
                if path.name != _LOCK:
                    path.unlink() if path.is_file() else shutil.rmtree(path)
            write_bytes(folder / _JOURNAL, orjson.dumps({"key": key}))
        try:
            yield folder
        except ModelError:
            shutil.rmtree(folder, ignore_errors=True)  # what is wrong will be wrong again
            raise
    finally:
        os.close(descriptor)


def _journalled_key(folder: Path) -> str | None:
    try:
        journal = orjson.loads((folder / _JOURNAL).read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return None
    return journal.get("key") if isinstance(journal, dict) else None


def conversion_key(checkpoint: Checkpoint, plan: Plan, types: TargetTypes) -> str:
    """Return what makes two conversions the same: source files, configuration and type."""
    return digest_of(
        {
            "version": CONVERSION_VERSION,
            "source": str(checkpoint.folder.resolve()),
            "shards": checkpoint.stamp(),
            "config": dict(plan.config),
            "dtype": list(types),
        }
    )


def planned_shards(
    checkpoint: Checkpoint, plan: Plan, types: TargetTypes, *, limit_bytes: int | None = None
) -> list[OutputShard]:
    """Return the output files, their steps in the order in which the source is read."""
    order = {shard: i for i, shard in enumerate(checkpoint.shards)}

    def last_needed(step: Step) -> int:
        return max(order[checkpoint.tensors[source.name].shard] for source in step.sources)

    steps = sorted(plan.steps, key=last_needed)
    if limit_bytes is None:
        return lay_out(steps, types)
    return lay_out(steps, types, limit_bytes=limit_bytes)


def convert_weights(
    checkpoint: Checkpoint,
    shards: Sequence[OutputShard],
    folder: Path,
    *,
    types: TargetTypes,
    on_progress: Progress,
) -> int:
    """Write the output shards that are not there yet and return how many bytes were written.

    Memory: one source shard is mapped at a time; what a later shard completes is kept meanwhile.

    Raises:
        ModelError: a source shard is damaged, or a number does not fit the target type.
        StoreError: the disk is full.
    """
    import torch

    total = sum(shard.n_bytes for shard in shards)
    done = 0
    written = 0
    reader = _OneShard(checkpoint, [step for shard in shards for step in shard.steps])
    for shard in shards:
        final = folder / shard.name
        if final.is_file() and final.stat().st_size == shard.n_bytes:
            done += shard.n_bytes
            on_progress(done, total)
            continue
        temporary = folder / f".{shard.name}.part"
        with storage_errors(temporary), temporary.open("wb") as file:
            file.write(shard.header)
            done += len(shard.header)
            for step in shard.steps:
                outputs = step.compute(reader.take(step))
                for spec, parts in zip(step.targets, outputs, strict=True):
                    dtype = getattr(torch, types.of(spec.name))
                    done += write_target(file, parts, spec, dtype)
                    on_progress(done, total)
                del outputs
            finish(file, temporary, final)
        written += shard.n_bytes
    reader.close()
    return written


class _OneShard:
    """The source tensors of steps taken in order, from one mapped shard at a time."""

    def __init__(self, checkpoint: Checkpoint, steps: Sequence[Step]) -> None:
        self._checkpoint = checkpoint
        self._shard = ""
        self._tensors: Mapping[str, Tensor] = {}
        self._held: dict[str, Tensor] = {}
        last_shard: dict[str, str] = {}
        for step in steps:
            shards = [checkpoint.tensors[source.name].shard for source in step.sources]
            for source in step.sources:
                last_shard[source.name] = max(shards)
        self._needed_later = {
            name for name, shard in last_shard.items() if checkpoint.tensors[name].shard != shard
        }

    def take(self, step: Step) -> list[Tensor]:
        """Return the source tensors of a step."""
        return [self._tensor(source.name) for source in step.sources]

    def close(self) -> None:
        """Let the mapped shard go."""
        self._tensors, self._shard = {}, ""

    def _tensor(self, name: str) -> Tensor:
        if name in self._held:
            return self._held.pop(name)
        shard = self._checkpoint.tensors[name].shard
        if shard != self._shard:
            self._open(shard)
        return self._tensors[name]

    def _open(self, shard: str) -> None:
        for name in self._needed_later:
            if name in self._tensors and self._checkpoint.tensors[name].shard == self._shard:
                self._held[name] = self._tensors[name].clone()
        self._tensors = {}
        self._tensors = self._checkpoint.read(shard)
        self._shard = shard


def publish(folder: Path, destination: Path, files: Mapping[str, bytes]) -> None:
    """Write the small files, config.json last, and give the folder its name.

    A folder that stands there is moved aside first and removed when the new one is in place.
    """
    for name in sorted(files, key=lambda name: name == "config.json"):
        write_bytes(folder / name, files[name])
    for name in (_JOURNAL, _LOCK):
        (folder / name).unlink(missing_ok=True)
    sync_folder(folder)
    old = destination.parent / f".{destination.name}.replaced.{os.getpid()}.{time.monotonic_ns()}"
    with storage_errors(destination):
        if destination.exists():
            destination.rename(old)
        folder.rename(destination)
        sync_folder(destination.parent)
    shutil.rmtree(old, ignore_errors=True)


def check_destination(source: Path, destination: Path, *, force: bool) -> None:
    """Refuse a destination that would overwrite something.

    Raises:
        NotFoundError: the source is no folder.
        ModelError: the destination is taken, or is or holds the source.
    """
    if not source.is_dir():
        raise NotFoundError(f"{source}: no such folder; give the folder of a published checkpoint")
    inside = source.resolve().is_relative_to(destination.resolve())
    if inside:
        raise ModelError(f"{destination}: is or holds the source; choose another folder")
    if not destination.exists():
        return
    if not destination.is_dir():
        raise ModelError(f"{destination}: a file stands here; choose a folder")
    taken = any(destination.iterdir())
    if taken and not force:
        raise ModelError(f"{destination}: exists; choose another folder, or say --force")
    if taken and not (destination / "config.json").is_file():
        raise ModelError(
            f"{destination}: holds other things than a model, which --force does not remove; "
            "choose another folder"
        )


def check_room(destination: Path, n_bytes: int) -> None:
    """Refuse a conversion that the disk has no room for.

    Raises:
        ModelError: too little is free.
    """
    place = destination.parent
    while not place.exists():
        place = place.parent
    started = partial_folder(destination)
    there = sum(p.stat().st_size for p in started.glob("*")) if started.is_dir() else 0
    free = shutil.disk_usage(place).free + there
    if free < n_bytes:
        raise ModelError(
            f"{destination}: needs {n_bytes / 1e9:.1f} GB and {free / 1e9:.1f} GB are free; free "
            "some room or choose another disk"
        )
