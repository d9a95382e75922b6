"""Train one small model with ``swift sft`` and say what it cost; imported by the other benchmarks.

    python benchmarks/swift_training.py --swift-python PATH --model FOLDER --template NAME \\
        --data MESSAGES.jsonl [--work FOLDER]

trains on the dialogues of a messages file in their order and prints tokens per CPU-second. ms-swift
is given every setting in which it differs from the native trainer, so that both do the same work:
the order of the data, the targets (``swift_templates.py``), AdamW without weight decay and with
β₂ = 0.999 (its own defaults: 0.1 and 0.95), no gradient checkpointing (its default recomputes every
activation), no reports. What it lacks on CPU is packing: that needs flash attention.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
PLUGINS = (str(HERE / "swift_templates.py"), str(HERE / "swift_clock.py"))
DTYPES = {"bf16": "bfloat16", "fp32": "float32"}

OFFLINE: Mapping[str, str] = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "USE_HF": "1",
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "CUDA_VISIBLE_DEVICES": "",
}
"""The surroundings of every process of ms-swift: no network, one thread, no GPU."""


class Cost(NamedTuple):
    """What a process and its children cost."""

    wall_s: float
    cpu_s: float


class SwiftRecipe(NamedTuple):
    """The settings of ``swift sft`` that the benchmarks vary.

    ``micro_batch`` dialogues in one padded forward pass; they must divide ``effective_batch``.
    ``target_parameters`` are the fused weights of experts that carry an adapter.
    """

    rank: int = 8
    alpha: int = 32
    dropout: float = 0.1
    learning_rate: float = 2e-4
    schedule: str = "cosine"
    warmup_ratio: float = 0.1
    effective_batch: int = 32
    micro_batch: int = 4
    max_length: int = 4096
    max_gradient_norm: float = 1.0
    weight_decay: float = 0.0
    precision: str = "bf16"
    gradient_checkpointing: bool = False
    target_parameters: tuple[str, ...] = ()
    seed: int = 42


class SwiftTraining(NamedTuple):
    """One training by ``swift sft``.

    ``whole`` is the cost of the command, ``updates`` that of the training loop alone. ``n_tokens``
    are real tokens, padding not counted. ``losses`` has one row per optimiser step.
    """

    adapter: Path
    whole: Cost
    updates: Cost
    n_tokens: int
    losses: tuple[float, ...]


def swift_train(
    python: Path,
    *,
    model: Path,
    template: str,
    dialogues: Path,
    folder: Path,
    recipe: SwiftRecipe,
    n_steps: int | None = None,
    saves: bool = True,
) -> SwiftTraining:
    """Train on a messages JSONL file, in its order, once through or for ``n_steps``.

    Args:
        python: Interpreter of an environment with ms-swift 4.6.
        model: Local folder of a small model.
        template: Name of a template in ``swift_templates.py``; so are the small models called.
        dialogues: JSON Lines of ``{"messages": [...]}``; every row is used, none is shuffled.
        folder: Where ms-swift may write; its log stands there too.
        recipe: How to train.
        n_steps: Optimiser steps; all that the file gives where ``None``.
        saves: Keep the adapter.

    Raises:
        RuntimeError: ms-swift failed, or dropped a dialogue, or lost its loss to NaN.
    """
    output = folder / "sft"
    command = [
        *swift_command(python, "sft", model, template),
        *("--dataset", str(dialogues), "--split_dataset_ratio", "0"),
        *("--dataset_shuffle", "false", "--train_dataloader_shuffle", "false"),
        *("--max_length", str(recipe.max_length), "--strict", "true"),
        *("--tuner_type", "lora", "--target_modules", "all-linear"),
        *("--lora_rank", str(recipe.rank), "--lora_alpha", str(recipe.alpha)),
        *("--lora_dropout", str(recipe.dropout)),
        *precision_flags(recipe.precision, is_training=True),
        *("--learning_rate", str(recipe.learning_rate), "--lr_scheduler_type", recipe.schedule),
        *(
            "--warmup_ratio",
            str(recipe.warmup_ratio),
            "--max_grad_norm",
            str(recipe.max_gradient_norm),
        ),
        *("--weight_decay", str(recipe.weight_decay), "--adam_beta2", "0.999"),
        *("--per_device_train_batch_size", str(recipe.micro_batch)),
        *("--gradient_accumulation_steps", str(recipe.effective_batch // recipe.micro_batch)),
        *("--gradient_checkpointing", str(recipe.gradient_checkpointing).lower()),
        *("--num_train_epochs", "1", "--use_cpu", "true"),
        *("--dataloader_num_workers", "0", "--report_to", "none", "--logging_steps", "1"),
        *("--save_strategy", "epoch" if saves else "no", "--save_only_model", "true"),
        *("--output_dir", str(output), "--add_version", "false", "--seed", str(recipe.seed)),
        *("--callbacks", "clock"),
    ]
    if recipe.target_parameters:
        command += ["--target_parameters", *recipe.target_parameters]
    if n_steps is not None:
        command += ["--max_steps", str(n_steps)]
    whole = run_timed(command, log=folder / "sft.log", cache=folder)
    clock = json.loads((output / "clock.json").read_text())
    losses = _losses(output / "logging.jsonl")
    lengths = clock["n_tokens_dialogues"]
    n_dialogues = sum(1 for line in dialogues.open("rb") if line.strip())
    if len(lengths) != n_dialogues:
        raise RuntimeError(f"ms-swift kept {len(lengths)} of {n_dialogues} dialogues")
    if not all(0.0 < loss < 100.0 for loss in losses):
        raise RuntimeError(f"ms-swift reports losses that cannot be: {losses}")
    n_used = len(losses) * recipe.effective_batch
    return SwiftTraining(
        adapter=max(output.glob("checkpoint-*"), default=output),
        whole=whole,
        updates=Cost(clock["wall_s"], clock["cpu_s"]),
        n_tokens=sum(lengths[:n_used]),
        losses=losses,
    )


def swift_command(python: Path, verb: str, model: Path | None, template: str) -> list[str]:
    """Return the beginning of a command of ms-swift on a local folder, kept from the network."""
    command = [str(python), "-m", "swift.cli.main", verb]
    if model is not None:
        command += ["--model", str(model)]
    command += ["--model_type", MODEL_TYPES[template], "--template", template]
    command += ["--external_plugins", *(PLUGINS if verb == "sft" else PLUGINS[:1])]
    return command + (["--check_model", "false"] if verb == "sft" else [])


MODEL_TYPES: Mapping[str, str] = {
    "qwen2.5-tiny": "qwen2",
    "llama3.1-tiny": "llama",
    "chatglm3-tiny": "glm_edge",
    "internlm2.5-tiny": "llama",
    "baichuan2-tiny": "llama",
    "gpt-oss-tiny": "gpt_oss",
}
"""ms-swift's name for the architecture of each small model; it decides how weights are loaded."""


