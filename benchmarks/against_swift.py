"""One ``qingting run`` against the same work by hand with ms-swift: wall time, side by side.

    python benchmarks/against_swift.py --swift-python PATH [--families NAME …] [--work FOLDER]
        [--tokens 120000] [--prompts 48] [--new-tokens 64]

``PATH`` is the interpreter of an environment of its own with ``ms-swift==4.6.0 msgspec
transformers==5.19.0 peft==0.20.0`` and the same torch; nothing is fetched by either side.

*The run* is the quickstart experiment without its knowledge test and its inference benchmark, which
have no counterpart here: one command trains every small model, proves and exports it, answers the
held-out prompts with base and tuned model, measures held-out loss, computes metrics and intervals,
and writes the report. It uses as many processes as the machine has cores, one thread each. It is
done before the work by hand and again after it; the mean of both is compared.

*By hand* means, for each model, one command after another: ``swift sft``, ``swift export
--merge_lora``, ``swift infer`` with the base model and with the tuned one. One thread. It gets

- the same dialogues, cut at the same turn, in the same order and the same optimiser steps;
- the same token ids and the same targets (``swift_templates.py``; every id and label is compared);
- the same LoRA, learning rate, schedule, dropout, AdamW, gradient clipping and precision;
- the same prompts and exactly ``--new-tokens`` new tokens for each, in batches of the same size;
- its fastest setting where it has a choice: micro-batches of one dialogue (so that nothing is
  padded), no gradient checkpointing, no reports, files that are already in its format.

What remains different: its warm-up starts at a learning rate of 0, its dropout draws other numbers,
and it gives no metrics, no held-out loss and no report. Held-out loss is therefore computed for
both sides by the scorer of Qingting, from the folders that each side exported, outside the timing.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from swift_training import (
    HERE,
    MODEL_TYPES,
    Cost,
    SwiftRecipe,
    precision_flags,
    run_timed,
    swift_command,
    swift_train,
)

from qingting.core.dialogue import Message
from qingting.models.chat import ChatTemplate
from qingting.models.tiny.architectures import TINY_FAMILIES

SEED = 42
BATCH_SIZE = 8
"""Prompts answered at a time, on both sides."""

EXPERT_RECIPE = {"lora": {"rank": 16, "alpha": 64, "dropout": 0.0, "experts": True}}
"""GPT-OSS's deviation in the quickstart: experts take adapters too, which allow no dropout."""
EXPERT_PARAMETERS = ("mlp.experts.gate_up_proj", "mlp.experts.down_proj")


class Work(NamedTuple):
    """What the run decided and left, as the other side needs it."""

    data: Path
    schedule: Mapping[str, Any]
    manifests: Mapping[str, tuple[Path, Mapping[str, Any]]]

    def artifact(self, stage: str) -> Path:
        return self.manifests[stage][0]

    def summary(self, stage: str) -> Mapping[str, Any]:
        summary: Mapping[str, Any] = self.manifests[stage][1]["summary"]
        return summary


class HeldOutLosses(NamedTuple):
    """Nats per token of the counsellor's words in the test dialogues."""

    base: float
    run: float
    by_hand: float


class Family(NamedTuple):
    """What ms-swift did with one small model; pairs are (the run, by hand).

    ``n_same`` counts conversations with equal ids and targets, of all that were compared.
    """

    costs: Mapping[str, Cost]
    n_targets: tuple[int, int]
    n_same: tuple[int, int]
    n_new_tokens: tuple[int, int]
    losses: HeldOutLosses


class Comparison(NamedTuple):
    """Conversations as both sides encode them; ``n_targets`` are ms-swift's."""

    n_chats: int
    n_same: int
    n_targets: int


