"""What GPUs offer, from their makers' data sheets, and how fast a model computes on them.

Rates are dense bf16 products with fp32 sums, as the data sheets state them *without* sparsity.
``memory_gib`` is about what CUDA shows of the memory, a little less than what is advertised.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from qingting.core.errors import SpecificationError, did_you_mean
from qingting.models.memory import Method, count_parameters, shape_of


class DeviceSpec(NamedTuple):
    """One GPU: memory in GiB, dense bf16 TFLOP/s, memory bandwidth in GB/s, where that is stated."""

    name: str
    memory_gib: float
    bf16_tflops: float
    bandwidth_gb_s: float
    source: str


DEVICES = (
    DeviceSpec("B200-180GB", 178.0, 2250, 7700, "NVIDIA HGX B200 data sheet (2025), per GPU"),
    DeviceSpec("H200-141GB", 139.8, 989, 4800, "NVIDIA H200 data sheet (2024)"),
    DeviceSpec("H100-80GB", 79.1, 989, 3350, "NVIDIA H100 data sheet (2023), SXM"),
    DeviceSpec("H100-PCIE-80GB", 79.1, 756, 2000, "NVIDIA H100 data sheet (2023), PCIe"),
    DeviceSpec("A100-80GB", 79.2, 312, 2039, "NVIDIA A100 data sheet (2021), SXM"),
    DeviceSpec("A100-40GB", 39.4, 312, 1555, "NVIDIA A100 data sheet (2021), SXM"),
    DeviceSpec("L40S-48GB", 44.4, 362, 864, "NVIDIA L40S data sheet (2023)"),
    DeviceSpec("L4-24GB", 22.0, 121, 300, "NVIDIA L4 data sheet (2023)"),
    DeviceSpec("A10-24GB", 22.0, 125, 600, "NVIDIA A10 data sheet (2021)"),
    DeviceSpec("RTX-A6000-48GB", 47.4, 155, 768, "NVIDIA Ampere GA102 white paper (2021)"),
    DeviceSpec("RTX-4090-24GB", 23.5, 165, 1008, "NVIDIA Ada GPU architecture white paper (2023)"),
    DeviceSpec("RTX-3090-24GB", 23.6, 71, 936, "NVIDIA Ampere GA102 white paper (2021)"),
)

MFU = (0.25, 0.40, 0.55)
"""Share of the peak rate that training uses: low, middle, high. An assumption; PaLM reports 0.46
(Chowdhery et al. 2022, §4.1), and fine-tuning in short micro-batches is usually below that."""

BANDWIDTH_USE = (0.4, 0.6, 0.8)
"""Share of the bandwidth that decoding uses: low, middle, high. An assumption."""


class Rate(NamedTuple):
    """Tokens a second: low, middle, high."""

    low: float
    middle: float
    high: float


def find_device(name: str) -> DeviceSpec:
    """Return the GPU called ``name``, in any case, with or without its memory.

    Raises:
        SpecificationError: No GPU, or more than one, is called so.
    """
    wanted = name.strip().upper().replace(" ", "-").replace("_", "-")
    exact = [one for one in DEVICES if one.name == wanted]
    begun = [one for one in DEVICES if one.name.startswith(wanted + "-")]
    found = exact or begun
    if len(found) == 1:
        return found[0]
    known = [one.name for one in DEVICES]
    if found:
        raise SpecificationError(
            f"--gpu {name!r} may be {' or '.join(one.name for one in found)}: say which."
        )
    raise SpecificationError(
        f"--gpu: no GPU {name!r} is known.{did_you_mean(wanted, known)} Known: {', '.join(known)}; "
        "for another one give --gpu-memory-gib."
    )


def training_flops_per_token(
    architecture: Any, *, method: Method, length: int, gradient_checkpointing: bool
) -> float:
    """Return the floating-point operations of one training step for each token.

    A product with N weights takes 2N forward, 2N for the gradient of its input, and 2N for that of
    the weights where those are trained; checkpointing repeats the forward pass of the blocks
    (Kaplan et al. 2020, §2.1; Korthikanti et al. 2022, §5). Tables that are looked up do not count;
    attention sees half of a dialogue on average.
    """
    s = shape_of(architecture)
    counts = count_parameters(s)
    head = s.vocab_size * s.hidden_size
    blocks = counts.active - counts.embedding
    passes = 2 + (1 if method == "full" else 0) + (1 if gradient_checkpointing else 0)
    head_passes = 3 if method == "full" else 2
    attention = 2 * s.n_layers * s.query_size * length  # forward: two products over length / 2 keys
    attention_passes = 3 + (1 if gradient_checkpointing else 0)
    return 2 * blocks * passes + 2 * head * head_passes + attention * attention_passes


def training_rate(
    architecture: Any,
    device: DeviceSpec,
    *,
    method: Method,
    length: int,
    gradient_checkpointing: bool,
) -> Rate:
    """Return tokens trained on in a second, at the assumed shares of the peak rate."""
    flops = training_flops_per_token(
        architecture, method=method, length=length, gradient_checkpointing=gradient_checkpointing
    )
    return Rate(*(device.bf16_tflops * 1e12 * share / flops for share in MFU))


def decoding_rate(
    architecture: Any,
    device: DeviceSpec,
    *,
    concurrency: int,
    context_length: int,
    weight_bytes: float = 2.0,
) -> Rate:
    """Return tokens generated in a second by all dialogues together.

    A step reads the weights once and every dialogue's cache, half full on average; or it is bound
    by its products, whichever takes longer.
    """
    s = shape_of(architecture)
    counts = count_parameters(s)
    experts_hit = counts.experts
    if s.n_experts:
        missed = (1 - s.n_active_experts / s.n_experts) ** concurrency
        experts_hit = round(counts.experts * (1 - missed))
    read = weight_bytes * (counts.linear + experts_hit) + 2 * s.vocab_size * s.hidden_size
    cache = 2 * s.n_layers * s.kv_size * 2 * context_length / 2 * concurrency
    computed = 2 * counts.active * concurrency / (device.bf16_tflops * 1e12)
    rates = []
    for share in BANDWIDTH_USE:
        step_s = max((read + cache) / (device.bandwidth_gb_s * 1e9 * share), computed / share)
        rates.append(concurrency / step_s)
    return Rate(*rates)
