"""One run at a time in a work folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qingting.core.errors import BusyError, StoreError
from qingting.store.atomic import storage_errors


@contextmanager
def hold_file(path: Path, *, refusal: str) -> Iterator[None]:
    """Hold a file; the operating system lets go when the process ends, however it ends.

    Args:
        path: made where it is missing.
        refusal: what is said where another process holds it; ``{holder}`` is its number.

    Raises:
        BusyError: another process holds it.
        StoreError: the file cannot be made or written.
    """
    with storage_errors(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            raise BusyError(refusal.format(holder=holder)) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def hold(work: Path) -> Iterator[None]:
    """Hold the work folder; the operating system lets go when the process ends, however it ends.

    Raises:
        BusyError: another run holds it.
        StoreError: the folder cannot be made or written.
    """
    if work.exists() and not work.is_dir():
        raise StoreError(f"{work}: a file stands here; choose another folder with --work")
    with storage_errors(work):
        work.mkdir(parents=True, exist_ok=True)
    refusal = (
        f"{work}: another run (process {{holder}}) is at work in this folder; "
        "wait for it, or give another folder with --work"
    )
    with hold_file(work / "lock", refusal=refusal):
        yield