def main() -> None:
    arguments = parse_arguments()
    folder = arguments.work or Path(tempfile.mkdtemp(prefix="against-swift-"))
    folder.mkdir(parents=True, exist_ok=True)
    names = arguments.families
    models = {name: prepare_model(name, folder, arguments) for name in names}
    print(f"{describe_machine()}; work in {folder}", flush=True)

    before = run_experiment(models, folder, folder / "run", arguments)
    work = read_work(folder / "run")
    print_cost("qingting run", before)
    families = {}
    for name in names:
        families[name] = by_hand(name, models[name], work, folder / "by-hand" / name, arguments)
        print_family(name, families[name], arguments)
    theirs = total(cost for family in families.values() for cost in family.costs.values())
    # the speed of a shared machine drifts: the run is done before and after, and the mean compared
    after = run_experiment(models, folder, folder / "run-again", arguments)
    ours = Cost(*((a + b) / 2 for a, b in zip(before, after, strict=True)))
    print_phases(families, work)
    print_cost("by hand", theirs)
    print_cost("qingting run again", after)
    print_cost("qingting run, mean of both", ours)
    print(f"wall time: by hand takes {theirs.wall_s / ours.wall_s:.2f} times as long as the run")
    print(f"CPU time:  by hand takes {theirs.cpu_s / ours.cpu_s:.2f} times as much as the run")
    if arguments.json:
        record = {
            "machine": describe_machine(),
            "run": ours._asdict(),
            "runs": [before._asdict(), after._asdict()],
            "by_hand": theirs._asdict(),
            "families": {n: family_record(f) for n, f in families.items()},
        }
        arguments.json.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--swift-python", required=True, type=Path)
    parser.add_argument("--families", nargs="+", choices=sorted(TINY_FAMILIES), metavar="NAME")
    parser.add_argument("--models", type=Path, help="other folders of these names, with weights")
    parser.add_argument("--work", type=Path, help="a folder; a temporary one by default")
    parser.add_argument("--tokens", type=int, default=120_000, help="trained on, each model")
    parser.add_argument("--prompts", type=int, default=48)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--swift-micro-batch", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    arguments.families = arguments.families or list(TINY_FAMILIES)
    return arguments


def describe_machine() -> str:
    processor = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            processor = line.partition(":")[2].strip()
            break
    load = os.getloadavg()[0]
    return f"{processor}, {len(os.sched_getaffinity(0))} cores, load {load:.1f} at the start"


# -- the run ---------------------------------------------------------------------------------------


def prepare_model(name: str, folder: Path, arguments: argparse.Namespace) -> Path:
    """Return a copy of a small model whose generation_config.json forces the number of new tokens.

    ``swift infer`` has no option for a least number of tokens, but reads this file. The run is
    given the same folder; it does not read that key.
    """
    source = (arguments.models / name) if arguments.models else TINY_FAMILIES[name].folder
    if not (source / "model.safetensors").is_file():
        sys.exit(f"{source} has no weights: build the small models first")
    copy = folder / "models" / name
    shutil.copytree(source, copy, dirs_exist_ok=True)
    force_length(copy, arguments.new_tokens)
    return copy


def force_length(model: Path, n_new_tokens: int) -> None:
    path = model / "generation_config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | {"min_new_tokens": n_new_tokens}
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def run_experiment(
    models: Mapping[str, Path], folder: Path, work: Path, arguments: argparse.Namespace
) -> Cost:
    """Run the experiment as a person would, from nothing, and return what it cost."""
    experiment = {
        "experiment": "against-swift",
        "models": [
            {"model": str(path), "name": name}
            | ({"recipe": EXPERT_RECIPE} if name == "gpt-oss-tiny" else {})
            for name, path in models.items()
        ],
        "data": {"train": "counselling", "validation": 0.05, "test": 0.15, "seed": 7},
        "recipe": {
            "lora": {"rank": 8, "alpha": 32, "dropout": 0.1, "targets": "all-linear"},
            "learning_rate": 2e-3,
            "schedule": "cosine",
            "warmup_ratio": 0.1,
            "token_budget": arguments.tokens,
            "effective_batch": 8,
            "max_length": 2048,
            "seeds": [SEED],
            "log_every": 2,
            "validate_every": 10,
            "save_every": 10,
        },
        "evaluations": {
            "likelihood": True,
            "text": {
                "n_prompts": arguments.prompts,
                "max_new_tokens": arguments.new_tokens,
                "min_new_tokens": arguments.new_tokens,
                "batch_size": BATCH_SIZE,
            },
            "knowledge": None,
            "inference": None,
        },
        "resources": {"device": "cpu", "n_threads": 1},
    }
    spec = folder / "experiment.yaml"
    spec.write_text(json.dumps(experiment, indent=2), encoding="utf-8")  # JSON is YAML too
    if work.exists():
        shutil.rmtree(work)  # a cached stage would cost nothing
    command = [str(Path(sys.executable).with_name("qingting")), "run", str(spec)]
    return run_timed([*command, "--work", str(work)], log=work.with_suffix(".log"))


