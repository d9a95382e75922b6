"""Take the judgments that people gave, as an immutable snapshot; wait while there is none."""

from __future__ import annotations

from collections.abc import Mapping

from qingting.core.errors import WaitingError
from qingting.judging.run_studies import StudyPlace, read_folder, readable_digest
from qingting.judging.snapshot import read_snapshot
from qingting.stages.base import Context, Stage, Summary, read_json, write_json
from qingting.store.artifacts import Artifact


def outside(stage: Stage, inputs: Mapping[str, Artifact]) -> Mapping[str, str]:
    """Return the digest of the snapshot that may be read now; it enters the key.

    Raises:
        WaitingError: people have not judged yet.
    """
    if "study" not in inputs:
        raise WaitingError("the study is made first, then people judge", "study")
    place: StudyPlace = stage.settings["place"]
    return {"snapshot": readable_digest(place, read_json(inputs["study"] / "study.json")["study"])}


def run(context: Context) -> Summary:
    """Write ``judgments.json``: the snapshot's digest and how much it holds.

    The judgments stay in the snapshot's folder, the one place where a withdrawal can reach them.
    """
    place: StudyPlace = context.stage.settings["place"]
    study = read_json(context.inputs["study"] / "study.json")["study"]
    digest = context.source_digests["snapshot"]
    data = read_snapshot(read_folder(place, study, digest))
    record = {
        "study": study,
        "snapshot": digest,
        "state": data.study["state"],
        "n_judgments": sum(row["role"] == "main" for row in data.judgments),
        "n_raters": len({row["rater"] for row in data.judgments}),
    }
    write_json(context.output / "judgments.json", record)
    return record
