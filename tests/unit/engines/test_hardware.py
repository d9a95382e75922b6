"""Precision and devices follow from what the machine says of itself."""

from __future__ import annotations

from pathlib import Path

from qingting.engines.hardware import (
    Gpu,
    read_cpu_flags,
    resolve_device,
    resolve_precision,
    visible_gpus,
)

SMI = "NVIDIA H200, 143771, 9.0\nTesla V100-SXM2-16GB, 16160, 7.0\n"


def test_bfloat16_needs_instructions_for_it() -> None:
    assert resolve_precision("cpu", cpu_flags=frozenset({"avx2", "avx512_bf16"})) == "bf16"
    assert resolve_precision("cpu", cpu_flags=frozenset({"amx_bf16"})) == "bf16"
    assert resolve_precision("cpu", cpu_flags=frozenset({"avx512f"})) == "fp32"


def test_old_gpus_compute_in_fp32() -> None:
    h200, v100 = Gpu("H200", 140, 9.0), Gpu("V100", 16, 7.0)
    assert resolve_precision("cuda", gpus=(h200,)) == "bf16"
    assert resolve_precision("cuda", gpus=(h200, v100)) == "fp32"
    assert resolve_device((h200,)) == "cuda" and resolve_device(()) == "cpu"


def test_visible_gpus_follow_the_environment() -> None:
    def query() -> str:
        return SMI

    assert [gpu.capability for gpu in visible_gpus({}, query)] == [9.0, 7.0]
    assert [gpu.name for gpu in visible_gpus({"CUDA_VISIBLE_DEVICES": "1"}, query)] == [
        "Tesla V100-SXM2-16GB"
    ]
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": ""}, query) == ()
    assert visible_gpus({}, lambda: "garbage\n") == ()


def test_flags_are_read_from_cpuinfo(tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nflags\t\t: fpu avx512_bf16\n\nflags\t\t: other\n")
    assert read_cpu_flags(path) == {"fpu", "avx512_bf16"}
    assert read_cpu_flags(tmp_path / "absent") == frozenset()
