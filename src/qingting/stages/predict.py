"""Have one arm sort the held-out texts."""

from __future__ import annotations

from qingting.engines.protocol import PredictJob, Runtime
from qingting.stages.base import Context, Summary


def run(context: Context) -> Summary:
    """Write ``predictions.jsonl``: the probability of each label, in the texts' order."""
    config = context.config
    job = PredictJob(
        output=str(context.output),
        state=str(context.state),
        runtime=Runtime(**config["runtime"]),
        checkpoint=str(context.model_folder()),
        task=context.task,
        texts=str(context.inputs["data"] / "test.jsonl"),
        labels=context.labels,
        max_length=config["max_length"],
        batch_size=config["batch_size"],
    )
    return {"labels": list(context.labels), **context.launch(config["engine"], job).result}
