"""Merge one arm's adapter into a model of its own and prove that it is the same model."""

from __future__ import annotations

from qingting.engines.protocol import ExportJob, Runtime
from qingting.stages.base import Context, Summary


def run(context: Context) -> Summary:
    """Write ``model/`` and ``proofs.json``."""
    config = context.config
    job = ExportJob(
        output=str(context.output),
        state=str(context.state),
        runtime=Runtime(**config["runtime"]),
        checkpoint=str(context.stage.sources["model"]),
        task=context.task,
        labels=context.labels,
        trained=str(context.inputs["train"].folder),
        probes=str(context.inputs["data"] / "probes.jsonl"),
        dtype=config["dtype"],
    )
    return context.launch(config["engine"], job).result
