"""Train one arm: the loop, from the first step to the saved weights.

The order of events in a step: its dialogues are laid out in micro-batches; each adds the gradient
of its summed loss, divided by the number of targets of the *whole* step, so that the split into
micro-batches changes nothing; the gradient is clipped; AdamW moves the weights. All randomness
inside a step is seeded from (seed, step, micro-batch), so a run that was killed and resumed from a
checkpoint computes the same bits as one that was not.
"""

from __future__ import annotations

import hashlib
import math
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import torch

from qingting.core.errors import DataError, NonFiniteLossError
from qingting.engines.native import checkpoints
from qingting.engines.native.adapters import prepare_trainable, save_adapter
from qingting.engines.native.batches import read_dialogues
from qingting.engines.native.classifiers import heads
from qingting.engines.native.journal import Journal
from qingting.engines.native.kernels import use_own_kernels
from qingting.engines.native.likelihood import autocast, dialogue_losses
from qingting.engines.native.loading import DTYPES, Checkpoint, load_checkpoint, memory_errors
from qingting.engines.native.lora_linear import DropoutPool, fuse
from qingting.engines.native.objectives import Batch, Item, Objective, objective_of
from qingting.engines.native.resources import peak_memory_bytes
from qingting.engines.native.rms_norm import fuse_norms
from qingting.engines.native.samples import SamplePrompt, answer_samples, sample_prompts
from qingting.engines.native.schedules import learning_rate_factor
from qingting.engines.native.weights import save_model
from qingting.engines.protocol import Emit, Runtime, TrainJob
from qingting.store.atomic import write_bytes


@dataclass(frozen=True)
class Plan:
    """What is trained on, in which order, and how: fixed before step 0."""

    steps: Sequence[Sequence[str]]
    examples: Mapping[str, Item]
    validation: Sequence[Item]
    samples: Sequence[SamplePrompt]


@dataclass
class Progress:
    """All that changes during training beside weights and moments; part of every checkpoint."""

    step: int = 0
    n_tokens: int = 0
    n_target_tokens: int = 0
    best_step: int | None = None
    best_loss: float | None = None
    n_checks_without_gain: int = 0
    is_stopped_early: bool = False
    wall_s: float = 0.0
    update_s: float = 0.0
    update_cpu_s: float = 0.0
    journal: Journal = field(default_factory=Journal)


def train(job: TrainJob, emit: Emit) -> dict[str, Any]:
    """Train as ``job`` says and return the figures of the run.

    Raises:
        NonFiniteLossError: The loss or the gradient became NaN or infinite.
        OutOfMemoryError: The device is too small; the job's state is cleared for a fresh start.
    """
    state = Path(job.state)
    state.mkdir(parents=True, exist_ok=True)
    job = _as_first_resolved(job, state)
    try:
        with memory_errors(f"training with micro_batch {job.micro_batch}"):
            return _Trainer(job, emit).run()
    except MemoryError:
        # the arm starts over with a smaller micro-batch, which the old record would forbid
        shutil.rmtree(state, ignore_errors=True)
        raise


def _as_first_resolved(job: TrainJob, state: Path) -> TrainJob:
    """Return ``job`` with the settings under which this state was begun, recording them if new."""
    path = state / "resolved.json"
    if not path.is_file():
        resolved = {
            "runtime": job.runtime.model_dump(),
            "micro_batch": job.micro_batch,
            "gradient_checkpointing": job.gradient_checkpointing,
        }
        write_bytes(path, orjson.dumps(resolved))
        return job
    resolved = orjson.loads(path.read_bytes())
    resolved["runtime"] = Runtime(**resolved["runtime"])
    return job.model_copy(update=resolved)


