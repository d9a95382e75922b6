"""What the machine can do, found out without importing torch: for planning."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

Device = Literal["cpu", "cuda"]
Precision = Literal["fp32", "bf16", "fp16"]

BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
"""Instructions that make bfloat16 products faster than fp32 ones on x86 (measured: 4.5 times on
AVX512-BF16, which makes a training step 2.3 times as fast); without them they are emulated."""

_BF16_CAPABILITY = 8.0  # NVIDIA Ampere


class Gpu(NamedTuple):
    """One NVIDIA GPU as ``nvidia-smi`` names it; memory in GiB, capability like 8.0."""

    name: str
    memory_gib: float
    capability: float


def resolve_device(gpus: tuple[Gpu, ...] | None = None) -> Device:
    """Return ``"cuda"`` where a GPU is visible, else ``"cpu"``."""
    return "cuda" if (visible_gpus() if gpus is None else gpus) else "cpu"


def resolve_precision(
    device: Device,
    *,
    cpu_flags: frozenset[str] | None = None,
    gpus: tuple[Gpu, ...] | None = None,
) -> Precision:
    """Return the fastest precision in which training is sound on this machine.

    bfloat16 wherever the hardware multiplies it natively; on older GPUs and CPUs fp32, since fp16
    would need loss scaling.
    """
    if device == "cuda":
        found = visible_gpus() if gpus is None else gpus
        is_native = bool(found) and min(gpu.capability for gpu in found) >= _BF16_CAPABILITY
        return "bf16" if is_native else "fp32"
    flags = read_cpu_flags() if cpu_flags is None else cpu_flags
    return "bf16" if flags & BF16_FLAGS else "fp32"


@lru_cache(maxsize=8)
def read_cpu_flags(path: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Return the instruction-set flags of the first processor; empty where they are not told."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


def visible_gpus(
    environment: Mapping[str, str] | None = None, query: Callable[[], str] | None = None
) -> tuple[Gpu, ...]:
    """Return the NVIDIA GPUs that a process started now would see, in order."""
    variables = os.environ if environment is None else environment
    allowed = variables.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None and allowed.strip() in ("", "-1"):
        return ()
    gpus = []
    for line in (query or _query_nvidia_smi)().splitlines():
        try:
            name, memory_mib, capability = (part.strip() for part in line.split(","))
            gpus.append(Gpu(name, float(memory_mib) / 1024, float(capability)))
        except ValueError:
            continue
    if allowed is None or not all(part.strip().isdigit() for part in allowed.split(",")):
        return tuple(gpus)
    chosen = [int(part) for part in allowed.split(",")]
    return tuple(gpus[index] for index in chosen if index < len(gpus))


@lru_cache(maxsize=1)
def _query_nvidia_smi() -> str:
    if shutil.which("nvidia-smi") is None:
        return ""
    command = ["nvidia-smi", "--query-gpu=name,memory.total,compute_cap"]
    try:
        done = subprocess.run(
            [*command, "--format=csv,noheader,nounits"], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
