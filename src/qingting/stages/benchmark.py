"""Time how one arm answers, while nothing else runs."""

from __future__ import annotations

from qingting.engines.protocol import BenchmarkJob, Runtime
from qingting.stages.base import Context, Summary


def run(context: Context) -> Summary:
    """Write ``benchmark.json``: time to first token, tokens per second, peak memory."""
    config = context.config
    job = BenchmarkJob(
        output=str(context.output),
        state=str(context.state),
        runtime=Runtime(**config["runtime"]),
        checkpoint=str(context.model_folder()),
        task=context.task,
        prompts=str(context.inputs["prompts"] / "prompts.jsonl"),
        batch_sizes=tuple(config["batch_sizes"]),
        n_new_tokens=config["n_new_tokens"],
        n_repeats=config["n_repeats"],
    )
    return context.launch(config["engine"], job).result
