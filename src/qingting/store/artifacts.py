"""Artifacts: what a stage left, found again by its key.

Layout of a work folder::

    lock                     held while a run is at work
    digests.json             remembered digests
    attempts/<n>/            where a stage works; nothing here counts
    state/<key>/             what resumption needs; survives a kill, goes when the stage is done
    state/<key>.inputs       digest of the input bytes that the state was made from
    artifacts/<key>/         a finished stage: its files and manifest.json
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from qingting.core.canonical import digest_of
from qingting.core.errors import StoreError
from qingting.store.atomic import storage_errors, sync_file, sync_folder, write_bytes
from qingting.store.digests import DigestMemory

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Artifact:
    """A finished stage's folder and what its manifest says."""

    key: str
    folder: Path
    manifest: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """Return the digest of all outputs; it changes when any byte does."""
        return digest_of(self.manifest["outputs"])

    def __truediv__(self, name: str) -> Path:
        return self.folder / name


class ArtifactStore:
    """The artifacts of one work folder."""

    def __init__(self, work: Path, *, writable: bool = True) -> None:
        self.work = work
        if writable:
            with storage_errors(work):
                for name in ("attempts", "artifacts", "state"):
                    (work / name).mkdir(parents=True, exist_ok=True)
        self.digests = DigestMemory(work / "digests.json")

    @classmethod
    def for_reading(cls, work: Path) -> ArtifactStore:
        """Return the store of a work folder that may not exist yet; nothing is written."""
        return cls(work, writable=False)

    def artifact_keys(self) -> list[str]:
        """Return the keys of all artifact folders, finished or not."""
        try:
            return sorted(path.name for path in (self.work / "artifacts").iterdir())
        except FileNotFoundError:
            return []

    def new_attempt(self) -> Path:
        """Return a fresh empty folder for one attempt at a stage."""
        taken = [int(p.name) for p in (self.work / "attempts").iterdir() if p.name.isdigit()]
        number = max(taken, default=0) + 1
        while True:
            folder = self.work / "attempts" / str(number)
            try:
                with storage_errors(folder):
                    folder.mkdir()
            except FileExistsError:
                number += 1
                continue
            (folder / "output").mkdir()
            return folder

    def clear_attempts(self) -> None:
        """Remove what killed or failed attempts left; call only while holding the lock."""
        for folder in (self.work / "attempts").iterdir():
            shutil.rmtree(folder, ignore_errors=True)
        for folder in (self.work / "state").iterdir():
            # a kill between the rename of an artifact and the end of its state
            if (self.work / "artifacts" / folder.stem / MANIFEST).is_file():
                self.forget_state(folder.stem)

    def state(self, key: str, *, made_from: str) -> Path:
        """Return the folder that survives a kill for the stage of this key.

        ``made_from`` is a digest of the input bytes; a state made from others is dropped, for the
        same key may come to hold other bytes (an artifact that was damaged and made anew).
        """
        folder, note = self.work / "state" / key, self.work / "state" / f"{key}.inputs"
        with storage_errors(folder):
            if not note.is_file() or note.read_text() != made_from:
                shutil.rmtree(folder, ignore_errors=True)
                write_bytes(note, made_from.encode())
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def forget_state(self, key: str) -> None:
        """Drop the resumable state of a stage."""
        shutil.rmtree(self.work / "state" / key, ignore_errors=True)
        (self.work / "state" / f"{key}.inputs").unlink(missing_ok=True)

    def find(self, key: str) -> Artifact | None:
        """Return the artifact of a key, or None; it exists when its manifest does."""
        folder = self.work / "artifacts" / key
        try:
            manifest = orjson.loads((folder / MANIFEST).read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except orjson.JSONDecodeError as error:
            raise StoreError(f"{folder / MANIFEST}: damaged ({error}); delete {folder}") from error
        return Artifact(key, folder, manifest)

    def damage(self, artifact: Artifact) -> str | None:
        """Return why an artifact's files are not those its manifest records, or None."""
        for name, expected in artifact.manifest["outputs"].items():
            path = artifact.folder / name
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != expected["n_bytes"]:
                return f"{name} has another size than recorded"
            if self.digests.of_file(path) != expected["sha256"]:
                return f"{name} was changed after it was written"
        return None

    def discard(self, artifact: Artifact) -> None:
        """Remove an artifact: the manifest first, so that half of one never counts."""
        (artifact.folder / MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(artifact.folder, ignore_errors=True)

    def commit(self, attempt: Path, key: str, manifest: Mapping[str, Any]) -> Artifact:
        """Turn ``attempt/output`` into the artifact of ``key``: files, manifest, then one rename."""
        output = attempt / "output"
        outputs: dict[str, dict[str, Any]] = {}
        with storage_errors(output):
            for path in sorted(p for p in output.rglob("*") if p.is_file()):
                sync_file(path)
                outputs[str(path.relative_to(output))] = {
                    "n_bytes": path.stat().st_size,
                    "sha256": self.digests.of_file(path),
                }
            complete = {**manifest, "key": key, "outputs": outputs}
            with (output / MANIFEST).open("wb") as file:
                file.write(orjson.dumps(complete, option=orjson.OPT_INDENT_2))
                file.flush()
                os.fsync(file.fileno())
            sync_folder(output)
            folder = self.work / "artifacts" / key
            if folder.exists():  # the leavings of a discarded artifact
                shutil.rmtree(folder)
            os.rename(output, folder)
            sync_folder(folder.parent)
        for name, record in outputs.items():
            self.digests.remember(folder / name, record["sha256"])
        shutil.rmtree(attempt, ignore_errors=True)
        self.forget_state(key)
        return Artifact(key, folder, complete)
