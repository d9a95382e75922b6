"""A published model brought to this machine: pinned, resumed, verified, without code or pickles.

What is fetched lies in ``CACHE/models/HUB/OWNER/NAME/REVISION``, where ``resolve`` finds it.
Files arrive in a ``.partial`` folder beside it; the folder is renamed when every file has the
size and the digest that the hub states, so a model that stands there is whole.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import shutil
import time
import urllib.error
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from qingting.core.errors import ModelError, NotFoundError, StoreError
from qingting.models.hubs import NETWORK_ERRORS, Hub, HubFile, HubName, Listing, UnreachableError
from qingting.models.hubs import reason as network_reason
from qingting.store.atomic import storage_errors, sync_file, sync_folder, write_bytes
from qingting.store.lock import hold

RECORD = "fetched.json"
"""Beside the files: hub, id, commit, and each file's size and sha256."""

_CHUNK = 1 << 20
_N_TRIES = 5
_ROOM_BYTES = 64 * 2**20
_IDENTITY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*\Z", re.ASCII)

_PICKLES = re.compile(r"pytorch_model.*\.bin(\.index\.json)?\Z")
_NEEDED = re.compile(
    r"(.*\.safetensors|.*\.json|.*\.jinja|.*\.model|vocab\.txt|merges\.txt|README\.md"
    r"|LICEN[SC]E[^/]*|NOTICE[^/]*|MODEL_LICENSE[^/]*|USE_POLICY[^/]*|.*\.pdf)\Z",
    re.IGNORECASE,
)
_CODE = (".py", ".sh", ".so", ".pyc", ".ipynb")
_OTHER_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".npy", ".joblib")

Progress = Callable[[int, int], None]


