"""Device, precision, attention and micro-batch, settled before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

from qingting.core.errors import Problem
from qingting.engines.hardware import Gpu, resolve_device, resolve_precision, visible_gpus
from qingting.engines.protocol import Runtime
from qingting.models.memory import PLANNED_KINDS, TrainingSetup, estimate_training
from qingting.models.memory_plan import MicroBatchPlan, choose_micro_batch
from qingting.spec.experiment import Resources
from qingting.spec.recipe import Recipe

_CPU_MICRO_BATCH = 4
_CUDA_MICRO_BATCH = 8
_CUDA_TOKENS = 24576
"""Tokens of a forward pass beyond which a GPU gains nothing from more rows."""


def resolve_runtime(resources: Resources, recipe: Recipe) -> Runtime:
    """Return what ``auto`` means on this machine; nothing here imports torch."""
    device = resolve_device() if resources.device == "auto" else resources.device
    precision = resolve_precision(device) if recipe.precision == "auto" else recipe.precision
    attention = recipe.attention
    if attention == "auto":
        flash = device == "cuda" and find_spec("flash_attn") is not None
        attention = "flash_attention_2" if flash else "sdpa"
    return Runtime(
        device=device, precision=precision, attention=attention, n_threads=resources.n_threads
    )


def resolve_micro_batch(recipe: Recipe, runtime: Runtime) -> int:
    """Return rows per forward pass; the effective batch does not depend on it."""
    if recipe.micro_batch != "auto":
        return recipe.micro_batch
    largest = _CUDA_MICRO_BATCH if runtime.device == "cuda" else _CPU_MICRO_BATCH
    return min(largest, recipe.effective_batch)


def resolve_gradient_checkpointing(recipe: Recipe, runtime: Runtime) -> bool:
    """Return whether activations are recomputed; ``auto`` saves memory where it is scarce."""
    if recipe.gradient_checkpointing == "auto":
        return runtime.device == "cuda"
    return recipe.gradient_checkpointing


def resolve_memory(
    recipe: Recipe,
    runtime: Runtime,
    *,
    config: Mapping[str, Any] | None,
    gpus: tuple[Gpu, ...] | None = None,
) -> MicroBatchPlan:
    """Return rows per forward pass and whether activations are recomputed.

    What the recipe leaves to ``auto`` is chosen on a GPU by the model's ``config`` and the memory
    of the smallest visible card; on the CPU, and for models that the planner does not know, by the
    plain rules above. The effective batch does not depend on either.
    """
    rows = resolve_micro_batch(recipe, runtime)
    is_on = resolve_gradient_checkpointing(recipe, runtime)
    is_open = "auto" in (recipe.micro_batch, recipe.gradient_checkpointing)
    cards = visible_gpus() if gpus is None and runtime.device == "cuda" else gpus or ()
    is_known = config is not None and config.get("model_type") in PLANNED_KINDS
    if runtime.device != "cuda" or not (is_open and is_known and cards) or recipe.lora.experts:
        return MicroBatchPlan(rows, is_on)
    setup = TrainingSetup(
        method=recipe.method,
        length=recipe.max_length,
        lora_rank=recipe.lora.rank,
        lora_dropout=recipe.lora.dropout,
        precision=runtime.precision,
    )
    fixed = recipe.gradient_checkpointing
    memory_gib = min(card.memory_gib for card in cards)
    if recipe.micro_batch != "auto":
        without = replace(setup, micro_batch=rows, gradient_checkpointing=False)
        return MicroBatchPlan(rows, estimate_training(config, without).high_gib > memory_gib)
    n_rows = min(recipe.effective_batch, max(rows, _CUDA_TOKENS // recipe.max_length))
    return choose_micro_batch(
        config,
        setup,
        memory_gib,
        n_rows=n_rows,
        gradient_checkpointing=None if fixed == "auto" else fixed,
    )


def runtime_obstacles(place: str, recipe: Recipe, runtime: Runtime) -> list[Problem]:
    """Return what keeps a recipe from running on this machine."""
    problems: list[Problem] = []
    if runtime.device == "cuda":
        if resolve_device() != "cuda":
            problems.append(
                Problem("resources.device", "this asks for a CUDA GPU and this machine has none")
            )
        return problems
    if runtime.attention == "flash_attention_2":
        problems.append(
            Problem(
                f"{place}.attention", "flash_attention_2 needs a CUDA GPU; this machine has none"
            )
        )
    return problems
