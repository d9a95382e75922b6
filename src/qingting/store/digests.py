"""Digests of files, remembered so that 100 GB of weights are read once.

A remembered digest counts while path, size, modification time (ns) and inode are the same. A file
changed within the clock's resolution of being hashed is not remembered.
"""

from __future__ import annotations

import time
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import orjson

from qingting.core.canonical import digest_of, digest_of_file
from qingting.core.errors import NotFoundError
from qingting.store.atomic import write_bytes

_SETTLED_NS = 2_000_000_000


class _Stamp(NamedTuple):
    size: int
    mtime_ns: int
    inode: int


class DigestMemory:
    """Digests by path and stamp, kept in one JSON file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._changed = False
        self._known: dict[str, tuple[_Stamp, str]] = {}
        try:
            stored = orjson.loads(path.read_bytes())
        except (FileNotFoundError, orjson.JSONDecodeError):
            stored = {}
        for name, (size, mtime_ns, inode, digest) in stored.items():
            self._known[name] = (_Stamp(size, mtime_ns, inode), digest)

    def of_file(self, path: Path) -> str:
        """Return the sha256 of a file, from memory while its stamp is unchanged.

        Raises:
            NotFoundError: there is no such file.
        """
        try:
            status = path.stat()
        except FileNotFoundError:
            raise NotFoundError(f"{path}: no such file") from None
        stamp = _Stamp(status.st_size, status.st_mtime_ns, status.st_ino)
        name = str(path.absolute())
        with self._lock:
            known = self._known.get(name)
        if known is not None and known[0] == stamp:
            return known[1]
        digest = digest_of_file(path)
        if time.time_ns() - stamp.mtime_ns > _SETTLED_NS:
            with self._lock:
                self._known[name] = (stamp, digest)
                self._changed = True
        return digest

    def of_tree(self, path: Path, *, ignore: frozenset[str] = frozenset()) -> str:
        """Return the digest of a file, or of all files below a folder with their names."""
        if path.is_file():
            return self.of_file(path)
        files = sorted(f for f in path.rglob("*") if f.is_file() and f.name not in ignore)
        if not files:
            raise NotFoundError(f"{path}: no such file, or an empty folder")
        return digest_of({str(f.relative_to(path)): self.of_file(f) for f in files})

    def remember(self, path: Path, digest: str) -> None:
        """Take a digest that was just computed while writing the file."""
        status = path.stat()
        with self._lock:
            stamp = _Stamp(status.st_size, status.st_mtime_ns, status.st_ino)
            self._known[str(path.absolute())] = (stamp, digest)
            self._changed = True

    def save(self) -> None:
        """Write what was learned; forgetting it costs time, never correctness."""
        with self._lock:
            if not self._changed:
                return
            content = {name: [*stamp, digest] for name, (stamp, digest) in self._known.items()}
            self._changed = False
        write_bytes(self._path, orjson.dumps(content))