class Selection(NamedTuple):
    """Which files of a repository are taken, and why each other one is not (path → reason)."""

    taken: tuple[HubFile, ...]
    left_out: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class FetchedModel:
    """A model on this machine; ``n_bytes_fetched`` came over the network or from a copy now."""

    identity: str
    source: str
    commit: str
    folder: Path
    n_files: int
    n_bytes: int
    n_bytes_fetched: int
    left_out: Mapping[str, str]
    unverified: tuple[str, ...]

    def to_record(self) -> dict[str, Any]:
        """Return the JSON form."""
        record = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return record | {"folder": str(self.folder), "left_out": dict(self.left_out)}


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return where fetched models lie: ``QINGTING_CACHE``, or ``~/.cache/qingting``."""
    named = environment.get("QINGTING_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "qingting"


def find_fetched(
    identity: str, *, hub: HubName | None = None, revision: str | None = None, cache: Path
) -> Path | None:
    """Return the folder of a model that was fetched whole, the newest where no revision is named."""
    found: list[Path] = []
    for name in ("hf", "ms", "copy") if hub is None else (hub,):
        for record in (cache / "models" / name / identity).glob(f"*/{RECORD}"):
            content = orjson.loads(record.read_bytes())
            if revision is None or revision in (content["commit"], content["revision"]):
                found.append(record.parent)
    return max(found, key=lambda folder: (folder / RECORD).stat().st_mtime_ns, default=None)


def select(files: Sequence[HubFile]) -> Selection:
    """Return the files that a model needs: weights, configuration, tokenizer, template, licence.

    Code is never taken, nor what lies in sub-folders (other layouts of the same weights). Pickled
    weights are taken only where there are no safetensors; they are read without unpickling
    objects.
    """
    top = [file for file in files if "/" not in file.path]
    has_safetensors = any(file.path.endswith(".safetensors") for file in top)
    taken: list[HubFile] = []
    left_out: dict[str, str] = {}
    for file in files:
        suffix = Path(file.path).suffix.lower()
        if "/" in file.path:
            left_out[file.path] = "in a sub-folder, not part of this layout"
        elif suffix in _CODE:
            left_out[file.path] = "code, which is never run"
        elif _PICKLES.match(file.path):
            if has_safetensors:
                left_out[file.path] = "a pickle; the same weights stand in safetensors"
            else:
                taken.append(file)
        elif suffix in _OTHER_PICKLES:
            left_out[file.path] = "a pickle or an archive that may hold one"
        elif _NEEDED.match(file.path):
            taken.append(file)
        else:
            left_out[file.path] = "not needed"
    return Selection(tuple(taken), left_out)


def fetch(
    identity: str,
    hub: Hub,
    *,
    revision: str | None = None,
    cache: Path,
    on_progress: Progress = lambda done, total: None,
    wait_s: Callable[[int], float] = lambda attempt: 2.0**attempt,
) -> FetchedModel:
    """Return a hub model, fetched at a pinned revision unless it is here already.

    Args:
        identity: ``owner/name``.
        hub: which one, and how it is asked.
        revision: branch, tag or commit; the default branch where None. What it means now is
            pinned and recorded.
        cache: folder to keep models in, see ``cache_folder``.
        on_progress: called with (bytes so far, bytes in all).
        wait_s: seconds to wait after the n-th broken connection; five tries a file.

    Raises:
        UnreachableError: no network; the message says how to go on without one.
        ModelError: no such model, no access, or bytes that differ from what the hub states.
        StoreError: no room on the disk.
        BusyError: another process is fetching the same model.
    """
    if not _IDENTITY.match(identity):
        raise ModelError(f"{identity!r} is no model id; a hub model is written owner/name")
    try:
        listing = hub.list_files(identity, revision)
    except UnreachableError as error:
        raise _offline(identity, hub, revision, str(error)) from None
    selection = select(listing.files)
    _require_weights(identity, selection)
    folder = cache / "models" / hub.name / identity / listing.commit.replace("/", "--")
    # ModelScope pins no commit: a branch that moved has other digests than those on disk.
    known = _read_record(folder)
    if known is not None and _stands(known, selection.taken):
        return _result(folder, known, n_bytes_fetched=0, left_out=selection.left_out)
    partial = folder.with_name(f".{folder.name}.partial")
    with hold(partial):
        _require_room(partial, selection.taken)
        meter = _Meter(sum(file.n_bytes for file in selection.taken), on_progress)
        digests = {
            file.path: _download(hub, listing, file, partial, meter, wait_s)
            for file in selection.taken
        }
        record = {
            "hub": hub.name,
            "id": identity,
            "commit": listing.commit,
            "revision": revision or listing.commit,
            "files": _file_records(selection.taken, digests),
        }
        _finish(partial, folder, record)
    return _result(folder, record, n_bytes_fetched=meter.n_new, left_out=selection.left_out)


def copy_in(
    identity: str,
    source: Path,
    *,
    cache: Path,
    on_progress: Progress = lambda done, total: None,
) -> FetchedModel:
    """Return a model copied from a folder that was fetched elsewhere, under its hub id.

    The folder's own record of sizes and digests is checked where it has one.

    Raises:
        NotFoundError: no such folder.
        ModelError: it holds no model, or a file differs from the folder's record.
    """
    if not _IDENTITY.match(identity):
        raise ModelError(f"{identity!r} is no model id; a hub model is written owner/name")
    if not source.is_dir():
        raise NotFoundError(
            f"{source}: no such folder; name the folder that holds the copied model"
        )
    stated = _read_record(source) or {}
    digests = {name: f"sha256:{entry['sha256']}" for name, entry in stated.get("files", {}).items()}
    files = tuple(
        HubFile(path.name, path.stat().st_size, digests.get(path.name))
        for path in sorted(source.iterdir())
        if path.is_file() and path.name not in (RECORD, "lock")
    )
    lost = sorted(digests.keys() - {file.path for file in files})
    if lost:
        raise ModelError(
            f"{source}: {lost[0]} stands in {RECORD} and not in the folder; copy it too"
        )
    selection = select(files)
    _require_weights(str(source), selection)
    hub = stated.get("hub", "copy")
    commit = stated.get("commit", "copy")
    folder = cache / "models" / hub / identity / commit.replace("/", "--")
    known = _read_record(folder)
    if known is not None and digests and _stands(known, selection.taken):
        return _result(folder, known, n_bytes_fetched=0, left_out=selection.left_out)
    partial = folder.with_name(f".{folder.name}.partial")
    with hold(partial):
        _require_room(partial, selection.taken)
        meter = _Meter(sum(file.n_bytes for file in selection.taken), on_progress)
        found = {}
        for file in selection.taken:
            with (source / file.path).open("rb") as stream, storage_errors(partial, only_full=True):
                found[file.path] = _write(partial / file.path, stream, meter, append=False)
            _check(file, found[file.path], partial / file.path, f"{source}")
        record = {
            "hub": hub,
            "id": identity,
            "commit": commit,
            "revision": stated.get("revision", commit),
            "files": _file_records(selection.taken, found),
        }
        _finish(partial, folder, record)
    return _result(folder, record, n_bytes_fetched=meter.n_new, left_out=selection.left_out)


# -- one file --------------------------------------------------------------------------------------


class _Digests(NamedTuple):
    n_bytes: int
    sha256: str
    git: str


class _Meter:
    """Counts bytes: those that were here already, and those that came now."""

    def __init__(self, n_total: int, on_progress: Progress) -> None:
        self._n_total, self._on_progress = n_total, on_progress
        self._n_done = self.n_new = 0

    def add(self, n_bytes: int, *, new: bool) -> None:
        self._n_done += n_bytes
        if new:
            self.n_new += n_bytes
        self._on_progress(max(self._n_done, 0), self._n_total)


def _download(
    hub: Hub,
    listing: Listing,
    file: HubFile,
    partial: Path,
    meter: _Meter,
    wait_s: Callable[[int], float],
) -> _Digests:
    """Bring one file, going on where an earlier try stopped; return its digests."""
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
                        _write(target, _bounded(answer, file), meter, append=goes_on)
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
        digests = _digests_of(target, file.n_bytes)
        if digests.n_bytes < file.n_bytes:
            # The connection ended early without an error: go on from there.
            meter.add(-digests.n_bytes, new=False)
            time.sleep(wait_s(attempt))
            continue
        try:
            _check(file, digests, target, hub.endpoint)
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


def _write(target: Path, stream: Any, meter: _Meter, *, append: bool) -> _Digests:
    """Write a stream to a file; return the digests of what was written in this call."""
    sha, n_bytes = hashlib.sha256(), 0
    with target.open("ab" if append else "wb") as file:
        for chunk in _chunks(stream):
            file.write(chunk)
            sha.update(chunk)
            n_bytes += len(chunk)
            meter.add(len(chunk), new=True)
    return _Digests(n_bytes, sha.hexdigest(), "")


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


def _digests_of(path: Path, n_stated: int) -> _Digests:
    sha, git = hashlib.sha256(), hashlib.sha1(usedforsecurity=False)
    git.update(f"blob {n_stated}\0".encode())
    n_bytes = 0
    with path.open("rb") as file:
        for chunk in _chunks(file):
            sha.update(chunk)
            git.update(chunk)
            n_bytes += len(chunk)
    return _Digests(n_bytes, sha.hexdigest(), git.hexdigest())


def _check(file: HubFile, found: _Digests, target: Path, source: str) -> None:
    """Remove a file that is not what was stated and say so."""
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


# -- the whole folder ------------------------------------------------------------------------------


def _require_weights(identity: str, selection: Selection) -> None:
    names = [file.path for file in selection.taken]
    if "config.json" not in names:
        raise ModelError(f"{identity}: no config.json; this is not a transformers model")
    if not any(name.endswith((".safetensors", ".bin")) for name in names):
        raise ModelError(
            f"{identity}: no weights in safetensors or PyTorch form; choose the original repository "
            "rather than a GGUF, ONNX or adapter one"
        )


def _require_room(partial: Path, files: Sequence[HubFile]) -> None:
    here = sum(
        min((partial / file.path).stat().st_size, file.n_bytes)
        for file in files
        if (partial / file.path).is_file()
    )
    needed = sum(file.n_bytes for file in files) - here + _ROOM_BYTES
    free = shutil.disk_usage(partial).free
    if free < needed:
        raise StoreError(
            f"{partial.parent}: {needed / 2**30:.1f} GiB are still to be written and "
            f"{free / 2**30:.1f} GiB are free; free some room, or set QINGTING_CACHE to another disk"
        )


def _file_records(
    files: Sequence[HubFile], digests: Mapping[str, _Digests]
) -> dict[str, dict[str, Any]]:
    return {
        file.path: {
            "n_bytes": file.n_bytes,
            "sha256": digests[file.path].sha256,
            "stated": file.digest,
        }
        for file in files
    }


def _finish(partial: Path, folder: Path, record: Mapping[str, Any]) -> None:
    for name in record["files"]:
        sync_file(partial / name)
    for stray in partial.iterdir():
        if stray.name not in record["files"]:
            stray.unlink()
    write_bytes(partial / RECORD, orjson.dumps(record, option=orjson.OPT_INDENT_2))
    if folder.exists():
        replaced = folder.with_name(f".{folder.name}.replaced")
        shutil.rmtree(replaced, ignore_errors=True)
        os.replace(folder, replaced)
        os.replace(partial, folder)
        shutil.rmtree(replaced)
    else:
        os.replace(partial, folder)
    sync_folder(folder.parent)


def _read_record(folder: Path) -> dict[str, Any] | None:
    try:
        record = orjson.loads((folder / RECORD).read_bytes())
    except FileNotFoundError:
        return None
    except orjson.JSONDecodeError:
        raise ModelError(f"{folder / RECORD}: damaged; remove {folder} and fetch again") from None
    if not isinstance(record, dict) or not isinstance(record.get("files"), dict):
        raise ModelError(f"{folder / RECORD}: not a record of a fetch; remove it and fetch again")
    return record


def _stands(record: Mapping[str, Any], files: Sequence[HubFile]) -> bool:
    """Return whether the folder was made from exactly these files."""
    return {name: (x["n_bytes"], x["stated"]) for name, x in record["files"].items()} == {
        file.path: (file.n_bytes, file.digest) for file in files
    }


def _result(
    folder: Path,
    record: Mapping[str, Any],
    *,
    n_bytes_fetched: int,
    left_out: Mapping[str, str],
) -> FetchedModel:
    files = record["files"]
    return FetchedModel(
        identity=record["id"],
        source=record["hub"],
        commit=record["commit"],
        folder=folder,
        n_files=len(files),
        n_bytes=sum(entry["n_bytes"] for entry in files.values()),
        n_bytes_fetched=n_bytes_fetched,
        left_out=left_out,
        unverified=tuple(name for name, entry in files.items() if entry["stated"] is None),
    )


def _offline(identity: str, hub: Hub, revision: str | None, why: str) -> UnreachableError:
    pinned = f" --revision {revision}" if revision else ""
    return UnreachableError(
        f"{why}. On a machine with a network run `qingting models fetch {hub.name}:{identity}"
        f"{pinned}`, copy the folder that it prints to this machine, and run `qingting models fetch "
        f"{identity} --from FOLDER` here, or name that folder in the experiment"
    )
