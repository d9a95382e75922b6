"""Analyse the judgments of people: from a frozen snapshot, never from the live database."""

from __future__ import annotations

import orjson

from qingting.judging.analysis import analyse
from qingting.judging.run_studies import StudyPlace, read_folder
from qingting.judging.snapshot import read_snapshot
from qingting.report.judging_files import analysis_files
from qingting.report.judging_findings import study_findings
from qingting.stages.base import Context, Summary, read_json

FINDINGS = "findings.json"


def run(context: Context) -> Summary:
    """Write ``findings.json`` for the report, and the whole analysis in words and figures."""
    collected = read_json(context.inputs["judgments"] / "judgments.json")
    place: StudyPlace = context.stage.settings["place"]
    digest = collected["snapshot"]
    data = read_snapshot(read_folder(place, collected["study"], digest))
    result = analyse(data, digest=digest, seed=context.config["seed"])
    findings = study_findings(result)
    (context.output / FINDINGS).write_bytes(
        orjson.dumps(findings.model_dump(mode="json"), option=orjson.OPT_INDENT_2) + b"\n"
    )
    for name, content in analysis_files(result).items():
        (context.output / name).write_bytes(content)
    return {
        "snapshot": digest,
        "n_judgments": result.n_judgments,
        "n_raters": result.n_raters,
        "n_raters_left_out": findings.n_raters_left_out,
    }