def read_work(run: Path) -> Work:
    """Return the artifacts of a run by the ids of their stages."""
    manifests = {}
    for path in (run / "artifacts").glob("*/manifest.json"):
        manifest = json.loads(path.read_bytes())
        manifests[manifest["stage"]] = (path.parent, manifest)
    schedule = json.loads((manifests["schedule"][0] / f"schedule-{SEED}.json").read_bytes())
    return Work(manifests["prepare_data"][0], schedule, manifests)


# -- the same by hand ------------------------------------------------------------------------------


def by_hand(
    name: str, model: Path, work: Work, folder: Path, arguments: argparse.Namespace
) -> Family:
    """Do one family's work with ms-swift, then compare what both sides saw and left."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    arm = f"{name}/lora"
    resolved = work.summary(f"train/{arm}")["resolved"]
    python = arguments.swift_python
    dialogues, prompts = folder / "train.jsonl", folder / "prompts.jsonl"
    steps = work.schedule["steps"]
    write_jsonl(dialogues, scheduled_dialogues(work))
    write_jsonl(
        prompts,
        (
            {"messages": r["messages"]}
            for r in read_jsonl(work.manifests["prepare_prompts"][0] / "prompts.jsonl")
        ),
    )

    experts = name == "gpt-oss-tiny"
    recipe = SwiftRecipe(
        rank=16 if experts else 8,
        alpha=64 if experts else 32,
        dropout=0.0 if experts else 0.1,
        target_parameters=EXPERT_PARAMETERS if experts else (),
        learning_rate=2e-3,
        effective_batch=len(steps[0]),
        micro_batch=arguments.swift_micro_batch,
        max_length=2048,
        precision=resolved["precision"],
        seed=SEED,
    )
    trained = swift_train(
        python, model=model, template=name, dialogues=dialogues, folder=folder, recipe=recipe
    )
    if len(trained.losses) != len(steps):
        raise RuntimeError(f"ms-swift took {len(trained.losses)} steps, the run {len(steps)}")
    merged = folder / "merged"
    export = [
        *swift_command(python, "export", None, name),
        *("--adapters", str(trained.adapter), "--merge_lora", "true"),
        *("--output_dir", str(merged)),
        *precision_flags("bf16", is_training=False),
    ]
    costs = {"sft": trained.whole, "export": run_timed(export, log=folder / "export.log")}
    answers = {}
    for variant, checkpoint in (("base", model), ("tuned", merged)):
        answers[variant] = folder / f"{variant}.jsonl"
        infer = [
            *swift_command(python, "infer", checkpoint, name),
            *("--infer_backend", "transformers", "--val_dataset", str(prompts)),
            *("--max_batch_size", str(BATCH_SIZE), "--max_new_tokens", str(arguments.new_tokens)),
            *("--temperature", "0", "--stream", "false", "--result_path", str(answers[variant])),
            *precision_flags(resolved["precision"], is_training=False),
        ]
        costs[f"infer {variant}"] = run_timed(infer, log=folder / f"infer-{variant}.log")
    chats = encode_both(folder, name, model, python, work)
    return Family(
        costs=costs,
        n_targets=(work.summary(f"train/{arm}")["n_target_tokens"], chats.n_targets),
        n_same=(chats.n_same, chats.n_chats),
        n_new_tokens=(
            sum(r["n_tokens"] for v in ("base", "lora") for r in responses(work, f"{name}/{v}")),
            sum(generated_tokens(folder / f"infer-{v}.log") for v in ("base", "tuned")),
        ),
        losses=HeldOutLosses(
            base=held_out_loss(work.artifact(f"score/{name}/base")),
            run=held_out_loss(work.artifact(f"score/{arm}")),
            by_hand=score(merged, model, work, resolved["precision"], folder / "score"),
        ),
    )


def scheduled_dialogues(work: Work) -> Iterable[dict[str, Any]]:
    """Yield the dialogues of all steps in order, each cut where the run cuts it."""
    dialogues = {record["id"]: record for record in read_jsonl(work.data / "train.jsonl")}
    sizes = {len(step) for step in work.schedule["steps"][:-1]}
    if len(sizes) > 1:
        raise RuntimeError(
            "a step within the training is short; ms-swift cannot follow: lower --tokens"
        )
    for step in work.schedule["steps"]:
        for identity in step:
            n_messages = work.schedule["n_messages"][identity]
            yield {"messages": dialogues[identity]["messages"][:n_messages]}


# -- what both sides saw and left ------------------------------------------------------------------


def encode_both(folder: Path, name: str, model: Path, python: Path, work: Work) -> Comparison:
    """Compare every id and label of the training data, and every id of the prompts."""
    template = ChatTemplate.load(model)
    n_chats = n_same = n_targets = 0
    for part in ("train", "prompts"):
        output = folder / f"{part}-encoded.jsonl"
        command = [
            *(str(python), str(HERE / "swift_encoding.py"), "--model", str(model)),
            *("--model-type", MODEL_TYPES[name], "--template", name),
            *("--data", str(folder / f"{part}.jsonl"), "--output", str(output)),
        ]
        if part == "prompts":
            command.append("--prompts")
        run_timed(command, log=folder / f"{part}-encoded.log")
        for record, theirs in zip(
            read_jsonl(folder / f"{part}.jsonl"), read_jsonl(output), strict=True
        ):
            messages = [Message(m["role"], m["content"]) for m in record["messages"]]
            ours = template.encode(messages, add_generation_prompt=part == "prompts")
            labels = theirs["labels"] or []
            n_targets += sum(label != -100 for label in labels)
            # ms-swift writes nothing behind the end of the last turn; the first token is no target
            n = len(theirs["input_ids"]) if part == "train" else len(ours.input_ids)
            targets = [t > 0 and is_target for t, is_target in enumerate(ours.target_mask)]
            same = ours.input_ids[:n] == theirs["input_ids"] and not any(targets[n:])
            if part == "train":
                same = same and targets[:n] == [label != -100 for label in labels]
            n_chats += 1
            n_same += same
    return Comparison(n_chats, n_same, n_targets)


def responses(work: Work, arm: str) -> Iterable[dict[str, Any]]:
    return read_jsonl(work.artifact(f"generate/{arm}") / "responses.jsonl")


def generated_tokens(log: Path) -> int:
    """Return the number of new tokens that ``swift infer`` reports at its end."""
    for line in reversed(log.read_text(encoding="utf-8", errors="replace").splitlines()):
        start = line.find("{'num_prompt_tokens'")
        if start >= 0:
            return int(ast.literal_eval(line[start:])["num_generated_tokens"])
    raise RuntimeError(f"{log} does not say how many tokens were generated")


def held_out_loss(scored: Path) -> float:
    records = list(read_jsonl(scored / "references.jsonl"))
    return float(sum(r["nats"] for r in records) / sum(r["n_tokens"] for r in records))


def score(merged: Path, model: Path, work: Work, precision: str, folder: Path) -> float:
    """Score ms-swift's export as the run scores its own: same dialogues, tokenizer and template."""
    checkpoint = folder / "model"
    checkpoint.mkdir(parents=True)
    for path in model.iterdir():
        if path.suffix != ".safetensors":
            shutil.copy(path, checkpoint)
    for path in merged.glob("*.safetensors*"):
        shutil.copy(path, checkpoint)
    job = {
        "kind": "score",
        "output": str(folder / "output"),
        "state": str(folder / "state"),
        "runtime": {"precision": precision},
        "checkpoint": str(checkpoint),
        "references": str(work.data / "test.jsonl"),
    }
    for name in ("output", "state"):
        (folder / name).mkdir()
    code = (
        "import sys; from qingting.engines.native.scoring import score; "
        "from qingting.engines.protocol import JOB; "
        "score(JOB.validate_json(sys.argv[1]), lambda *_, **__: None)"
    )
    subprocess.run([sys.executable, "-c", code, json.dumps(job)], check=True)
    return held_out_loss(folder / "output")


