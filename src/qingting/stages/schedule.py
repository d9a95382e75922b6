"""Decide which dialogues every optimiser step holds, the same for all arms.

Over-long dialogues are cut at one turn boundary common to all tokenizers: the last counsellor
turn with which the dialogue fits ``max_length`` tokens under every one of them. A dialogue whose
first exchange fits nowhere is left out, counted and named.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from qingting.core.errors import DataError
from qingting.stages.base import Context, Summary, read_jsonl, write_json


class CommonLengths(NamedTuple):
    """Per dialogue: messages kept, and tokens of those messages under each tokenizer."""

    n_messages: dict[str, int]
    n_tokens: dict[str, tuple[int, ...]]
    cut: tuple[str, ...]
    left_out: tuple[str, ...]


def run(context: Context) -> Summary:
    """Write one ``schedule-<seed>.json`` per seed, and ``summary.json``."""
    config = context.config
    data = context.inputs["data"]
    models = sorted(role for role in context.inputs if role != "data")
    if not models:
        raise DataError(f"no tokenizer could be used: {'; '.join(context.failures.values())}")
    ends = [
        {
            record["id"]: record["message_ends"]
            for record in read_jsonl(context.inputs[m] / "lengths.jsonl")
        }
        for m in models
    ]
    sides = {side: list(read_jsonl(data / f"{side}.jsonl")) for side in ("train", "validation")}
    common = common_lengths(
        [record for records in sides.values() for record in records],
        ends,
        max_length=config["max_length"],
    )
    train = [record["id"] for record in sides["train"] if record["id"] in common.n_messages]
    validation = [r["id"] for r in sides["validation"] if r["id"] in common.n_messages]
    if not train:
        raise DataError(
            f"no training dialogue fits max_length {config['max_length']} under every tokenizer; "
            "raise recipe.max_length"
        )
    summary: dict[str, Any] = {
        "n_cut": len(common.cut),
        "n_left_out": len(common.left_out),
        "left_out": list(common.left_out[:50]),
        "max_length": config["max_length"],
        "seeds": {},
    }
    for seed in config["seeds"]:
        steps = schedule_steps(
            train,
            common.n_tokens,
            effective_batch=config["effective_batch"],
            epochs=config["epochs"],
            max_steps=config["max_steps"],
            token_budget=config["token_budget"],
            seed=seed,
        )
        used = [identity for step in steps for identity in step]
        write_json(
            context.output / f"schedule-{seed}.json",
            {
                "steps": steps,
                "n_messages": {i: common.n_messages[i] for i in sorted({*used, *validation})},
            },
        )
        summary["seeds"][str(seed)] = {
            "n_steps": len(steps),
            "n_dialogues": len(used),
            "n_epochs": len(used) / len(train),
            "n_tokens": {
                model: sum(common.n_tokens[i][m] for i in used) for m, model in enumerate(models)
            },
        }
    write_json(context.output / "summary.json", summary)
    return summary


def common_lengths(
    dialogues: Sequence[Mapping[str, Any]],
    ends_models: Sequence[Mapping[str, Sequence[int]]],
    *,
    max_length: int,
) -> CommonLengths:
    """Return how many messages of each dialogue every tokenizer can hold in ``max_length``."""
    n_messages: dict[str, int] = {}
    n_tokens: dict[str, tuple[int, ...]] = {}
    cut, left_out = [], []
    for dialogue in dialogues:
        identity, messages = dialogue["id"], dialogue["messages"]
        boundaries = [
            n for n, message in enumerate(messages, start=1) if message["role"] == "assistant"
        ]
        fitting = [
            n
            for n in boundaries
            if all(ends[identity][n - 1] <= max_length for ends in ends_models)
        ]
        if not fitting:
            left_out.append(identity)
            continue
        kept = fitting[-1]
        if kept < boundaries[-1]:
            cut.append(identity)
        n_messages[identity] = kept
        n_tokens[identity] = tuple(ends[identity][kept - 1] for ends in ends_models)
    return CommonLengths(n_messages, n_tokens, tuple(cut), tuple(left_out))


def schedule_steps(
    train: Sequence[str],
    n_tokens: Mapping[str, tuple[int, ...]],
    *,
    effective_batch: int,
    epochs: int | None,
    max_steps: int | None,
    token_budget: int | None,
    seed: int,
) -> list[list[str]]:
    """Return the dialogues of each step; the order depends on seed and ids alone.

    Every epoch is a fresh order of all dialogues; its last step may hold fewer. The budget counts
    real tokens, averaged over the tokenizers; the step that reaches it is the last.
    """
    if epochs is None and max_steps is None and token_budget is None:
        epochs = 1
    steps: list[list[str]] = []
    spent = 0.0
    epoch = 0
    while epochs is None or epoch < epochs:
        order = sorted(train, key=lambda i: _place(seed, epoch, i))
        for start in range(0, len(order), effective_batch):
            step = order[start : start + effective_batch]
            steps.append(step)
            spent += sum(sum(n_tokens[i]) / len(n_tokens[i]) for i in step)
            if max_steps is not None and len(steps) >= max_steps:
                return steps
            if token_budget is not None and spent >= token_budget:
                return steps
        epoch += 1
    return steps


def _place(seed: int, epoch: int, identity: str) -> bytes:
    return hashlib.sha256(f"{seed}|{epoch}|{identity}".encode()).digest()
