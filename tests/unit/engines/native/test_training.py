"""The training loop: exact, resumable, and honest about what went wrong."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from toys import FAMILIES, Events, save_toy
from transformers import AutoModelForCausalLM

from qingting.core.errors import DataError, NonFiniteLossError, OutOfMemoryError
from qingting.engines.native.batches import encode_dialogue, read_dialogues
from qingting.engines.native.likelihood import dialogue_losses, token_losses
from qingting.engines.native.loading import memory_errors
from qingting.engines.native.training import _Trainer, train
from qingting.engines.protocol import Runtime, TrainJob
from qingting.spec.recipe import EarlyStopping, LoraRecipe

MakeJob = Callable[..., TrainJob]


def gradients(trainer: _Trainer, name: str, tmp: Path) -> torch.Tensor:
    """Return the gradient of one step, before clipping, as one vector."""
    captured: list[torch.Tensor] = []
    trainer.optimiser.step = lambda: captured.append(  # type: ignore[method-assign,assignment]
        torch.cat([p.grad.flatten().double() for p in trainer.trainable.parameters.values()])
    )
    trainer._update(0)
    return captured[0]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", ["lora", "full"])
def test_eight_by_one_and_one_by_eight_give_the_same_gradient(
    make_job: MakeJob, family: str, method: str, tmp_path: Path
) -> None:
    found = []
    for micro_batch in (1, 8):
        job = make_job(
            family,
            name=f"m{micro_batch}",
            micro_batch=micro_batch,
            packing=False,
            method=method,
            max_gradient_norm=1e9,
            lora=LoraRecipe(dropout=0.0),
        )
        trainer = _Trainer(job, Events())
        generator = torch.Generator().manual_seed(5)
        if method == "lora":
            with torch.no_grad():
                for parameter in trainer.trainable.parameters.values():
                    parameter.normal_(std=0.1, generator=generator)
        found.append(gradients(trainer, str(micro_batch), tmp_path))
    assert (found[0] - found[1]).norm() / found[0].norm() < 1e-6


@pytest.mark.parametrize("family", FAMILIES)
def test_a_dialogue_loses_the_same_packed_and_padded(make_job: MakeJob, family: str) -> None:
    trainer = _Trainer(make_job(family, micro_batch=8), Events())
    padder = _Trainer(make_job(family, name="padded", micro_batch=8, packing=False), Events())
    losses = []
    for runner in (trainer, padder):
        runner.model.eval()
        with torch.no_grad():
            (batch,) = runner._batches(list(runner.plan.examples.values())[:8])
            losses.append(dialogue_losses(token_losses(runner.model, batch), batch))
    packed, padded = losses
    assert packed.keys() == padded.keys() and len(packed) == 8
    for name, loss in packed.items():
        mean = loss.nats / loss.n_targets
        assert mean == pytest.approx(padded[name].nats / padded[name].n_targets, abs=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_plain_peft_loads_the_adapter_and_finds_the_same_validation_loss(
    make_job: MakeJob, family: str
) -> None:
    """Stock attention, stock adapters and stock loss against everything written here."""
    job = make_job(family)
    result = train(job, Events())
    model = AutoModelForCausalLM.from_pretrained(job.checkpoint, attn_implementation="eager")
    model = PeftModel.from_pretrained(model, Path(job.output) / "adapter").eval()
    trainer = _Trainer(job, Events())
    nats = n_targets = 0.0
    for dialogue in read_dialogues(job.validation):
        example = encode_dialogue(trainer.checkpoint.template, dialogue)
        ids = torch.tensor([example.input_ids])
        labels = ids.masked_fill(~torch.tensor([example.is_target]), -100)
        with torch.no_grad():
            loss = model(ids, labels=labels, num_items_in_batch=1).loss
        nats += float(loss)
        n_targets += example.n_targets
    assert result["validation_loss"] == pytest.approx(nats / n_targets, abs=1e-5)


def test_expert_adapters_are_trained_saved_and_loaded_without_difference(
    make_job: MakeJob, expert_lora: LoraRecipe
) -> None:
    job = make_job("gpt_oss", lora=expert_lora)
    events = Events()
    result = train(job, events)
    saved = load_file(Path(job.output) / "adapter" / "adapter_model.safetensors")
    base = AutoModelForCausalLM.from_pretrained(job.checkpoint, attn_implementation="eager")
    model = PeftModel.from_pretrained(base, Path(job.output) / "adapter")
    loaded = {n.replace(".default", ""): p for n, p in model.named_parameters() if "lora_" in n}
    assert loaded.keys() == saved.keys()
    assert sum("experts" in name for name in saved) == 8  # two matrices, A and B, two layers
    assert all(torch.equal(loaded[name], tensor) for name, tensor in saved.items())
    assert result["n_trainable"] == sum(tensor.numel() for tensor in saved.values())
    resolved = dict(events)["resolved"]
    assert "model.layers.0.mlp.experts.gate_up_proj" in resolved["targets"]


def run_in_child(job: TrainJob) -> multiprocessing.process.BaseProcess:
    process = multiprocessing.get_context("fork").Process(target=train, args=(job, Events()))
    process.start()
    return process


def outputs(job: TrainJob) -> dict[str, bytes]:
    names = ("adapter/adapter_model.safetensors", "adapter/adapter_config.json")
    names += ("log.jsonl", "samples.jsonl")
    return {name: (Path(job.output) / name).read_bytes() for name in names}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_killed_at_any_moment_and_resumed_it_ends_in_the_same_bytes(
    make_job: MakeJob, precision: str
) -> None:
    settings = {"n_steps": 20, "precision": precision, "log_every": 3, "save_every": 3}
    whole, killed = make_job(name="whole", **settings), make_job(name="killed", **settings)
    begun = time.monotonic()
    process = run_in_child(whole)
    process.join()
    duration = time.monotonic() - begun
    assert process.exitcode == 0
    rng = random.Random(os.urandom(8))
    n_kills = 0
    while n_kills < 3:
        process = run_in_child(killed)
        process.join(rng.uniform(0.3, 0.8) * duration)
        if process.is_alive():
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
        process.join()
        n_kills += 1
        if process.exitcode == 0:
            break
    if process.exitcode != 0:
        events = Events()
        train(killed, events)
        if list((Path(killed.state) / "checkpoints").glob("step-*")):
            assert any(e == "note" and "resumed" in f["message"] for e, f in events)
    assert outputs(killed) == outputs(whole)
    steps = [orjson.loads(line)["step"] for line in outputs(killed)["log.jsonl"].splitlines()]
    assert steps == sorted(set(steps)) and steps[0] == 1 and steps[-1] == 20


def test_checkpoints_are_kept_by_number_and_half_written_ones_ignored(make_job: MakeJob) -> None:
    job = make_job(n_steps=8, save_every=1, keep_checkpoints=2)
    half_written = Path(job.state) / "checkpoints" / ".tmp-00000099"
    half_written.mkdir(parents=True)
    train(job, Events())
    names = sorted(p.name for p in (Path(job.state) / "checkpoints").glob("step-*"))
    assert names == ["step-00000007", "step-00000008"]


def test_a_rerun_keeps_the_settings_under_which_it_began(make_job: MakeJob) -> None:
    job = make_job()
    train(job, Events())
    again = job.model_copy(
        update={"micro_batch": 8, "runtime": Runtime(precision="bf16"), "output": job.output + "2"}
    )
    Path(again.output).mkdir()
    events = Events()
    train(again, events)
    resolved = dict(events)["resolved"]
    assert (resolved["micro_batch"], resolved["precision"]) == (1, "fp32")
    assert outputs(again) == outputs(job)


def test_gradient_checkpointing_changes_nothing(make_job: MakeJob) -> None:
    plain, frugal = make_job(name="plain"), make_job(name="frugal", gradient_checkpointing=True)
    train(plain, Events())
    train(frugal, Events())
    assert outputs(plain) == outputs(frugal)


def test_early_stopping_keeps_the_best_weights(make_job: MakeJob) -> None:
    """No check gains 100 nats over the first, so the weights after one step are kept."""
    settings = {"validate_every": 1, "schedule": "constant", "warmup_ratio": 0.0}
    stopping = EarlyStopping(patience=2, min_delta=100.0)
    job = make_job(n_steps=20, early_stopping=stopping, **settings)
    result = train(job, Events())
    assert (result["is_stopped_early"], result["best_step"], result["n_steps"]) == (True, 1, 3)
    one_step = make_job(name="one", n_steps=1, **settings)
    after_one_step = train(one_step, Events())
    name = "adapter/adapter_model.safetensors"
    assert outputs(job)[name] == outputs(one_step)[name]
    assert result["validation_loss"] == after_one_step["validation_loss"]
    assert [path.name for path in Path(job.state).glob("best-*")] == ["best-00000001.safetensors"]


def test_a_loss_that_is_not_a_number_names_step_and_dialogue(
    make_job: MakeJob, tmp_path: Path
) -> None:
    job = make_job(n_steps=3)
    folder = save_toy("qwen2", tmp_path / "broken")
    weights = load_file(folder / "model.safetensors")
    weights["model.embed_tokens.weight"][ord("q") - 33] = float("nan")  # a letter of some dialogues
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(NonFiniteLossError, match=r"loss .* step 1 on the dialogues .*d\d"):
        train(job.model_copy(update={"checkpoint": str(folder)}), Events())


def test_a_gradient_that_overflows_is_an_error(make_job: MakeJob) -> None:
    job = make_job(n_steps=3)
    trainer = _Trainer(job, Events())
    first = next(iter(trainer.trainable.parameters.values()))
    first.register_hook(lambda grad: grad * float("inf"))
    with pytest.raises(NonFiniteLossError, match=r"gradient .* step 1"):
        trainer.run()


def test_running_out_of_memory_clears_the_state_for_a_smaller_micro_batch(
    make_job: MakeJob,
) -> None:
    job = make_job(n_steps=3)

    def exhausted(event: str, /, **_: object) -> None:
        if event == "logged":
            torch.empty(1 << 60)  # more than any machine has

    with pytest.raises(OutOfMemoryError, match="micro_batch 1"):
        train(job, exhausted)
    assert not Path(job.state).exists()


def test_every_way_of_running_out_of_memory_is_recognised() -> None:
    for error in (MemoryError(), torch.OutOfMemoryError("CUDA out of memory")):
        expected = pytest.raises(OutOfMemoryError, match="out of memory while thinking")
        with expected, memory_errors("thinking"):
            raise error
    with pytest.raises(RuntimeError, match="else"), memory_errors("thinking"):
        raise RuntimeError("something else")


def test_frozen_modules_stay_as_they_are(make_job: MakeJob) -> None:
    job = make_job("baichuan2", method="full", frozen_modules=("lm_head",), learning_rate=1e-3)
    result = train(job, Events())
    before = load_file(Path(job.checkpoint) / "model.safetensors")
    after = load_file(Path(job.output) / "model" / "model.safetensors")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == before.keys() - {"lm_head.weight"}
    head = before["lm_head.weight"].numel()
    assert result["n_parameters"] - result["n_trainable"] == head


def test_full_fine_tuning_in_mixed_precision_learns(make_job: MakeJob) -> None:
    job = make_job(method="full", learning_rate=1e-3, precision="bf16", n_steps=10)
    result = train(job, Events())
    rows = [json.loads(line) for line in (Path(job.output) / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["loss"] < rows[0]["loss"] - 0.1
    assert result["n_trainable"] == result["n_parameters"]


def test_counts_and_log_agree_with_the_data(make_job: MakeJob) -> None:
    job = make_job(n_steps=5, log_every=3)
    result = train(job, Events())
    rows = [json.loads(line) for line in (Path(job.output) / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5]  # every second validates, too
    assert rows[-1]["n_tokens"] == result["n_tokens"]
    assert "seconds" not in json.dumps(rows)
    trainer = _Trainer(job, Events())
    expected = sum(
        len(trainer.plan.examples[name].input_ids) for step in trainer.plan.steps for name in step
    )
    assert result["n_tokens"] == expected


def test_what_cannot_be_trained_is_refused_before_training(make_job: MakeJob) -> None:
    job = make_job(name="gone")
    Path(job.validation).write_text("")
    with pytest.raises(DataError, match="empty"):
        train(job, Events())
    job = make_job(name="missing")
    Path(job.dialogues).write_text(Path(job.validation).read_text())
    with pytest.raises(DataError, match="lacks"):
        train(job, Events())
