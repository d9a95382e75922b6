"""A published model brought to this machine: pinned, resumed, verified, without code or pickles.

What is fetched lies in ``CACHE/models/HUB/OWNER/NAME/REVISION``, where ``resolve`` finds it.
Files arrive in a ``.partial`` folder beside it; the folder is renamed when every file has the
size and the digest that the hub states, so a model that stands there is whole.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from qingting.core.errors import ModelError, NotFoundError, StoreError
from qingting.models.download import (
    FileDigests,
    Meter,
    Progress,
    digests_of,
    download,
    require_stated,
    write_stream,
)
from qingting.models.hubs import Hub, HubFile, HubName, UnreachableError
from qingting.store.atomic import storage_errors, sync_file, sync_folder, write_bytes
from qingting.store.lock import hold

RECORD = "fetched.json"
"""Beside the files: hub, id, commit, and each file's size and sha256."""

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
        meter = Meter(sum(file.n_bytes for file in selection.taken), on_progress)
        digests = {
            file.path: download(hub, listing, file, partial, meter, wait_s)
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
        meter = Meter(sum(file.n_bytes for file in selection.taken), on_progress)
        found = {}
        for file in selection.taken:
            target = partial / file.path
            with (source / file.path).open("rb") as stream, storage_errors(partial, only_full=True):
                write_stream(target, stream, meter, append=False)
            found[file.path] = digests_of(target, file.n_bytes)
            require_stated(file, found[file.path], target, f"{source}")
        record = {
            "hub": hub,
            "id": identity,
            "commit": commit,
            "revision": stated.get("revision", commit),
            "files": _file_records(selection.taken, found),
        }
        _finish(partial, folder, record)
    return _result(folder, record, n_bytes_fetched=meter.n_new, left_out=selection.left_out)


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
    files: Sequence[HubFile], digests: Mapping[str, FileDigests]
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
