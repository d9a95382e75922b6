"""The native training step beside a plain one, on a GPU, at the size of Qwen2.5-7B.

    python benchmarks/gpu_speed.py [--dry-run]

Both train the same LoRA (rank 8, dropout 0.1) on the same 32 dialogues a step with random weights
in bf16 and gradient checkpointing. Native: dialogues laid end to end in rows of 3072 tokens that
keep them apart, chunked logits, a fused linear layer with its adapter. Plain: transformers and peft
as they come, four dialogues at a time padded to the longest, full logits. Printed are real tokens a
second, padding not counted, and their ratio; the losses of the first step must agree. Lengths are
drawn once from a log-normal law (median 700, at most 3072), about what counselling dialogues have.
``--dry-run`` does the same on the CPU in a thin model, which shows that the script works and nothing
else.
"""

from __future__ import annotations

import argparse
import gc
import time
from typing import Any

import numpy as np
import torch
from gpu_memory import QWEN, THIN, build

from qingting.engines.native import attention
from qingting.engines.native.adapters import prepare_trainable
from qingting.engines.native.attention import Segment
from qingting.engines.native.batches import MicroBatch
from qingting.engines.native.likelihood import token_losses
from qingting.engines.native.lora_linear import DropoutPool, fuse
from qingting.spec.recipe import LoraRecipe, Recipe

ROW = 3072
N_DIALOGUES = 32
PLAIN_ROWS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--steps", type=int, default=3)
    arguments = parser.parse_args()
    if not arguments.dry_run and not torch.cuda.is_available():
        print("no CUDA GPU is visible: nothing was measured")
        return
    device = torch.device("cpu" if arguments.dry_run else "cuda")
    config = THIN if arguments.dry_run else QWEN
    scale = 16 if arguments.dry_run else 1
    rng = np.random.default_rng(5)
    lengths = np.exp(rng.normal(np.log(700), 0.6, N_DIALOGUES)).astype(int).clip(64, ROW) // scale
    dialogues = [rng.integers(0, config["vocab_size"], int(n)).tolist() for n in lengths]
    name = "CPU, thin model" if arguments.dry_run else torch.cuda.get_device_name()
    print(f"{name}, torch {torch.__version__}; {int(lengths.sum())} real tokens a step")
    speeds = {}
    for way in ("plain", "native"):
        model, step = prepared(config, device, way=way, row=ROW // scale)
        losses, seconds = [], []
        for at in range(arguments.steps + 1):
            synchronise(device)
            started = time.perf_counter()
            losses.append(step(dialogues, at))
            synchronise(device)
            seconds.append(time.perf_counter() - started)
        speeds[way] = lengths.sum() / np.median(seconds[1:])  # the first step warms up
        is_gpu = device.type == "cuda"
        peak = f"peak {torch.cuda.max_memory_allocated() / 1e9:.1f} GB, " if is_gpu else ""
        change = f"loss {losses[0]:.4f} → {losses[-1]:.4f}"
        print(f"{way}: {speeds[way]:,.0f} real tokens/s, {peak}{change}", flush=True)
        del model, step
        gc.collect()
        if is_gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
    print(f"native / plain: {speeds['native'] / speeds['plain']:.2f} ×")


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def prepared(config: dict[str, Any], device: torch.device, *, way: str, row: int) -> Any:
    """Return the model and a function that does one optimiser step and returns its mean loss."""
    model = build(config, device)
    recipe = Recipe(lora=LoraRecipe(rank=8, dropout=0.1))
    trainable = prepare_trainable(model, recipe, seed=0)
    pool = DropoutPool(0.1)
    if way == "native":
        fuse(model, pool)
        model.config._attn_implementation = attention.VARLEN
    else:
        model.config._attn_implementation = "sdpa"
    model.gradient_checkpointing_enable({"use_reentrant": False})
    model.train()
    parameters = list(trainable.parameters.values())
    optimiser = torch.optim.AdamW(parameters, lr=1e-4, fused=True)

    def step(dialogues: list[list[int]], at: int) -> float:
        n_targets = sum(len(one) - 1 for one in dialogues)
        total = 0.0
        batches = rows_of(dialogues, row) if way == "native" else padded(dialogues)
        for part, batch in enumerate(batches):
            if way == "native":
                pool.refill(100 * at + part)
                loss = token_losses(model, laid_end_to_end(batch, device)).total
            else:
                loss = plain_loss(model, batch, device)
            (loss / n_targets).backward()
            total += float(loss.detach())
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        return total / n_targets

    return model, step


def rows_of(dialogues: list[list[int]], row: int) -> list[list[list[int]]]:
    """Return the dialogues packed first-fit, longest first, eight rows to a forward pass."""
    rows: list[list[list[int]]] = []
    for one in sorted(dialogues, key=len, reverse=True):
        fitting = (known for known in rows if sum(map(len, known)) + len(one) <= row)
        found = next(fitting, None)
        if found is None:
            rows.append([one])
        else:
            found.append(one)
    return [[one for known in rows[at : at + 8] for one in known] for at in range(0, len(rows), 8)]


def padded(dialogues: list[list[int]]) -> list[list[list[int]]]:
    return [dialogues[at : at + PLAIN_ROWS] for at in range(0, len(dialogues), PLAIN_ROWS)]


def laid_end_to_end(dialogues: list[list[int]], device: torch.device) -> MicroBatch:
    ids = torch.tensor([token for one in dialogues for token in one])[None]
    segments, targets, owners, positions, start = [], [], [], [], 0
    for at, one in enumerate(dialogues):
        segments.append(Segment(0, start, start + len(one)))
        positions.append(torch.arange(len(one)))
        targets.append(torch.arange(start + 1, start + len(one)))
        owners.append(torch.full((len(one) - 1,), at))
        start += len(one)
    places = torch.cat(targets)
    batch = MicroBatch(
        tuple(str(at) for at in range(len(dialogues))),
        ids,
        torch.cat(positions)[None],
        tuple(segments),
        places - 1,
        ids[0, places],
        torch.cat(owners),
    )
    return batch.to(device)


def plain_loss(model: Any, dialogues: list[list[int]], device: torch.device) -> torch.Tensor:
    """Return the summed loss of padded dialogues, the mean that transformers gives times targets."""
    longest = max(map(len, dialogues))
    ids = torch.zeros(len(dialogues), longest, dtype=torch.long)
    labels = torch.full_like(ids, -100)
    mask = torch.zeros_like(ids)
    for at, one in enumerate(dialogues):
        ids[at, : len(one)] = labels[at, : len(one)] = torch.tensor(one)
        mask[at, : len(one)] = 1
    ids, labels, mask = (x.to(device) for x in (ids, labels, mask))
    out = model(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False)
    return out.loss * sum(len(one) - 1 for one in dialogues)


if __name__ == "__main__":
    main()