class _Trainer:
    """One run of one arm; ``run`` reads from top to bottom."""

    def __init__(self, job: TrainJob, emit: Emit) -> None:
        self.job, self.emit = job, emit
        self.recipe = job.recipe
        self.objective = objective_of(job)
        self.checkpoint = _load(job)
        self.device = self.checkpoint.device
        self.model = self.checkpoint.model
        self.trainable = prepare_trainable(
            self.model,
            job.recipe,
            seed=job.seed,
            frozen=job.frozen_modules,
            whole=_whole_modules(job, self.checkpoint),
        )
        self.dropout = DropoutPool(job.recipe.lora.dropout)
        fuse(self.model, self.dropout if job.recipe.lora.dropout else None)
        if self.device.type == "cpu":
            fuse_norms(self.model)
        use_own_kernels(self.model, attention=self.objective.attention)
        if job.gradient_checkpointing:
            self.model.gradient_checkpointing_enable({"use_reentrant": False})
        self.plan = _read_plan(job, self.checkpoint, self.objective)
        self.optimiser = torch.optim.AdamW(
            list(self.trainable.parameters.values()),
            lr=job.recipe.learning_rate,
            weight_decay=job.recipe.weight_decay,
            fused=True,
        )
        # adapters cast as they go; all weights in fp32 need autocast to compute in less
        precision = DTYPES[job.runtime.precision]
        is_full = job.recipe.method == "full" and precision is not torch.float32
        self.autocast_dtype = precision if is_full else None
        self.progress = Progress()

    def run(self) -> dict[str, Any]:
        """Train, write the output, and return the figures."""
        self._announce()
        self._resume()
        progress, n_steps = self.progress, len(self.plan.steps)
        begun = time.perf_counter() - progress.wall_s
        while progress.step < n_steps and not progress.is_stopped_early:
            wall, cpu = time.perf_counter(), time.process_time()
            row = self._update(progress.step)
            progress.step += 1
            progress.update_s += time.perf_counter() - wall
            progress.update_cpu_s += time.process_time() - cpu
            is_last = progress.step == n_steps
            if progress.step % self.recipe.validate_every == 0 or is_last:
                row["validation_loss"] = self._validate()
                is_last = is_last or progress.is_stopped_early
            progress.wall_s = time.perf_counter() - begun
            self._report(row, is_last=is_last)
            if progress.step % self.recipe.save_every == 0 or is_last:
                self._save()
        return self._finish()

    # -- one step --------------------------------------------------------------------------------

    def _update(self, step: int) -> dict[str, Any]:
        """Do one optimiser step and return its row of the log."""
        batches = self._batches([self.plan.examples[name] for name in self.plan.steps[step]])
        n_targets = sum(len(batch.labels) for batch in batches)
        self.model.train()
        nats = 0.0
        for index, batch in enumerate(batches):
            seed = _seed(self.job.seed, step, index)
            torch.manual_seed(seed)  # for dropout that the model itself may have
            self.dropout.refill(seed)
            with autocast(self.device, self.autocast_dtype):
                losses = self.objective.losses(self.model, batch)
            value = float(losses.total.detach())
            if not torch.isfinite(losses.total):
                bad = [
                    name
                    for name, loss in dialogue_losses(losses, batch).items()
                    if not torch.isfinite(torch.tensor(loss.nats))
                ]
                raise self._not_finite("loss", step, bad)
            (losses.total / n_targets).backward()  # type: ignore[no-untyped-call]
            nats += value
        rate = self.recipe.learning_rate * learning_rate_factor(
            step,
            len(self.plan.steps),
            warmup_ratio=self.recipe.warmup_ratio,
            schedule=self.recipe.schedule,
        )
        parameters = list(self.trainable.parameters.values())
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.recipe.max_gradient_norm)
        if not torch.isfinite(norm):
            raise self._not_finite("gradient", step, self.plan.steps[step])
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.progress.n_tokens += sum(batch.n_tokens for batch in batches)
        self.progress.n_target_tokens += n_targets
        self.progress.journal.add(nats, n_targets)
        return {"step": step + 1, "learning_rate": rate, "gradient_norm": float(norm)}

    def _batches(self, examples: Sequence[Item]) -> list[Batch]:
        batches = self.objective.batches(examples, pad_id=self.checkpoint.template.pad_id)
        return [batch.to(self.device) for batch in batches]

    def _not_finite(self, what: str, step: int, ids: Sequence[str]) -> NonFiniteLossError:
        return NonFiniteLossError(
            f"the {what} became NaN or infinite in step {step + 1} on the dialogues "
            f"{', '.join(ids)}: lower the learning rate, look at these dialogues, or train in "
            "fp32."
        )

    # -- between steps ---------------------------------------------------------------------------

    @torch.no_grad()
    def _validate(self) -> float:
        """Return the validation loss in nats per target, and keep account of the best."""
        self.model.eval()  # type: ignore[no-untyped-call]
        nats, n_targets = 0.0, 0
        for batch in self._batches(self.plan.validation):
            with autocast(self.device, self.autocast_dtype):
                losses = self.objective.losses(self.model, batch)
            nats += float(losses.nats.double().sum())
            n_targets += len(batch.labels)
        loss = nats / n_targets
        if not math.isfinite(loss):
            names = [example.id for example in self.plan.validation]
            raise self._not_finite("validation loss", self.progress.step - 1, names[:5])
        self._keep_best(loss)
        answers = answer_samples(self.checkpoint, self.plan.samples)
        for prompt, text in zip(self.plan.samples, answers, strict=True):
            self.progress.journal.add_sample(self.progress.step, prompt.id, text)
            self.emit("sample", step=self.progress.step, id=prompt.id, text=text)
        return loss

    def _keep_best(self, loss: float) -> None:
        progress, stopping = self.progress, self.recipe.early_stopping
        min_delta = stopping.min_delta if stopping else 0.0
        if progress.best_loss is None or loss < progress.best_loss - min_delta:
            progress.best_loss, progress.best_step = loss, progress.step
            progress.n_checks_without_gain = 0
            if stopping:
                checkpoints.write_tensors(self._best_path(progress.step), self.trainable.parameters)
        else:
            progress.n_checks_without_gain += 1
            if stopping and progress.n_checks_without_gain >= stopping.patience:
                progress.is_stopped_early = True
                self.emit(
                    "note",
                    message=f"stopped early after step {progress.step}: no better validation loss "
                    f"than after step {progress.best_step}",
                )

    def _best_path(self, step: int) -> Path:
        return Path(self.job.state) / f"best-{step:08d}.safetensors"

    def _report(self, row: dict[str, Any], *, is_last: bool) -> None:
        progress, n_steps = self.progress, len(self.plan.steps)
        step, speed = progress.step, progress.n_tokens / progress.update_s
        self.emit(
            "progress",
            done=step,
            total=n_steps,
            unit="step",
            loss=progress.journal.mean_loss,
            learning_rate=row["learning_rate"],
            tokens_per_s=speed,
            eta_s=progress.wall_s / step * (n_steps - step),
        )
        is_due = step == 1 or step % self.recipe.log_every == 0 or is_last
        if is_due or "validation_loss" in row:
            logged = progress.journal.log(
                row | {"n_tokens": progress.n_tokens, "n_target_tokens": progress.n_target_tokens},
                {"step": step, "seconds": progress.wall_s, "tokens_per_s": speed},
            )
            self.emit("logged", **logged)

    def _save(self) -> None:
        progress = self.progress
        record = {name: getattr(progress, name) for name in vars(progress) if name != "journal"}
        checkpoints.save(
            Path(self.job.state),
            progress.step,
            parameters=self.trainable.parameters,
            optimiser=self.optimiser,
            progress=record | {"journal": progress.journal.to_record()},
            keep=self.recipe.keep_checkpoints,
        )
        for path in Path(self.job.state).glob("best-*.safetensors"):
            if path != self._best_path(progress.best_step or 0):
                path.unlink()  # the checkpoint just written names a better one

    def _resume(self) -> None:
        """Continue from the newest checkpoint, if there is one."""
        saved = checkpoints.load_newest(Path(self.job.state))
        if saved is None:
            return
        checkpoints.restore(saved, self.trainable.parameters, self.optimiser)
        journal = Journal.from_record(saved.progress.pop("journal"))
        self.progress = Progress(**saved.progress, journal=journal)
        self.emit("note", message=f"resumed after step {self.progress.step}")

    # -- before and after ------------------------------------------------------------------------

    def _announce(self) -> None:
        trainable, job = self.trainable, self.job
        if job.runtime.attention != self.objective.attention and job.task == "classification":
            self.emit(
                "note",
                message=f"attention {job.runtime.attention} is asked for; texts are sorted with "
                "sdpa",
            )
        elif job.runtime.attention != "sdpa" and job.task != "classification":
            self.emit(
                "note",
                message=f"attention {job.runtime.attention} is asked for; this engine attends "
                "dialogue by dialogue through torch's own fused kernels, with the same result",
            )
        self.emit(
            "resolved",
            **job.runtime.model_dump(),
            micro_batch=job.micro_batch,
            gradient_checkpointing=job.gradient_checkpointing,
            packing=self.recipe.packing,
            n_steps=len(self.plan.steps),
            targets=list(trainable.targets),
            n_trainable=trainable.n_trainable,
            n_parameters=trainable.n_parameters,
            template_deviations=list(self.checkpoint.template.deviations),
        )

    def _finish(self) -> dict[str, Any]:
        progress, output = self.progress, Path(self.job.output)
        is_restored = bool(self.recipe.early_stopping) and progress.best_step != progress.step
        if is_restored:
            assert progress.best_step is not None
            best = checkpoints.load_tensors(self._best_path(progress.best_step))
            checkpoints.restore_weights(best, self.trainable.parameters)
        if self.trainable.wrapper is not None:
            base_name = self.checkpoint.folder.name
            save_adapter(self.trainable, output / "adapter", base_name=base_name)
        else:
            save_model(self.model, output / "model", source=self.checkpoint.folder)
        progress.journal.write(output)
        last = progress.journal.rows[-1]
        return {
            "n_steps": progress.step,
            "n_tokens": progress.n_tokens,
            "n_target_tokens": progress.n_target_tokens,
            "n_trainable": self.trainable.n_trainable,
            "n_parameters": self.trainable.n_parameters,
            "final_loss": last["loss"],
            "validation_loss": progress.best_loss if is_restored else last["validation_loss"],
            "best_step": progress.best_step,
            "is_stopped_early": progress.is_stopped_early,
            "measurements": {
                "wall_s": progress.wall_s,
                "update_s": progress.update_s,
                "update_cpu_s": progress.update_cpu_s,
                "tokens_per_s": progress.n_tokens / progress.update_s,
                "tokens_per_cpu_s": progress.n_tokens / progress.update_cpu_s,
                "peak_memory_bytes": peak_memory_bytes(self.device),
            },
        }


