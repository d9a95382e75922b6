"""Real tokens per CPU-second of three trainers, side by side, on the six small models.

    python benchmarks/trainer_speed.py [--steps 4] [--swift-python PATH]

``native`` is this package's trainer as an experiment runs it. ``plain`` is what one writes with
transformers and peft in an afternoon: padded batches, fp32, ``model(labels=…)``. ``swift`` is
``swift sft`` of ms-swift 4.6.0, if the interpreter of an environment that has it is given: same token
ids and targets, the native trainer's precision, micro-batches of one (its default, and its fastest
on CPU: nothing is padded), without gradient checkpointing; ``swift-default`` is the same with
gradient checkpointing, which is its default. Its cost is read inside, from the first step to the
last, so that start-up is left out; what the whole command costs is printed beside it.

All train the same dialogues of the shipped pack in the same steps, with LoRA r=8 on all linear
layers, dropout 0.1, AdamW, 32 dialogues a step. Real tokens are those of the dialogues, padding
not counted; the native trainer's count is used for all. Each measurement is a process of its own.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from qingting.engines.hardware import resolve_precision
from qingting.models.tiny.architectures import TINY_FAMILIES

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "qingting"
TINY = PACKAGE / "models" / "tiny"
DIALOGUES = PACKAGE / "domains" / "counselling" / "dialogues"
BATCH, PLAIN_MICRO_BATCH, LEARNING_RATE = 32, 8, 2e-4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--families", nargs="*", help="the six small chat models by default")
    parser.add_argument("--precision", default=resolve_precision("cpu"))
    parser.add_argument("--swift-python", type=Path)
    parser.add_argument("--swift-micro-batch", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--worker", choices=("native", "plain"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work = {"native": run_native, "plain": run_plain}[arguments.worker]
        print(json.dumps(work(arguments.folder, arguments.precision)))
        return
    names = arguments.families or sorted(TINY_FAMILIES)
    rows = {}
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            rows[name] = measure_family(name, Path(folder), arguments)
        print_row(name, rows[name])
    print_row("pooled", pool(list(rows.values())))
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def measure_family(name: str, folder: Path, arguments: argparse.Namespace) -> dict:
    write_inputs(name, folder, arguments.steps)
    row = {}
    for worker in ("native", "plain"):
        command = [sys.executable, __file__, "--worker", worker, "--folder", str(folder)]
        command += ["--precision", arguments.precision]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{worker} failed on {name}:\n{done.stderr}")
        row[worker] = json.loads(done.stdout.splitlines()[-1])
    row["plain"]["n_tokens"] = row["native"]["n_tokens"]
    if arguments.swift_python:
        for worker, checkpoints in (("swift", False), ("swift-default", True)):
            row[worker] = run_swift(name, folder, arguments, gradient_checkpointing=checkpoints)
            row[worker]["n_tokens"] = row["native"]["n_tokens"]
    return row


def pool(rows: list[dict]) -> dict:
    pooled: dict = {}
    for worker in rows[0]:
        pooled[worker] = {
            "n_tokens": sum(row[worker]["n_tokens"] for row in rows),
            "cpu_s": sum(row[worker]["cpu_s"] for row in rows),
        }
        if worker.startswith("swift"):
            whole = sum(row[worker]["cpu_s_with_start_up"] for row in rows)
            pooled[worker]["cpu_s_with_start_up"] = whole
    return pooled


def print_row(name: str, row: dict) -> None:
    speeds = {worker: figures["n_tokens"] / figures["cpu_s"] for worker, figures in row.items()}
    parts = [f"{name:18}"]
    parts += [f"{worker} {speed:7,.0f} tokens/CPU-s" for worker, speed in speeds.items()]
    parts += [f"native/{w} {speeds['native'] / speeds[w]:.2f}" for w in speeds if w != "native"]
    for worker, figures in row.items():
        if "cpu_s_with_start_up" in figures:
            speed = figures["n_tokens"] / figures["cpu_s_with_start_up"]
            parts.append(f"({worker} with start-up {speed:,.0f})")
    if "losses" in row["native"]:
        ours = row["native"]["losses"]
        parts.append(f"loss {ours[0]:.3f}→{ours[-1]:.3f}")
        for worker in (name for name in row if name != "native"):
            gaps = [abs(a - b) / b for a, b in zip(ours, row[worker]["losses"], strict=True)]
            parts.append(f"{worker}'s apart by {statistics.mean(gaps):.2%} on average")
    print("  ".join(parts), flush=True)


# -- inputs ----------------------------------------------------------------------------------------


def write_inputs(name: str, folder: Path, n_steps: int) -> None:
    """Write model, dialogues and schedule; a model without weights gets random ones."""
    records = []
    for path in sorted(DIALOGUES.glob("*.jsonl")):
        records += [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    random.Random(0).shuffle(records)
    plain = [{"id": r["id"], "messages": r["messages"]} for r in records]
    while len(plain) < n_steps * BATCH:
        plain += [r | {"id": f"{r['id']}+{len(plain)}"} for r in plain]
    trained, held_out = plain[: n_steps * BATCH], [r | {"id": "held-out"} for r in plain[:1]]
    write_lines(folder / "dialogues.jsonl", trained)
    write_lines(folder / "validation.jsonl", held_out)
    ids = [record["id"] for record in trained]
    steps = [ids[i : i + BATCH] for i in range(0, len(ids), BATCH)]
    n_messages = {r["id"]: len(r["messages"]) for r in trained + held_out}
    (folder / "schedule.json").write_text(json.dumps({"steps": steps, "n_messages": n_messages}))
    source, model = TINY / name, folder / "model"
    model.mkdir()
    for path in source.iterdir():
        (model / path.name).write_bytes(path.read_bytes())
    if not (model / "model.safetensors").is_file():
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM

        torch.manual_seed(0)
        config = AutoConfig.from_pretrained(model)
        AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(model)
        for path in source.iterdir():
            (model / path.name).write_bytes(path.read_bytes())


def write_lines(path: Path, records: list[dict]) -> None:
    lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in records]
    path.write_text("".join(lines), encoding="utf-8")


# -- trainers --------------------------------------------------------------------------------------


def run_native(folder: Path, precision: str) -> dict:
    from qingting.engines.native.training import train
    from qingting.engines.protocol import Runtime, TrainJob
    from qingting.spec.recipe import LoraRecipe, Recipe

    (folder / "output").mkdir()
    recipe = Recipe(
        lora=LoraRecipe(rank=8, alpha=32, dropout=0.1),
        learning_rate=LEARNING_RATE,
        effective_batch=BATCH,
        log_every=1,
        n_samples=0,
    )
    job = TrainJob(
        output=str(folder / "output"),
        state=str(folder / "state"),
        runtime=Runtime(precision=precision),
        checkpoint=str(folder / "model"),
        dialogues=str(folder / "dialogues.jsonl"),
        validation=str(folder / "validation.jsonl"),
        schedule=str(folder / "schedule.json"),
        recipe=recipe,
        seed=0,
        micro_batch=1,
        gradient_checkpointing=False,
    )
    result = train(job, lambda *_, **__: None)
    log = (folder / "output" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return {
        "n_tokens": result["n_tokens"],
        "cpu_s": result["measurements"]["update_cpu_s"],
        "losses": [json.loads(line)["loss"] for line in log],
    }


def run_plain(folder: Path, _: str) -> dict:
    import torch
    from peft import LoraConfig, get_peft_model
    from torch.nn.utils.rnn import pad_sequence
    from transformers import AutoModelForCausalLM, get_cosine_schedule_with_warmup

    from qingting.core.dialogue import Dialogue
    from qingting.models.chat import ChatTemplate

    torch.set_num_threads(1)
    torch.manual_seed(0)
    template = ChatTemplate.load(folder / "model")
    encoded = {}
    for line in (folder / "dialogues.jsonl").read_text(encoding="utf-8").splitlines():
        dialogue = Dialogue.from_record(json.loads(line))
        encoded[dialogue.id] = template.encode(dialogue.messages)
    steps = json.loads((folder / "schedule.json").read_text())["steps"]
    model = AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float32)
    config = LoraConfig(
        r=8, lora_alpha=32, lora_dropout=0.1, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    model = get_peft_model(model, config).train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=0.0)
    n_warmup = -(-len(steps) // 10)
    schedule = get_cosine_schedule_with_warmup(optimiser, n_warmup, len(steps))
    begun, losses = time.process_time(), []
    for step in steps:
        chats = [encoded[name] for name in step]
        n_targets = sum(sum(chat.target_mask) for chat in chats)
        total = 0.0
        for start in range(0, len(chats), PLAIN_MICRO_BATCH):
            part = chats[start : start + PLAIN_MICRO_BATCH]
            ids = pad_sequence([torch.tensor(c.input_ids) for c in part], batch_first=True)
            mask = pad_sequence([torch.ones(len(c.input_ids)) for c in part], batch_first=True)
            is_target = pad_sequence([torch.tensor(c.target_mask) for c in part], batch_first=True)
            labels = ids.masked_fill(~is_target, -100)
            loss = model(
                input_ids=ids, attention_mask=mask, labels=labels, num_items_in_batch=n_targets
            ).loss
            loss.backward()
            total += float(loss.detach())
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        losses.append(total)
    return {"cpu_s": time.process_time() - begun, "losses": losses}


def run_swift(
    name: str, folder: Path, arguments: argparse.Namespace, *, gradient_checkpointing: bool
) -> dict:
    """Return the figures of ``swift sft`` on the same steps; needs no import of ms-swift here."""
    from swift_training import SwiftRecipe, swift_train

    dialogues = (folder / "dialogues.jsonl").read_text(encoding="utf-8").splitlines()
    messages = [{"messages": json.loads(line)["messages"]} for line in dialogues]
    write_lines(folder / "messages.jsonl", messages)
    recipe = SwiftRecipe(
        learning_rate=LEARNING_RATE,
        effective_batch=BATCH,
        micro_batch=arguments.swift_micro_batch,
        precision=arguments.precision,
        gradient_checkpointing=gradient_checkpointing,
        seed=0,
    )
    done = swift_train(
        arguments.swift_python,
        model=folder / "model",
        template=name,
        dialogues=folder / "messages.jsonl",
        folder=folder / ("swift-default" if gradient_checkpointing else "swift"),
        recipe=recipe,
        saves=False,
    )
    return {
        "cpu_s": done.updates.cpu_s,
        "cpu_s_with_start_up": done.whole.cpu_s,
        "losses": done.losses,
    }


if __name__ == "__main__":
    main()
