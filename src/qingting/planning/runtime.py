"""Device, precision, attention and micro-batch, settled before anything starts."""

from __future__ import annotations

from importlib.util import find_spec

from qingting.core.errors import Problem
from qingting.engines.hardware import resolve_device, resolve_precision
from qingting.engines.protocol import Runtime
from qingting.spec.experiment import Resources
from qingting.spec.recipe import Recipe

_CPU_MICRO_BATCH = 4
_CUDA_MICRO_BATCH = 8


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
