"""Count the tokens of every dialogue under one model's template."""

from __future__ import annotations

from qingting.engines.protocol import MeasureJob, Runtime
from qingting.stages.base import Context, Summary


def run(context: Context) -> Summary:
    """Write ``lengths.jsonl``: where each message ends, in tokens."""
    data = context.inputs["data"]
    job = MeasureJob(
        output=str(context.output),
        state=str(context.state),
        runtime=Runtime(),
        checkpoint=str(context.stage.sources["model"]),
        task=context.task,
        dialogues=tuple(str(data / f"{side}.jsonl") for side in ("train", "validation")),
    )
    return context.launch(context.config["engine"], job).result
