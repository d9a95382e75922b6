"""Toy models of the six families, written once per session, and small jobs on them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from toys import FAMILIES, save_toy, toy_dialogues, write_dialogues
from transformers.utils import logging as transformers_logging

from qingting.engines.protocol import Runtime, TrainJob
from qingting.spec.recipe import LoraRecipe, Recipe

transformers_logging.disable_progress_bar()


@pytest.fixture(scope="session")
def toys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("toys")
    return {family: save_toy(family, root / family) for family in FAMILIES}


@pytest.fixture
def make_job(tmp_path: Path, toys: dict[str, Path]) -> Callable[..., TrainJob]:
    """Return a maker of training jobs: 16 dialogues, 8 a step, in fp32 unless told otherwise."""

    def make(
        family: str = "qwen2",
        *,
        name: str = "train",
        n_steps: int = 4,
        precision: str = "fp32",
        micro_batch: int = 1,
        gradient_checkpointing: bool = False,
        frozen_modules: tuple[str, ...] = (),
        **recipe: Any,
    ) -> TrainJob:
        trained, held_out = toy_dialogues(16), toy_dialogues(4, seed=9, prefix="v")
        steps = [[d.id for d in trained[i : i + 8]] for i in (0, 8)]
        steps = [steps[i % 2] for i in range(n_steps)]
        n_messages = {d.id: len(d.messages) for d in trained + held_out}
        folder = tmp_path / name
        (folder / "output").mkdir(parents=True)
        schedule = folder / "schedule.json"
        schedule.write_text(json.dumps({"steps": steps, "n_messages": n_messages}))
        settings = {
            "max_length": 300,
            "learning_rate": 1e-2,
            "log_every": 2,
            "validate_every": 2,
            "save_every": 2,
            "n_samples": 1,
        }
        return TrainJob(
            output=str(folder / "output"),
            state=str(folder / "state"),
            runtime=Runtime(precision=precision),  # type: ignore[arg-type]
            checkpoint=str(toys[family]),
            dialogues=write_dialogues(folder / "dialogues.jsonl", trained),
            validation=write_dialogues(folder / "validation.jsonl", held_out),
            schedule=str(schedule),
            recipe=Recipe(**(settings | recipe)),
            seed=1,
            micro_batch=micro_batch,
            gradient_checkpointing=gradient_checkpointing,
            frozen_modules=frozen_modules,
        )

    return make


@pytest.fixture
def expert_lora() -> LoraRecipe:
    return LoraRecipe(experts=True, dropout=0.0)
