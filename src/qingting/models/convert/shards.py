"""Safetensors files written tensor by tensor, the table of contents first.

Names, types and shapes are known before any number is, so a file's header can be written at once
and the numbers after it as they are made: no shard is ever held in memory.
Source: the safetensors format description (8 bytes of header length, JSON header, data).
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from qingting.core.errors import ModelError
from qingting.models.convert.plan import Step, TargetTypes, TensorSpec

if TYPE_CHECKING:
    from torch import Tensor, dtype

SHARD_LIMIT_BYTES = 2_000_000_000
_CAST_AT_ONCE = 16_000_000
"""Numbers converted to another type at a time."""

DTYPES = {"float32": ("F32", 4), "float16": ("F16", 2), "bfloat16": ("BF16", 2)}
"""Target types: their name in safetensors and bytes per number."""


class OutputShard(NamedTuple):
    """A file to write: its name, the steps that fill it, and its size when complete."""

    name: str
    steps: tuple[Step, ...]
    header: bytes
    n_bytes: int


def lay_out(
    steps: Sequence[Step], types: TargetTypes, *, limit_bytes: int = SHARD_LIMIT_BYTES
) -> list[OutputShard]:
    """Return the output files for steps in order, none larger than the limit.

    Only a tensor that is larger on its own has a file above it.
    """
    groups: list[list[Step]] = [[]]
    filled = 0
    for step in steps:
        size = sum(_n_bytes(target, types) for target in step.targets)
        overhead = 200 * (len(groups[-1]) + 1) * 3
        # A number must stand at a multiple of its size; only a computed float32 one may not.
        crooked = filled % max(DTYPES[types.of(target.name)][1] for target in step.targets)
        if groups[-1] and (crooked or filled + size + overhead > limit_bytes):
            groups.append([])
            filled = 0
        groups[-1].append(step)
        filled += size
    shards = []
    for number, group in enumerate(groups, start=1):
        one = len(groups) == 1
        name = "model.safetensors" if one else f"model-{number:05}-of-{len(groups):05}.safetensors"
        header = _header(group, types)
        data = sum(_n_bytes(target, types) for step in group for target in step.targets)
        shards.append(OutputShard(name, tuple(group), header, len(header) + data))
    return shards


def index_of(shards: Sequence[OutputShard]) -> dict[str, object]:
    """Return the index of several shards."""
    weight_map = {
        target.name: shard.name
        for shard in shards
        for step in shard.steps
        for target in step.targets
    }
    total = sum(shard.n_bytes - len(shard.header) for shard in shards)
    return {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}


def _n_bytes(spec: TensorSpec, types: TargetTypes) -> int:
    return prod(spec.shape) * DTYPES[types.of(spec.name)][1]


def _header(steps: Sequence[Step], types: TargetTypes) -> bytes:
    table: dict[str, object] = {"__metadata__": {"format": "pt"}}
    at = 0
    for step in steps:
        for target in step.targets:
            end = at + _n_bytes(target, types)
            table[target.name] = {
                "dtype": DTYPES[types.of(target.name)][0],
                "shape": list(target.shape),
                "data_offsets": [at, end],
            }
            at = end
    text = json.dumps(table, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def write_target(file: BinaryIO, parts: Iterator[Tensor], spec: TensorSpec, target: dtype) -> int:
    """Write one tensor's numbers and return how many bytes they took.

    Raises:
        ModelError: a number does not fit the target type.
    """
    written = n_numbers = 0
    for part in parts:
        for block in _blocks(part, target):
            cast = block.to(target)
            if cast.dtype != block.dtype:
                _check_range(block, cast, spec)
            data = cast.contiguous().reshape(-1)
            written += file.write(data.view(_byte_type()).numpy().data)
            n_numbers += data.numel()
    if n_numbers != prod(spec.shape):
        raise AssertionError(f"{spec.name}: made {n_numbers} numbers of {prod(spec.shape)}")
    return written


def _byte_type() -> dtype:
    import torch

    return torch.uint8


def _blocks(part: Tensor, target: dtype) -> Iterator[Tensor]:
    """Yield a part in pieces small enough that a converted copy costs little memory."""
    if part.dtype == target or part.numel() <= _CAST_AT_ONCE or part.dim() < 2:
        yield part
        return
    n_rows = max(1, _CAST_AT_ONCE * part.shape[0] // part.numel())
    yield from part.split(n_rows)  # type: ignore[no-untyped-call]


def _check_range(block: Tensor, cast: Tensor, spec: TensorSpec) -> None:
    import torch

    if bool((torch.isinf(cast) & torch.isfinite(block)).any()):
        raise ModelError(
            f"{spec.name}: holds numbers too large for {str(cast.dtype).removeprefix('torch.')}; "
            "choose --dtype bfloat16 or float32"
        )


def finish(file: BinaryIO, temporary: Path, final: Path) -> None:
    """Make a written file durable and give it its name."""
    file.flush()
    os.fsync(file.fileno())
    os.replace(temporary, final)
