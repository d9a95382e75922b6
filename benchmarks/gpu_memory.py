"""The planner beside ``torch.cuda.max_memory_allocated``, on Qwen2.5-7B with random weights.

    python benchmarks/gpu_memory.py [--dry-run]

Does two whole training steps, as the native trainer does them (chunked logits) and as transformers
and peft do (full logits), and prints the allocator's peak beside the closed form and the exact
count. The bar is 10%. Full logits at 8 × 3072 need about 66 GB; a case that does not fit is said to
be left out. Without a CUDA GPU nothing is measured, and it says so; ``--dry-run`` then runs the same
steps on the CPU in a model of two thin layers, which shows that the script works and nothing else.
"""

from __future__ import annotations

import argparse
import gc
import sys
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from qingting.engines.native import attention
from qingting.engines.native.adapters import prepare_trainable
from qingting.engines.native.attention import Segment
from qingting.engines.native.batches import MicroBatch
from qingting.engines.native.likelihood import token_losses
from qingting.engines.native.lora_linear import DropoutPool, fuse
from qingting.engines.native.memory_trace import trace_training
from qingting.models.memory import TrainingSetup, estimate_training
from qingting.spec.recipe import LoraRecipe, Recipe

QWEN = {
    "model_type": "qwen2",
    "vocab_size": 152064,
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "tie_word_embeddings": False,
}
THIN = QWEN | {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
CASES = [(8, 3072, "chunked"), (8, 3072, "full"), (8, 1024, "full"), (1, 3072, "full")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dry-run", action="store_true")
    arguments = parser.parse_args()
    if arguments.dry_run:
        for logits in ("chunked", "full"):
            setup = TrainingSetup(micro_batch=2, length=64, logits=logits)
            measure(THIN, setup, torch.device("cpu"))
        print("dry run: both steps run; nothing was measured")
        return
    if not torch.cuda.is_available():
        print("no CUDA GPU is visible: nothing was measured")
        return
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}; decimal GB")
    print("| case | measured | closed form | count | closed form off by |")
    print("|---|---|---|---|---|")
    is_met = True
    for rows, length, logits in CASES:
        setup = TrainingSetup(micro_batch=rows, length=length, logits=logits)
        name = f"{rows} × {length}, {logits} logits"
        estimate = estimate_training(QWEN, setup)
        available = torch.cuda.mem_get_info()[0]
        if estimate.allocated > available:
            print(f"| {name} | left out: needs {estimate.allocated / 1e9:.1f} | | | |")
            continue
        measured = measure(QWEN, setup, torch.device("cuda"))
        counted = trace_training(QWEN, setup).peak_bytes
        off = estimate.allocated / measured - 1
        is_met = is_met and abs(off) <= 0.10
        print(
            f"| {name} | {measured / 1e9:.2f} | {estimate.allocated / 1e9:.2f} "
            f"| {counted / 1e9:.2f} | {off:+.1%} |",
            flush=True,
        )
    sys.exit(0 if is_met else 1)


def measure(config: dict[str, Any], setup: TrainingSetup, device: torch.device) -> int:
    """Return the allocator's peak over two optimiser steps of two micro-batches; 0 on the CPU."""
    model = build(config, device)
    recipe = Recipe(lora=LoraRecipe(rank=setup.lora_rank, dropout=setup.lora_dropout))
    trainable = prepare_trainable(model, recipe, seed=0)
    pool = DropoutPool(setup.lora_dropout)
    if setup.logits == "chunked":
        fuse(model, pool if setup.lora_dropout else None)
        model.config._attn_implementation = attention.VARLEN
    else:
        model.config._attn_implementation = "sdpa"
    model.gradient_checkpointing_enable({"use_reentrant": False})
    parameters = list(trainable.parameters.values())
    optimiser = torch.optim.AdamW(parameters, lr=1e-4, fused=True)
    batch = full_rows(setup, config["vocab_size"], device)
    model.train()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    for step in range(2):
        for part in range(2):
            pool.refill(2 * step + part)
            if setup.logits == "chunked":
                losses = token_losses(model, batch)
                (losses.total / len(batch.labels)).backward()
                del losses
            else:
                ids = batch.input_ids.view(setup.micro_batch, setup.length)
                model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    peak = torch.cuda.max_memory_allocated() if device.type == "cuda" else 0
    del model, trainable, optimiser, parameters, batch, pool
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return peak


def build(config: dict[str, Any], device: torch.device) -> Any:
    """Return the model in bf16 with small random weights, made on the device."""
    with torch.device("meta"):
        known = AutoConfig.for_model(**config)
        model = AutoModelForCausalLM.from_config(
            known, dtype=torch.bfloat16, attn_implementation="eager"
        )
    model.to_empty(device=device)
    generator = torch.Generator(device).manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("norm.weight"):
                parameter.fill_(1.0)
            else:
                parameter.normal_(0.0, 0.02, generator=generator)
    # meta buffers hold nothing: the rotary frequencies are made anew
    rotary = model.model.rotary_emb
    fresh = type(rotary)(known)
    for name, buffer in fresh.named_buffers():
        setattr(rotary, name, buffer.to(device))
    return model


def full_rows(setup: TrainingSetup, n_vocabulary: int, device: torch.device) -> MicroBatch:
    """Return random rows laid end to end, every token but the first of a row a target."""
    n, length = setup.micro_batch, setup.length
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(n_vocabulary, (1, n * length), generator=generator)
    targets = torch.cat([torch.arange(1, length) + row * length for row in range(n)])
    rows = tuple(Segment(0, row * length, (row + 1) * length) for row in range(n))
    positions = torch.arange(length).repeat(n)[None]
    owners = torch.arange(n).repeat_interleave(length - 1)
    names = tuple(str(row) for row in range(n))
    batch = MicroBatch(names, ids, positions, rows, targets - 1, ids[0, targets], owners)
    return batch.to(device)


if __name__ == "__main__":
    main()
