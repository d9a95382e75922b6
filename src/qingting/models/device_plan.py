"""What a model takes on a device, use by use: the rows that ``qingting models plan`` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from qingting.models.devices import DeviceSpec, Rate, decoding_rate, training_rate
from qingting.models.memory import (
    MemoryEstimate,
    Method,
    TrainingSetup,
    estimate_inference,
    estimate_training,
    shape_of,
)
from qingting.models.memory_plan import Verdict, largest_micro_batch, verdict

METHODS: tuple[Method, ...] = ("lora", "qlora", "full")


class Serving(NamedTuple):
    """How a model is served: dialogues at a time, and tokens of each."""

    concurrency: int = 8
    context_length: int = 4096


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One use of a model on a device.

    ``largest_micro_batch`` is None for inference, 0 where one row does not fit; ``tokens_per_s``
    is None where the device's rate is unknown.
    """

    use: str
    setup: TrainingSetup | None
    estimate: MemoryEstimate
    fits: Verdict | None
    largest_micro_batch: int | None
    tokens_per_s: Rate | None

    def hours(self, n_tokens: int) -> Rate | None:
        """Return hours for ``n_tokens`` (least, middle, most); None where the rate is unknown."""
        if self.tokens_per_s is None:
            return None
        low, middle, high = self.tokens_per_s
        return Rate(*(n_tokens / rate / 3600 for rate in (high, middle, low)))

    def to_record(self, n_tokens: int) -> dict[str, Any]:
        """Return the row as plain data, memory in GiB."""
        estimate, setup = self.estimate, self.setup
        parts = ("weights", "adapters", "gradients", "optimiser", "activations", "logits")
        record: dict[str, Any] = {
            "use": self.use,
            "fits": self.fits,
            "peak_gib": estimate.peak_gib,
            "low_gib": estimate.low_gib,
            "high_gib": estimate.high_gib,
            "allocated_gib": estimate.allocated_gib,
            "margin_gib": estimate.margin_gib,
            "moment": estimate.moment,
            "parts_gib": {
                name: getattr(estimate, name) / 2**30 for name in (*parts, "kv_cache")
            },
            "tokens_per_s": self.tokens_per_s._asdict() if self.tokens_per_s else None,
        }  # fmt: skip
        if setup is not None:
            hours = self.hours(n_tokens)
            record |= {
                "micro_batch": setup.micro_batch,
                "length": setup.length,
                "gradient_checkpointing": setup.gradient_checkpointing,
                "logits": setup.logits,
                "largest_micro_batch": self.largest_micro_batch,
                "n_tokens": n_tokens,
                "hours": {"least": hours.low, "middle": hours.middle, "most": hours.high}
                if hours
                else None,
            }
        return record


def plan_training(
    architecture: Any,
    setup: TrainingSetup,
    *,
    memory_gib: float | None = None,
    device: DeviceSpec | None = None,
) -> PlanRow:
    """Return what training by ``setup`` takes, and the largest micro-batch in ``memory_gib``."""
    estimate = estimate_training(architecture, setup)
    fits = largest = None
    if memory_gib is not None:
        fits = _fits(estimate, memory_gib)
        largest = largest_micro_batch(architecture, setup, memory_gib)
    rate = None
    if device is not None:
        rate = training_rate(
            architecture,
            device,
            method=setup.method,
            length=setup.length,
            gradient_checkpointing=setup.gradient_checkpointing,
        )
    checkpointing = "" if setup.gradient_checkpointing else ", no checkpointing"
    return PlanRow(f"train {setup.method}{checkpointing}", setup, estimate, fits, largest, rate)


def plan_inference(
    architecture: Any,
    serving: Serving,
    *,
    weight_bytes: float = 2.0,
    memory_gib: float | None = None,
    device: DeviceSpec | None = None,
) -> PlanRow:
    """Return what serving takes with weights of ``weight_bytes`` each."""
    estimate = estimate_inference(
        architecture,
        concurrency=serving.concurrency,
        context_length=serving.context_length,
        weight_bytes=weight_bytes,
    )
    rate = None
    if device is not None:
        rate = decoding_rate(
            architecture,
            device,
            concurrency=serving.concurrency,
            context_length=serving.context_length,
            weight_bytes=weight_bytes,
        )
    bits = "bf16" if weight_bytes == 2 else f"{8 * weight_bytes:.3g}-bit"
    fits = None if memory_gib is None else _fits(estimate, memory_gib)
    return PlanRow(f"serve {bits}", None, estimate, fits, None, rate)


def plan_uses(
    architecture: Any,
    setup: TrainingSetup,
    serving: Serving,
    *,
    methods: Sequence[Method] = METHODS,
    memory_gib: float | None = None,
    device: DeviceSpec | None = None,
) -> list[PlanRow]:
    """Return a row for each way to serve and train, with and without gradient checkpointing."""
    shape = shape_of(architecture)
    where: Mapping[str, Any] = {"memory_gib": memory_gib, "device": device}
    rows = [
        plan_inference(shape, serving, weight_bytes=weight_bytes, **where)
        for weight_bytes in (2.0, 0.5)
    ]
    for method in methods:
        for is_on in (True, False):
            one = replace(setup, method=method, gradient_checkpointing=is_on)
            rows.append(plan_training(shape, one, **where))
    return rows


def _fits(estimate: MemoryEstimate, memory_gib: float) -> Verdict:
    return verdict(estimate.low_gib, estimate.peak_gib, estimate.high_gib, memory_gib)
