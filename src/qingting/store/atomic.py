"""Writes that are there whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qingting.core.errors import StoreError

CURES = {
    errno.ENOSPC: "the disk is full: free some room and run again; finished stages are kept",
    errno.EDQUOT: "the disk quota is used up: free some room and run again",
    errno.EROFS: "the file system is read-only: choose another folder with --work",
    errno.EACCES: "no permission to write: choose another folder with --work",
    errno.EPERM: "no permission to write: choose another folder with --work",
    errno.ENOTDIR: "a file stands where a folder is needed: choose another folder with --work",
}
"""What to do when the operating system refuses to write."""

FULL = (errno.ENOSPC, errno.EDQUOT)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old bytes or the new ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise StoreError(f"{path}: a folder stands here; name a file")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with storage_errors(path):
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Make a file's bytes durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def storage_errors(place: Path, *, only_full: bool = False) -> Iterator[None]:
    """Turn the operating system's refusal into one line with its cure.

    ``only_full`` is for code that also reads: there only a full disk is surely about writing.

    Raises:
        StoreError: no room, no permission, a read-only file system.
    """
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.errno in (FULL if only_full else CURES):
            raise StoreError(f"{place}: {CURES[error.errno]}") from error
        raise
