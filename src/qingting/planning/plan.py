"""What a run would do: every stage with its key, and whether it is done already, or why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from qingting.core.errors import DataError, NotFoundError, StoreError, WaitingError
from qingting.planning.build import Blueprint
from qingting.planning.keys import explain, ingredients, key_of, without_key
from qingting.stages.base import Stage
from qingting.store.artifacts import MANIFEST, Artifact, ArtifactStore


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """One stage and what would happen to it; ``reason`` is in plain words.

    ``waits`` is the code of what a waiting stage waits for, empty otherwise.
    """

    stage: Stage
    key: str | None
    status: Literal["cached", "to do", "blocked", "waiting"]
    reason: str
    waits: str = ""

    @property
    def as_input(self) -> str:
        """Return what stands for it in the key of a stage that may do without."""
        return self.key or without_key(self.waits, "blocked")


def make_plan(blueprint: Blueprint, store: ArtifactStore) -> tuple[PlannedStage, ...]:
    """Return every stage's status against what the store holds; runs nothing."""
    latest = latest_by_stage(store)
    planned: dict[str, PlannedStage] = {}
    for stage in blueprint.stages:
        planned[stage.id] = _plan_stage(stage, planned, store, latest)
    return tuple(planned.values())


def _plan_stage(
    stage: Stage,
    planned: Mapping[str, PlannedStage],
    store: ArtifactStore,
    latest: Mapping[str, Mapping[str, Any]],
) -> PlannedStage:
    before = {role: planned[identity] for role, identity in stage.inputs.items()}
    for role, earlier in before.items():
        if earlier.key is None and role not in stage.optional:
            status: Literal["waiting", "blocked"] = "waiting" if earlier.waits else "blocked"
            return PlannedStage(stage, None, status, f"needs {earlier.stage.id}", earlier.waits)
    try:
        found = {r: store.find(e.key) for r, e in before.items() if e.key is not None}
        there = {role: artifact for role, artifact in found.items() if artifact is not None}
        sources = source_digests(stage, store, there)
    except WaitingError as error:
        return PlannedStage(stage, None, "waiting", str(error), error.code)
    except (NotFoundError, DataError, StoreError) as error:
        return PlannedStage(stage, None, "blocked", str(error))
    inputs = {role: earlier.as_input for role, earlier in before.items()}
    key = key_of(stage, inputs=inputs, sources=sources)
    first = [p.stage.id for p in before.values() if p.status == "to do"]
    artifact = store.find(key)
    if artifact is not None and not first:
        mismatch = stale(artifact, {r: store.find(p.key or "") for r, p in before.items()}, store)
        if mismatch is None:
            return PlannedStage(stage, key, "cached", "")
        return PlannedStage(stage, key, "to do", mismatch)
    if artifact is not None:
        return PlannedStage(stage, key, "to do", f"{first[0]} runs first, then this may be cached")
    if stage.id not in latest:
        return PlannedStage(stage, key, "to do", "never run")
    now = ingredients(stage, inputs=inputs, sources=sources)
    return PlannedStage(stage, key, "to do", explain(latest[stage.id], now))


def source_digests(
    stage: Stage, store: ArtifactStore, inputs: Mapping[str, Artifact]
) -> dict[str, str]:
    """Return the digest of everything a stage reads from outside the work folder.

    Raises:
        NotFoundError: a model is not on this machine yet.
        WaitingError: people have to do something first.
    """
    digests = dict(stage.outside(inputs))
    for role, path in stage.sources.items():
        if str(path).startswith("/not-fetched/"):
            raise NotFoundError(f"{path.name}: not on this machine yet")
        digests[role] = store.digests.of_tree(path)
    return digests


def stale(
    artifact: Artifact, inputs: Mapping[str, Artifact | None], store: ArtifactStore
) -> str | None:
    """Return why an artifact must not be used, or None: it and its inputs are as recorded."""
    damage = store.damage(artifact)
    if damage is not None:
        return f"its files were touched: {damage}"
    for role, earlier in inputs.items():
        recorded = artifact.manifest["input_digests"].get(role)
        actual = earlier.digest if earlier is not None else None
        if recorded != actual:
            return f"{role} holds other bytes than those it was made from"
    return None


def latest_by_stage(store: ArtifactStore) -> dict[str, Mapping[str, Any]]:
    """Return, per stage id, the ingredients of the newest artifact."""
    newest: dict[str, tuple[float, Mapping[str, Any]]] = {}
    for key in store.artifact_keys():
        folder = store.work / "artifacts" / key
        try:
            status = (folder / MANIFEST).stat()
            manifest = orjson.loads((folder / MANIFEST).read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            continue
        except orjson.JSONDecodeError as error:
            raise StoreError(f"{folder / MANIFEST}: damaged ({error}); delete {folder}") from error
        identity = manifest["stage"]
        if identity not in newest or status.st_mtime > newest[identity][0]:
            newest[identity] = (status.st_mtime, manifest["ingredients"])
    return {identity: manifest for identity, (_, manifest) in newest.items()}