def _load(job: TrainJob) -> Checkpoint:
    """Return the model in the precision that its weights are held in during training."""
    # what is trained is held in fp32; a frozen base is held as it computes
    dtype = torch.float32 if job.recipe.method == "full" else DTYPES[job.runtime.precision]
    return load_checkpoint(
        job.checkpoint,
        job.runtime,
        dtype=dtype,
        task=job.task,
        labels=job.labels,
        seed=_seed(job.seed),
    )


def _whole_modules(job: TrainJob, checkpoint: Checkpoint) -> tuple[str, ...]:
    """Return what is trained whole beside an adapter: the classifier, and all without weights."""
    if job.task != "classification":
        return ()
    return tuple(dict.fromkeys((*heads(checkpoint.model), *checkpoint.fresh)))


def _read_plan(job: TrainJob, checkpoint: Checkpoint, objective: Objective) -> Plan:
    """Return what will be trained on, encoded; refuses a schedule that the data do not cover."""
    schedule = orjson.loads(Path(job.schedule).read_bytes())
    n_messages: dict[str, int] = schedule["n_messages"]
    steps: list[list[str]] = schedule["steps"]
    wanted = {name for step in steps for name in step}
    template = checkpoint.template
    examples = {
        dialogue.id: objective.encode(template, dialogue, n_messages=n_messages.get(dialogue.id))
        for dialogue in read_dialogues(job.dialogues)
        if dialogue.id in wanted
    }
    if missing := sorted(wanted - examples.keys()):
        raise DataError(f"{job.schedule} names dialogues that {job.dialogues} lacks: {missing[:5]}")
    held_out = [one for one in read_dialogues(job.validation) if one.id in n_messages]
    validation = [
        objective.encode(template, dialogue, n_messages=n_messages.get(dialogue.id))
        for dialogue in held_out
    ]
    if not steps or not any(example.n_targets for example in validation):
        raise DataError(
            f"{job.schedule} or {job.validation} is empty: nothing to train or validate"
        )
    n_samples = 0 if job.task == "classification" else job.recipe.n_samples
    samples = sample_prompts(template, held_out, n_messages, n_samples)
    return Plan(steps, examples, validation, samples)


def _seed(*parts: int) -> int:
    """Return a seed for torch that no other (seed, step, micro-batch) shares but by accident."""
    digest = hashlib.sha256(":".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
