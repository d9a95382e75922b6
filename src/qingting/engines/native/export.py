"""Merge what was trained into whole weights, and prove that the result is what was trained.

Three states of the model answer the same probes: the base with its adapter, the merged weights in
fp32, and the export as read back from disk. The base answers the first of them, where it shows that
training changed something. Only their logits at the counsellor's tokens are kept, and only one model
is in memory at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import orjson
import torch
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel

from qingting.core.errors import DataError, EngineError
from qingting.engines.native.batches import Example, encode_dialogue, read_dialogues
from qingting.engines.native.classifiers import fitted, label_logits, load_classifier
from qingting.engines.native.loading import load_model, memory_errors, prepare
from qingting.engines.native.weights import save_model
from qingting.engines.protocol import Emit, ExportJob
from qingting.models.templates import Template, TextTemplate, load_template

MAX_POSITIONS = 512
"""Positions whose logits are compared, spread over all probes: 512 × 150,000 words are 0.3 GB."""

_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}


class Probe(NamedTuple):
    """A dialogue and the positions, (n,), whose logits are compared."""

    input_ids: Tensor
    positions: Tensor


class _Subject(NamedTuple):
    """How the model of a task is read from a folder, and what it answers to the probes."""

    load: Callable[[Path], PreTrainedModel]
    answer: Callable[[PreTrainedModel, Sequence[Any]], Tensor]
    probes: Sequence[Any]

    def logits(self, model: PreTrainedModel) -> Tensor:
        """Return the logits at all probed positions, probe by probe."""
        return self.answer(model, self.probes)


class Proof(NamedTuple):
    """One claim about the export: what was measured, what is allowed, and whether it holds."""

    name: str
    value: float
    limit: str
    holds: bool


def export(job: ExportJob, emit: Emit) -> dict[str, Any]:
    """Write ``model/`` and ``proofs.json``.

    Raises:
        EngineError: A proof failed; the message names it.
    """
    with memory_errors("exporting"):
        return _export(job, emit)


def _export(job: ExportJob, emit: Emit) -> dict[str, Any]:
    device = prepare(job.runtime)
    base_folder, output = Path(job.checkpoint), Path(job.output)
    template = load_template(base_folder, job.task)
    examples = [encode_dialogue(template, dialogue) for dialogue in read_dialogues(job.probes)]
    subject = _subject(job, template, examples, device)
    dtype = _DTYPES[job.dtype]

    emit("progress", done=0, total=3, unit="check", doing="base")
    model = subject.load(base_folder)
    base = subject.answer(model, subject.probes[:1])
    emit("progress", done=1, total=3, unit="check", doing="merge")
    trained, merged = _merge(model, Path(job.trained), subject)
    trained_logits, merge_error = trained
    merged.to(dtype)  # type: ignore[arg-type]
    save_model(merged, output / "model", source=base_folder, shard_bytes=job.shard_bytes)
    rounded_weights = {name: tensor.cpu() for name, tensor in merged.state_dict().items()}
    del model, merged

    emit("progress", done=2, total=3, unit="check", doing="reload")
    reloaded = subject.load(output / "model")
    proofs = (
        _changes_logits(base, trained_logits[: len(base)]),
        Proof(
            "merge_error",
            merge_error,
            f"<= {job.max_merge_error}",
            merge_error <= job.max_merge_error,
        ),
        *_rounding(job, trained_logits, subject.logits(reloaded)),
        _same_weights(rounded_weights, reloaded),
        _same_template(template, output / "model", job, examples),
    )
    record = {proof.name: proof._asdict() for proof in proofs}
    for entry in record.values():
        del entry["name"]
    (output / "proofs.json").write_bytes(orjson.dumps(record, option=orjson.OPT_INDENT_2))
    emit("progress", done=3, total=3, unit="check")
    if failed := [proof for proof in proofs if not proof.holds]:
        reasons = "; ".join(f"{p.name} is {p.value:.6g}, must be {p.limit}" for p in failed)
        raise EngineError(f"the export is not what was trained: {reasons}")
    shards = sorted((output / "model").glob("*.safetensors"))
    return {
        "proofs": record,
        "dtype": job.dtype,
        "n_shards": len(shards),
        "n_bytes": sum(shard.stat().st_size for shard in shards),
    }


def _subject(
    job: ExportJob, template: Template, examples: Sequence[Example], device: torch.device
) -> _Subject:
    if job.task == "classification":
        assert isinstance(template, TextTemplate)
        pad_id = template.pad_id
        texts = [fitted(template, example.input_ids) for example in examples]
        load = partial(
            load_classifier, labels=job.labels, device=device, dtype=torch.float32, pad_id=pad_id
        )
        answer = partial(_text_logits, pad_id=pad_id)
        return _Subject(lambda folder: load(folder).model, answer, texts)
    if isinstance(template, TextTemplate) and template.max_positions is not None:
        limit = template.max_positions
        examples = [
            Example(one.id, one.input_ids[:limit], one.is_target[:limit]) for one in examples
        ]
    return _Subject(partial(_load, device=device), probe_logits, choose_probes(examples))


def _load(folder: Path, *, device: torch.device) -> PreTrainedModel:
    """Return a model in fp32 with the fastest stock attention that its architecture has."""
    model = load_model(folder, device=device, dtype=torch.float32)
    if model._supports_sdpa:  # GPT-OSS has sinks, which fused attention lacks
        model.set_attn_implementation("sdpa")
    return model


@torch.inference_mode()
def _text_logits(model: PreTrainedModel, texts: Sequence[Sequence[int]], pad_id: int) -> Tensor:
    """Return (n_texts, n_labels) logits on the CPU, one text at a time."""
    return torch.cat([label_logits(model, [text], pad_id=pad_id).cpu() for text in texts])


def choose_probes(examples: Sequence[Example]) -> list[Probe]:
    """Return as many positions of each dialogue as fit :data:`MAX_POSITIONS` together.

    Raises:
        DataError: No dialogue has a counsellor's token.
    """
    usable = [example for example in examples if example.n_targets]
    if not usable:
        raise DataError("the probes of an export hold no counsellor's turn")
    usable = usable[:MAX_POSITIONS]
    share = MAX_POSITIONS // len(usable)
    probes = []
    for example in usable:
        sources = [t - 1 for t, wanted in enumerate(example.is_target) if wanted and t > 0]
        chosen = sources[:: max(1, len(sources) // share)][:share]
        ids = torch.tensor([example.input_ids[: chosen[-1] + 1]])
        probes.append(Probe(ids, torch.tensor(chosen)))
    return probes


@torch.inference_mode()
def probe_logits(model: PreTrainedModel, probes: Sequence[Probe]) -> Tensor:
    """Return the logits at all probed positions, (n_positions, vocabulary), on the CPU.

    Uses the model's stock attention, one dialogue at a time: independent of how training packs.
    """
    parts = []
    for probe in probes:
        logits = model(
            input_ids=probe.input_ids.to(model.device),
            logits_to_keep=probe.positions.to(model.device),
            use_cache=False,
        ).logits
        parts.append(logits[0].float().cpu())
    return torch.cat(parts)


def _merge(
    model: PreTrainedModel, trained: Path, subject: _Subject
) -> tuple[tuple[Tensor, float], PreTrainedModel]:
    """Return the logits of what was trained, the error of merging, and the merged model in fp32.

    The error is the largest difference of a logit, in units of the largest logit or 1.
    """
    if (trained / "model").is_dir():  # full fine-tuning: nothing to merge
        whole = subject.load(trained / "model")
        return (subject.logits(whole), 0.0), whole
    adapted = PeftModel.from_pretrained(model, trained / "adapter").eval()
    before = subject.logits(cast(PreTrainedModel, adapted.get_base_model()))
    merged = cast(PreTrainedModel, adapted.merge_and_unload(safe_merge=True))
    after = subject.logits(merged)
    error = float((before - after).abs().max() / before.abs().max().clamp(min=1.0))
    return (before, error), merged


def _changes_logits(base: Tensor, trained: Tensor) -> Proof:
    change = float((base - trained).abs().max())
    return Proof("training_changes_logits", change, "> 0", change > 0)


def _rounding(job: ExportJob, trained: Tensor, rounded: Tensor) -> tuple[Proof, Proof]:
    """Return the mean KL(trained ‖ rounded) in nats and the share of equal first choices."""
    log_p = torch.log_softmax(trained.double(), dim=-1)
    log_q = torch.log_softmax(rounded.double(), dim=-1)
    divergence = float((log_p.exp() * (log_p - log_q)).sum(dim=-1).mean().clamp(min=0.0))
    agreement = float((trained.argmax(dim=-1) == rounded.argmax(dim=-1)).double().mean())
    return (
        Proof(
            "rounding_kl",
            divergence,
            f"<= {job.max_rounding_kl}",
            divergence <= job.max_rounding_kl,
        ),
        Proof(
            "rounding_agreement",
            agreement,
            f">= {job.min_rounding_agreement}",
            agreement >= job.min_rounding_agreement,
        ),
    )


def _same_weights(saved: Mapping[str, Tensor], reloaded: PreTrainedModel) -> Proof:
    """Prove that the files hold the rounded weights to the bit."""
    n_different = sum(
        not torch.equal(saved[name].float(), tensor.cpu())
        for name, tensor in reloaded.state_dict().items()
    )
    return Proof("weights_differing_after_reload", n_different, "0", n_different == 0)


def _same_template(
    template: Template, folder: Path, job: ExportJob, examples: Sequence[Example]
) -> Proof:
    exported = load_template(folder, job.task)
    n_different = sum(
        encode_dialogue(exported, dialogue) != example
        for dialogue, example in zip(read_dialogues(job.probes), examples, strict=True)
    )
    n_different += template.signature() != exported.signature()
    return Proof("probes_encoded_differently", n_different, "0", n_different == 0)
