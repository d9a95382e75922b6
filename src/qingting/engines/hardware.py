"""What this machine computes on, asked without importing torch: planning must stay quick."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Literal

Device = Literal["cpu", "cuda"]


@cache
def detect_device() -> Device:
    """Return ``cuda`` where the NVIDIA driver lists a GPU that this process may see."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return "cpu"
    if not Path("/proc/driver/nvidia/version").exists() and shutil.which("nvidia-smi") is None:
        return "cpu"
    try:
        listed = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return "cpu"
    return "cuda" if listed.returncode == 0 and "GPU 0" in listed.stdout else "cpu"


@cache
def cpu_flags() -> frozenset[str]:
    """Return the instruction sets of the processor, as Linux names them; empty elsewhere."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    for line in text.splitlines():
        if line.startswith("flags"):
            return frozenset(line.partition(":")[2].split())
    return frozenset()


def resolve_precision(device: Device) -> Literal["fp32", "bf16"]:
    """Return what ``auto`` computes in: bf16 on GPUs and where a CPU multiplies it in hardware.

    AMX and AVX512-BF16 multiply bf16 faster than fp32; without them bf16 is emulated and slower.
    """
    if device == "cuda":
        return "bf16"
    return "bf16" if cpu_flags() & {"amx_bf16", "avx512_bf16"} else "fp32"
