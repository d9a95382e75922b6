"""Train one arm on the common schedule."""

from __future__ import annotations

import shutil

import orjson

from qingting.core.errors import OutOfMemoryError
from qingting.engines.protocol import Runtime, TrainJob
from qingting.spec.recipe import Recipe
from qingting.stages.base import Context, Summary


def run(context: Context) -> Summary:
    """Write the adapter (or the whole model), its log and samples.

    Out of memory halves the micro-batch and starts the arm again; the effective batch stays.
    """
    config = context.config
    data, schedule = context.inputs["data"], context.inputs["schedule"]
    recipe = Recipe.model_validate_json(orjson.dumps(config["recipe"]))
    micro_batch = int(config["micro_batch"])
    while True:
        job = TrainJob(
            output=str(context.output),
            state=str(context.state),
            runtime=Runtime(**config["runtime"]),
            checkpoint=str(context.stage.sources["model"]),
            task=context.task,
            labels=context.labels,
            dialogues=str(data / "train.jsonl"),
            validation=str(data / "validation.jsonl"),
            schedule=str(schedule / f"schedule-{config['seed']}.json"),
            recipe=recipe,
            seed=config["seed"],
            micro_batch=micro_batch,
            gradient_checkpointing=config["gradient_checkpointing"],
            frozen_modules=tuple(config["frozen_modules"]),
        )
        try:
            outcome = context.launch(config["engine"], job)
        except OutOfMemoryError as error:
            if micro_batch == 1:
                raise OutOfMemoryError(
                    f"{error}; a micro-batch of one does not fit either: turn on gradient "
                    "checkpointing, shorten max_length, or use a smaller model"
                ) from error
            micro_batch //= 2
            context.emit(
                "note",
                message=f"out of memory: starting this arm again with micro-batch {micro_batch}, "
                f"effective batch {recipe.effective_batch} as before",
            )
            _empty(context)
        else:
            return {"method": recipe.method, "resolved": outcome.resolved, **outcome.result}


def _empty(context: Context) -> None:
    """Forget what the failed attempt left: another micro-batch rounds otherwise."""
    for folder in (context.state, context.output):
        shutil.rmtree(folder)
        folder.mkdir()
