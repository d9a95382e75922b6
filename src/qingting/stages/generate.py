"""Have one arm answer held-out prompts, or knowledge questions in words."""

from __future__ import annotations

from qingting.engines.protocol import GenerateJob, Runtime
from qingting.stages.base import Context, Summary


def run(context: Context) -> Summary:
    """Write ``responses.jsonl``, one answer per prompt, in the prompts' order."""
    config = context.config
    job = GenerateJob(
        output=str(context.output),
        state=str(context.state),
        runtime=Runtime(**config["runtime"]),
        checkpoint=str(context.model_folder()),
        task=context.task,
        prompts=str(context.inputs["prompts"] / "prompts.jsonl"),
        max_new_tokens=config["max_new_tokens"],
        min_new_tokens=config["min_new_tokens"],
        temperature=config["temperature"],
        top_p=config["top_p"],
        repetition_penalty=config["repetition_penalty"],
        batch_size=config["batch_size"],
        seed=config["seed"],
    )
    return context.launch(config["engine"], job).result
