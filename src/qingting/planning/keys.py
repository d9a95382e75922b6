"""Keys: a stage's result is found again when nothing that changes it has changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qingting.core.canonical import canonical_json, digest_of
from qingting.stages.base import Stage


def key_of(stage: Stage, *, inputs: Mapping[str, str], sources: Mapping[str, str]) -> str:
    """Return the sha256 that names a stage's artifact.

    Args:
        stage: the stage.
        inputs: role → key of the input, or what ``without_key`` gives for one that there is not.
        sources: role → digest of the file or folder read.
    """
    return digest_of(ingredients(stage, inputs=inputs, sources=sources))


def without_key(waits: str, reason: str) -> str:
    """Return what stands in a key for an optional input that waits for people, or that failed."""
    return f"waiting:{waits}" if waits else f"failed:{reason}"


def ingredients(
    stage: Stage, *, inputs: Mapping[str, str], sources: Mapping[str, str]
) -> dict[str, Any]:
    """Return everything that the key is made of; kept in the manifest to explain a miss."""
    return {
        "kind": stage.kind,
        "version": stage.version,
        "config": dict(stage.config),
        "versions": dict(stage.versions),
        "inputs": dict(inputs),
        "sources": dict(sources),
    }


def explain(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return, in a few words, why a key differs from that of an earlier artifact."""
    if before["version"] != now["version"]:
        return f"the stage itself is newer (version {before['version']} → {now['version']})"
    reasons = []
    for name in ("config", "versions", "sources"):
        for key, old, new in _differences(before[name], now[name], ""):
            if name == "sources":
                reasons.append(f"{key} changed on disk" if old and new else f"{key} is read now")
            else:
                reasons.append(f"{key}: {_short(old)} → {_short(new)}")
    changed_inputs = [
        role for role in now["inputs"] if before["inputs"].get(role) != now["inputs"][role]
    ]
    if changed_inputs and not reasons:
        reasons.append(f"{', '.join(changed_inputs[:3])} will be new")
    return "; ".join(reasons[:3]) or "inputs differ"


def _differences(before: Any, now: Any, at: str) -> list[tuple[str, Any, Any]]:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        found = []
        for key in sorted({*before, *now}):
            inner = f"{at}.{key}" if at else str(key)
            found += _differences(before.get(key), now.get(key), inner)
        return found
    # JSON made lists of tuples
    return [] if canonical_json(before) == canonical_json(now) else [(at, before, now)]


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else text[:37] + "…"
