"""From a memory budget to a micro-batch: what fits, and which settings are faster."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, NamedTuple

from qingting.models.memory import TrainingSetup, estimate_training, shape_of

_LARGEST = 4096
_LEAST_TOKENS = 4096
"""Tokens of a micro-batch that keep a GPU busy; below that, memory is better spent on rows."""

Verdict = Literal["yes", "tight", "no"]


class MicroBatchPlan(NamedTuple):
    """Rows in one forward pass, and whether activations are recomputed."""

    micro_batch: int
    gradient_checkpointing: bool


def verdict(low_gib: float, peak_gib: float, high_gib: float, memory_gib: float) -> Verdict:
    """Return whether a need fits: surely, only where fragmentation is mild, or not."""
    if high_gib <= memory_gib:
        return "yes"
    return "tight" if peak_gib <= memory_gib else "no"


def largest_micro_batch(
    architecture: Any, setup: TrainingSetup, memory_gib: float, *, is_cautious: bool = False
) -> int:
    """Return the most rows of ``setup.length`` tokens that fit; 0 where one does not.

    ``is_cautious`` leaves room for bad fragmentation.
    """
    shape = shape_of(architecture)

    def fits(rows: int) -> bool:
        estimate = estimate_training(shape, replace(setup, micro_batch=rows))
        return (estimate.high_gib if is_cautious else estimate.peak_gib) <= memory_gib

    if not fits(1):
        return 0
    low, high = 1, 2
    while high < _LARGEST and fits(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def choose_micro_batch(
    architecture: Any,
    setup: TrainingSetup,
    memory_gib: float,
    *,
    n_rows: int,
    gradient_checkpointing: bool | None = None,
) -> MicroBatchPlan:
    """Return the fastest setting that surely fits; the effective batch does not depend on it.

    Computing activations once instead of twice saves a quarter of the work or more, so checkpointing
    stays off where enough tokens for a busy GPU fit without it. Micro-batches are powers of two, at
    most ``n_rows``: a few megabytes more or less of memory then change nothing.

    Args:
        architecture: As :func:`~qingting.models.memory.shape_of` takes it.
        setup: How it is trained; its micro-batch and checkpointing are not looked at.
        memory_gib: What the device offers.
        n_rows: Most rows wanted.
        gradient_checkpointing: Fixed by the recipe; None to choose.
    """
    shape = shape_of(architecture)

    def largest(is_on: bool) -> int:
        rows = largest_micro_batch(
            shape, replace(setup, gradient_checkpointing=is_on), memory_gib, is_cautious=True
        )
        rows = min(rows, n_rows)
        return 1 << (rows.bit_length() - 1) if rows else 0

    if gradient_checkpointing is not None:
        return MicroBatchPlan(max(1, largest(gradient_checkpointing)), gradient_checkpointing)
    without = largest(False)
    enough = min(n_rows, max(1, -(-_LEAST_TOKENS // setup.length)))
    if without >= enough:
        return MicroBatchPlan(without, False)
    return MicroBatchPlan(max(1, largest(True)), True)
