"""What a withdrawal reaches in a work folder: results made from judgments that are gone."""

from __future__ import annotations

from qingting.judging.run_studies import StudyPlace, superseded_among
from qingting.store.artifacts import Artifact, ArtifactStore


def forget_withdrawn(store: ArtifactStore, place: StudyPlace) -> int:
    """Remove every artifact that follows from a superseded snapshot; return how many.

    A rater who withdraws takes back what was said; the analysis and the reports that hold it go
    with it. The report is written anew by the run that calls this.

    Raises:
        StoreError: judgments were collected and their database is not there.
    """
    found = [store.find(key) for key in store.artifact_keys()]
    artifacts = {artifact.key: artifact for artifact in found if artifact is not None}
    collected = {
        key: str(artifact.manifest["summary"]["snapshot"])
        for key, artifact in artifacts.items()
        if artifact.manifest["ingredients"]["kind"] == "collect"
    }
    if not collected:
        return 0
    gone = superseded_among(place, collected.values())
    following = _following({key for key, digest in collected.items() if digest in gone}, artifacts)
    for key in following:
        store.discard(artifacts[key])
    return len(following)


def _following(keys: set[str], artifacts: dict[str, Artifact]) -> set[str]:
    """Return the keys and those of all artifacts that were made from them, however far on."""
    reached = set(keys)
    while True:
        more = {
            key
            for key, artifact in artifacts.items()
            if key not in reached
            and reached & set(artifact.manifest["ingredients"]["inputs"].values())
        }
        if not more:
            return reached
        reached |= more