def precision_flags(precision: str, *, is_training: bool) -> list[str]:
    """Return the flags that make ms-swift compute in ``bf16`` or ``fp32``."""
    flags = ["--torch_dtype", DTYPES[precision]]
    if is_training:  # fp16 is its default beside fp32 weights
        flags += ["--bf16", str(precision == "bf16").lower(), "--fp16", "false"]
    return flags


def run_timed(
    command: Sequence[str],
    *,
    log: Path,
    cache: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Cost:
    """Run a command to its end and return what it and its children cost.

    Raises:
        RuntimeError: It failed; the end of its log says why.
    """
    surroundings = {**os.environ, **OFFLINE, **(environment or {})}
    if cache is not None:  # nothing that an earlier command cached makes this one cheaper
        surroundings |= {"HF_HOME": str(cache / "cache"), "MODELSCOPE_CACHE": str(cache / "cache")}
    log.parent.mkdir(parents=True, exist_ok=True)
    begun = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=surroundings)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    cost = Cost(time.perf_counter() - begun, usage.ru_utime + usage.ru_stime)
    if process.returncode:
        text = log.read_text(encoding="utf-8", errors="replace")
        raise RuntimeError(f"{' '.join(command)}\nended with {process.returncode}:\n{text[-3000:]}")
    return cost


def _losses(path: Path) -> tuple[float, ...]:
    rows: list[dict[str, Any]] = [json.loads(line) for line in path.read_text().splitlines()]
    return tuple(row["loss"] for row in rows if "loss" in row)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--swift-python", required=True, type=Path)
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--template", required=True, choices=sorted(MODEL_TYPES))
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--precision", default="bf16", choices=sorted(DTYPES))
    parser.add_argument("--micro-batch", type=int, default=4)
    parser.add_argument("--effective-batch", type=int, default=32)
    parser.add_argument("--gradient-checkpointing", action="store_true")
    parser.add_argument("--steps", type=int)
    arguments = parser.parse_args()
    folder = arguments.work or Path(tempfile.mkdtemp(prefix="swift-training-"))
    done = swift_train(
        arguments.swift_python,
        model=arguments.model,
        template=arguments.template,
        dialogues=arguments.data,
        folder=folder,
        recipe=SwiftRecipe(
            precision=arguments.precision,
            micro_batch=arguments.micro_batch,
            effective_batch=arguments.effective_batch,
            gradient_checkpointing=arguments.gradient_checkpointing,
        ),
        n_steps=arguments.steps,
        saves=False,
    )
    print(f"{done.n_tokens} tokens, loss {done.losses[0]:.3f} → {done.losses[-1]:.3f}")
    for name, cost in (("training", done.updates), ("with start-up", done.whole)):
        print(
            f"{name}: {cost.wall_s:.1f} s wall, {cost.cpu_s:.1f} s CPU, "
            f"{done.n_tokens / cost.cpu_s:.0f} tokens per CPU-second"
        )


if __name__ == "__main__":
    sys.exit(main())
