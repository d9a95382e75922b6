"""One file of a model: written, gone on with after a break, and held to what its source states."""

from __future__ import annotations

import hashlib
import http.client
import time
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from qingting.core.errors import ModelError, StoreError
from qingting.models.hubs import NETWORK_ERRORS, Hub, HubFile, Listing
from qingting.models.hubs import reason as network_reason
from qingting.store.atomic import storage_errors

Progress = Callable[[int, int], None]
"""Takes bytes so far and bytes in all."""

_CHUNK = 1 << 20
_N_TRIES = 5


class FileDigests(NamedTuple):
    """Size and digests of a file as it stands on the disk; ``git`` as ``HubFile`` defines it."""

    n_bytes: int
    sha256: str
    git: str


class Meter:
    """Counts bytes: those that were here already, and those that came now."""

    def __init__(self, n_total: int, on_progress: Progress) -> None:
        self._n_total, self._on_progress = n_total, on_progress
        self._n_done = self.n_new = 0

    def add(self, n_bytes: int, *, new: bool) -> None:
        """Count bytes, or take some back, and report."""
        self._n_done += n_bytes
        if new:
            self.n_new += n_bytes
        self._on_progress(max(self._n_done, 0), self._n_total)


def download(
    hub: Hub,
    listing: Listing,
    file: HubFile,
    partial: Path,
    meter: Meter,
    wait_s: Callable[[int], float],
) -> FileDigests:
    """Bring one file, going on where an earlier try stopped; return its digests.

    Raises:
        ModelError: the hub refuses, the connection broke five times, or the bytes are not those
            that the hub states.
        StoreError: no room on the disk.
    """
    target = partial / file.path
    for attempt in range(_N_TRIES):
        here = target.stat().st_size if target.is_file() else 0
        if here > file.n_bytes:
            target.unlink()
            here = 0
        meter.add(here, new=False)
        try:
            if here < file.n_bytes or not target.is_file():
                with hub.open(hub.file_url(listing, file.path), start=here) as answer:
                    # A server that ignores the range sends the file from its beginning.
                    goes_on = here > 0 and getattr(answer, "status", 200) == 206
                    if here and not goes_on:
                        meter.add(-here, new=False)
                    with storage_errors(partial, only_full=True):
                        write_stream(target, _bounded(answer, file), meter, append=goes_on)
        except urllib.error.HTTPError as error:
            raise ModelError(
                f"{hub.title} answered {error.code} {error.reason} for {file.path} of "
                f"{listing.identity}; run the same command again to go on"
            ) from None
        except StoreError:
            raise
        except NETWORK_ERRORS as error:
            if attempt + 1 == _N_TRIES:
                raise ModelError(
                    f"{file.path} of {listing.identity}: the connection broke {_N_TRIES} times "
                    f"({network_reason(error)}); run the same command again to go on where it "
                    "stopped"
                ) from None
            meter.add(-target.stat().st_size if target.is_file() else 0, new=False)
            time.sleep(wait_s(attempt))
            continue
        digests = digests_of(target, file.n_bytes)
        if digests.n_bytes < file.n_bytes:
            # The connection ended early without an error: go on from there.
            meter.add(-digests.n_bytes, new=False)
            time.sleep(wait_s(attempt))
            continue
        try:
            require_stated(file, digests, target, hub.endpoint)
        except ModelError:
            if attempt + 1 == _N_TRIES or not here:
                raise
            # What an earlier try left may be the fault; once more from the beginning.
            meter.add(-digests.n_bytes, new=False)
            continue
        return digests
    raise ModelError(
        f"{file.path} of {listing.identity}: the connection ended early {_N_TRIES} times; run the "
        "same command again to go on where it stopped"
    )


def _bounded(answer: Any, file: HubFile) -> Any:
    """Return the answer, refusing one that states another length than the listing."""
    stated = answer.headers.get("Content-Range", "").rpartition("/")[2]
    if not stated and getattr(answer, "status", 200) == 200:
        stated = answer.headers.get("Content-Length", "")
    if stated.isdigit() and int(stated) != file.n_bytes:
        raise ModelError(
            f"{file.path}: the hub lists {file.n_bytes} bytes and sends {stated}; it changed "
            "meanwhile, run the same command again"
        )
    return answer


def write_stream(target: Path, stream: Any, meter: Meter, *, append: bool) -> None:
    """Write a stream to a file, or behind what it holds; what came before a break is kept."""
    with target.open("ab" if append else "wb") as file:
        for chunk in _chunks(stream):
            file.write(chunk)
            meter.add(len(chunk), new=True)


def _chunks(stream: Any) -> Iterator[bytes]:
    while True:
        try:
            chunk = stream.read(_CHUNK)
        except http.client.IncompleteRead as error:
            yield error.partial
            raise
        if not chunk:
            return
        yield chunk


def digests_of(path: Path, n_stated: int) -> FileDigests:
    """Return what a file holds; ``n_stated`` is the size that a git digest counts."""
    sha, git = hashlib.sha256(), hashlib.sha1(usedforsecurity=False)
    git.update(f"blob {n_stated}\0".encode())
    n_bytes = 0
    with path.open("rb") as file:
        for chunk in _chunks(file):
            sha.update(chunk)
            git.update(chunk)
            n_bytes += len(chunk)
    return FileDigests(n_bytes, sha.hexdigest(), git.hexdigest())


def require_stated(file: HubFile, found: FileDigests, target: Path, source: str) -> None:
    """Return nothing when a file is what was stated; remove it and say so when it is not."""
    kind, _, stated = (file.digest or "").partition(":")
    actual = {"sha256": found.sha256, "git": found.git}.get(kind, stated)
    if found.n_bytes == file.n_bytes and actual == stated:
        return
    target.unlink()
    what = "another size" if found.n_bytes != file.n_bytes else f"another {kind} digest"
    raise ModelError(
        f"{file.path}: what came from {source} has {what} than stated; it was removed. Run the "
        "same command again; if it happens twice, the source or the network alters files"
    )
