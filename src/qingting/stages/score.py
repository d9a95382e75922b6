"""Measure how likely one arm finds the reference answers and the options of questions."""

from __future__ import annotations

from qingting.engines.protocol import Runtime, ScoreJob
from qingting.stages.base import Context, Summary


def run(context: Context) -> Summary:
    """Write ``references.jsonl`` and ``choices.jsonl``."""
    config = context.config
    knowledge = context.inputs.get("knowledge")
    job = ScoreJob(
        output=str(context.output),
        state=str(context.state),
        runtime=Runtime(**config["runtime"]),
        checkpoint=str(context.model_folder()),
        task=context.task,
        references=str(context.inputs["data"] / "test.jsonl") if config["references"] else None,
        choices=str(knowledge / "choices.jsonl") if knowledge is not None else None,
    )
    return context.launch(config["engine"], job).result
