"""A published checkpoint → a folder that loads natively: the whole of it, in order."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from qingting.core.errors import ModelError
from qingting.models.convert.layouts import plan_conversion
from qingting.models.convert.plan import Plan, TargetTypes
from qingting.models.convert.shards import DTYPES, OutputShard, index_of
from qingting.models.convert.source import (
    Checkpoint,
    dominant_dtype,
    open_checkpoint,
    read_json,
)
from qingting.models.convert.streaming import (
    Progress,
    check_destination,
    check_room,
    conversion_key,
    convert_weights,
    planned_shards,
    publish,
    work_folder,
)
from qingting.models.convert.tokenizer_files import as_json, tokenizer_files

RECORD = "qingting.json"
"""What a converted folder says about itself, beside config.json."""

LICENCE_FILES = ("LICENSE", "LICENSE.txt", "MODEL_LICENSE", "NOTICE", "USAGE_POLICY")


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a finished conversion did.

    ``max_logit_difference`` is that of ``--verify`` and None without it.
    """

    source: str
    destination: str
    layout: str
    architecture: str
    dtype: str
    n_tensors: int
    n_shards: int
    n_bytes_read: int
    n_bytes_written: int
    seconds: float
    max_logit_difference: float | None = None

    def to_record(self) -> dict[str, Any]:
        """Return the fields, for JSON."""
        return asdict(self)


def convert(
    source: Path,
    destination: Path,
    *,
    dtype: str | None = None,
    verify: bool = False,
    force: bool = False,
    on_progress: Progress = lambda done, total: None,
    shard_limit_bytes: int | None = None,
) -> Conversion:
    """Convert a checkpoint and return what was done; the destination is whole or not there.

    Args:
        source: A folder as published.
        destination: The folder to make.
        dtype: ``float32``, ``bfloat16`` or ``float16`` for every tensor. Where not given, the
            source's own, and float32 for what the conversion computes (Baichuan2's output matrix).
        verify: Compare the converted weights, layer by layer, with reference arithmetic.
        force: Replace a model that stands at the destination.
        on_progress: Told the bytes written so far and in all.
        shard_limit_bytes: The largest output file; 2 GB where not given.

    Raises:
        ModelError: the source cannot be converted, or the result fails verification.
        StoreError: the destination cannot be written.
    """
    began = time.monotonic()
    check_destination(source, destination, force=force)
    config = read_json(source / "config.json")
    checkpoint = open_checkpoint(source)
    plan = plan_conversion(config, checkpoint)
    dtype_name = _dtype(dtype, config, plan, checkpoint)
    types = TargetTypes(dtype_name, () if dtype else plan.float32_targets)
    tokenizer = tokenizer_files(source, plan)
    shards = planned_shards(checkpoint, plan, types, limit_bytes=shard_limit_bytes)
    check_room(destination, sum(shard.n_bytes for shard in shards))
    difference: float | None = None
    with work_folder(destination, conversion_key(checkpoint, plan, types)) as folder:
        written = convert_weights(checkpoint, shards, folder, types=types, on_progress=on_progress)
        if verify:
            from qingting.models.convert.verification import verify_conversion

            difference = verify_conversion(checkpoint, plan, shards, folder, types=types)
        small = _small_files(source, config, plan, shards, dtype_name)
        small["generation_config.json"] = as_json({**plan.generation, **tokenizer.generation})
        publish(folder, destination, {**small, **tokenizer.contents})
    return Conversion(
        source=str(source),
        destination=str(destination),
        layout=plan.layout,
        architecture=plan.config["architectures"][0],
        dtype=dtype_name,
        n_tensors=sum(len(step.targets) for step in plan.steps),
        n_shards=len(shards),
        n_bytes_read=checkpoint.n_bytes(),
        n_bytes_written=written,
        seconds=time.monotonic() - began,
        max_logit_difference=difference,
    )


def _dtype(asked: str | None, config: Mapping[str, Any], plan: Plan, checkpoint: Checkpoint) -> str:
    if asked is not None and asked not in DTYPES:
        raise ModelError(f"dtype {asked!r}: one of {', '.join(DTYPES)}")
    if asked is not None:
        return asked
    if plan.layout == "GPT-OSS MXFP4":
        return "bfloat16"
    said = config.get("torch_dtype", config.get("dtype"))
    held = dominant_dtype(checkpoint.tensors.values())
    return next((name for name in (held, said) if name in DTYPES), "float32")


def _small_files(
    source: Path,
    config: Mapping[str, Any],
    plan: Plan,
    shards: list[OutputShard],
    dtype_name: str,
) -> dict[str, bytes]:
    record = {
        "converted_by": "qingting models convert",
        "layout": plan.layout,
        "source_architecture": next(iter(config.get("architectures") or []), None),
        "dtype": dtype_name,
        **plan.record,
    }
    files = {
        "config.json": as_json({**plan.config, "dtype": dtype_name}),
        RECORD: as_json(record),
    }
    if len(shards) > 1:
        files["model.safetensors.index.json"] = as_json(index_of(shards))
    for name in LICENCE_FILES:
        if (source / name).is_file():
            files[name] = (source / name).read_bytes()
    return files
