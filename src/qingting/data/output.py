"""Files written record by record, there whole at the end or not at all."""

from __future__ import annotations

import gzip
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Protocol

import orjson

from qingting.core.errors import DataError
from qingting.store.atomic import storage_errors, sync_folder


class RecordFile(Protocol):
    """Takes JSON records, one at a time."""

    def write(self, record: Any) -> None:
        """Append one record."""


class _JsonLines:
    def __init__(self, file: IO[bytes] | gzip.GzipFile) -> None:
        self._file = file

    def write(self, record: Any) -> None:
        self._file.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))

    def end(self) -> None:
        pass


class _JsonArray:
    def __init__(self, file: IO[bytes] | gzip.GzipFile) -> None:
        self._file = file
        self._before = b"[\n"

    def write(self, record: Any) -> None:
        self._file.write(self._before + orjson.dumps(record))
        self._before = b",\n"

    def end(self) -> None:
        self._file.write(b"\n]\n" if self._before == b",\n" else b"[]\n")


def refuse_to_overwrite(path: Path, *, force: bool) -> None:
    """Raise unless a file may be written at the path.

    Raises:
        DataError: something stands there and ``force`` is false, or it is a folder.
    """
    if path.is_dir():
        raise DataError(f"{path}: a folder stands there; name a file")
    if path.exists() and not force:
        raise DataError(f"{path}: already exists; give --force to replace it")


@contextmanager
def record_file(path: Path, *, force: bool, is_private: bool = False) -> Iterator[RecordFile]:
    """Give a writer of records that appear under ``path`` when the block ends without an error.

    The name decides the form: ``.json`` is one array with a record on each line, anything else is
    JSON Lines; either ending in ``.gz`` is compressed. Only the owner may read a private file.

    Raises:
        DataError: the path may not be written; see ``refuse_to_overwrite``.
        StoreError: no room or no permission.
    """
    refuse_to_overwrite(path, force=force)
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with storage_errors(path):
            with os.fdopen(descriptor, "wb") as file:
                yield from _writing(file, path.name)
                file.flush()
                os.fsync(file.fileno())
                if not is_private:  # mkstemp gave the owner alone access
                    os.fchmod(file.fileno(), 0o666 & ~_umask())
            os.replace(temporary, path)
            sync_folder(path.parent)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _umask() -> int:
    mask = os.umask(0o077)  # there is no way to ask without setting
    os.umask(mask)
    return mask


def _writing(file: IO[bytes], name: str) -> Iterator[RecordFile]:
    is_compressed = name.endswith(".gz")
    is_array = name.removesuffix(".gz").endswith(".json")
    # No name and no time in the header: the same records give the same bytes.
    target: IO[bytes] | gzip.GzipFile = file
    if is_compressed:
        target = gzip.GzipFile("", "wb", 6, file, mtime=0)
    writer = _JsonArray(target) if is_array else _JsonLines(target)
    yield writer
    writer.end()
    if target is not file:
        target.close()