# -- printing --------------------------------------------------------------------------------------


def print_family(name: str, family: Family, arguments: argparse.Namespace) -> None:
    losses = family.losses
    apart = losses.by_hand / losses.run - 1
    forced = 2 * arguments.prompts * arguments.new_tokens
    print(f"{name}")
    print(f"  supervised tokens   run {family.n_targets[0]}, by hand {family.n_targets[1]}")
    print(f"  equal ids, targets  {family.n_same[0]} of {family.n_same[1]} conversations")
    print(
        f"  new tokens          run {family.n_new_tokens[0]}, by hand {family.n_new_tokens[1]}, "
        f"asked {forced}"
    )
    print(
        f"  held-out loss       base {losses.base:.4f}, run {losses.run:.4f}, "
        f"by hand {losses.by_hand:.4f} ({apart:+.2%}) nats per token"
    )
    for phase, cost in family.costs.items():
        print(f"  {phase:19} {cost.wall_s:7.1f} s wall {cost.cpu_s:7.1f} s CPU")
    sys.stdout.flush()


def print_phases(families: Mapping[str, Family], work: Work) -> None:
    """Print what each phase costs on both sides; the run's stages overlap in time."""
    print("phase          by hand: s wall, s CPU     run: s in stages, s CPU     CPU ratio")
    rows = {"train": ("sft",), "export": ("export",), "generate": ("infer base", "infer tuned")}
    for kind, phases in rows.items():
        theirs = total(family.costs[phase] for family in families.values() for phase in phases)
        ours = stage_cost(work, (kind,))
        print(
            f"{kind:12} {theirs.wall_s:11.1f} {theirs.cpu_s:10.1f} "
            f"{ours.wall_s:16.1f} {ours.cpu_s:10.1f} {theirs.cpu_s / ours.cpu_s:12.2f}"
        )
    kinds = {stage.split("/")[0] for stage in work.manifests} - rows.keys()
    rest = stage_cost(work, tuple(kinds))
    print(
        f"{'the rest':12} {'—':>11} {'—':>10} {rest.wall_s:16.1f} {rest.cpu_s:10.1f}   "
        f"({', '.join(sorted(kinds))})"
    )


def stage_cost(work: Work, kinds: Sequence[str]) -> Cost:
    return total(
        Cost(manifest["cost"]["wall_s"], manifest["cost"]["cpu_s"])
        for stage, (_, manifest) in work.manifests.items()
        if stage.split("/")[0] in kinds
    )


def total(costs: Iterable[Cost]) -> Cost:
    listed = list(costs)
    return Cost(sum(c.wall_s for c in listed), sum(c.cpu_s for c in listed))


def print_cost(what: str, cost: Cost) -> None:
    print(f"{what}: {cost.wall_s:.1f} s wall, {cost.cpu_s:.1f} s CPU", flush=True)


def family_record(family: Family) -> dict[str, Any]:
    record = family._asdict()
    record["costs"] = {phase: cost._asdict() for phase, cost in family.costs.items()}
    record["losses"] = family.losses._asdict()
    return record


# -- files -----------------------------------------------------------------------------------------


def read_jsonl(path: Path) -> Iterable[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def write_jsonl(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
