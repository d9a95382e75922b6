"""The closed form of memory beside the exact count, for every card: the table of memory.md.

    python benchmarks/memory_table.py [NAME …]

Counts whole models over fake tensors, on the CPU and in little memory; about ten minutes on one
core. Prints Markdown: decimal GB as counted and as predicted, and by how much they differ.
"""

from __future__ import annotations

import argparse
from typing import Any

from qingting.engines.native.memory_trace import trace_training
from qingting.models.catalogue import load_cards
from qingting.models.memory import PLANNED_KINDS, TrainingSetup, estimate_training

CASES = {
    "LoRA, 4 × 1024": TrainingSetup(micro_batch=4, length=1024),
    "LoRA, 1 × 3072": TrainingSetup(micro_batch=1, length=3072),
    "LoRA, 4 × 1024, full logits": TrainingSetup(micro_batch=4, length=1024, logits="full"),
    "LoRA, 4 × 1024, no checkpointing": TrainingSetup(
        micro_batch=4, length=1024, gradient_checkpointing=False
    ),
    "all weights, 4 × 1024": TrainingSetup(micro_batch=4, length=1024, method="full"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="models; all by default")
    arguments = parser.parse_args()
    configs: dict[str, dict[str, Any]] = {
        card.name: card.to_config_dict()
        for card in load_cards()
        if card.architecture.kind in PLANNED_KINDS  # others are counted, not predicted
    }
    names = arguments.names or list(configs)
    print("| model | " + " | ".join(CASES) + " |")
    print("|---" * (len(CASES) + 1) + "|")
    worst = 0.0
    for name in names:
        cells = []
        for setup in CASES.values():
            if setup.method == "full" and configs[name].get("num_local_experts"):
                cells.append("–")  # grouped products exist in bf16 only; weights are held in fp32
                continue
            counted = trace_training(configs[name], setup).peak_bytes
            predicted = estimate_training(configs[name], setup).allocated
            off = predicted / counted - 1
            worst = max(worst, abs(off))
            digits = 2 if counted > 1e9 else 3
            cells.append(f"{counted / 1e9:.{digits}f}, {off:+.1%}")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    print(f"\nlargest difference: {worst:.1%}")


if __name__ == "__main__":
    main()
