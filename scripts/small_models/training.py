"""Pre-training in rounds: a stable phase that can go on at any time, and a decay from a copy.

The learning rate warms up, stays, and falls only in the decay (Hu et al. 2024, MiniCPM, §4.3), so
the stable checkpoint can be trained on later while usable weights are exported now.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from qingting.core.dialogue import Message
from qingting.models.chat import ChatTemplate
from qingting.models.tiny.architectures import TinyFamily

from .corpus import Corpus, Document, training_documents

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

IGNORED = -100


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the models are trained; the same for all six.

    ``sequence_lengths[e]`` is that of epoch ``e``; the last serves all later ones. Short sequences
    come first because attention takes half of the time at 512 tokens on one core.
    """

    n_tokens_per_step: int = 2048
    sequence_lengths: tuple[int, ...] = (256, 512)
    decay_sequence_length: int = 1024
    muon_learning_rate: float = 0.02
    adamw_learning_rate: float = 6e-3
    weight_decay: float = 0.1
    n_warmup_steps: int = 50
    decay_share: float = 0.15
    balance_weight: float = 0.01
    seed: int = 20240726


class Row(NamedTuple):
    """One training sequence: inputs and the token that each position is to predict."""

    inputs: list[int]
    targets: list[int]


@dataclass(slots=True)
class Trainer:
    """A model with its optimisers and its place in the data; everything a checkpoint holds."""

    family: TinyFamily
    recipe: Recipe
    chat: ChatTemplate
    model: PreTrainedModel
    optimisers: list[torch.optim.Optimizer]
    step: int = 0
    epoch: int = 0
    n_tokens_used: int = 0
    cpu_seconds: float = 0.0
    peaks: list[float] = field(default_factory=list)


def new_trainer(family: TinyFamily, recipe: Recipe) -> Trainer:
    """Return a trainer at step 0 with the tokenizer and configuration of the family's folder."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(recipe.seed)
    config = AutoConfig.from_pretrained(family.folder, local_files_only=True)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    optimisers = _optimisers(model, recipe)
    peaks = [group["lr"] for optimiser in optimisers for group in optimiser.param_groups]
    chat = ChatTemplate.load(family.folder)
    return Trainer(family, recipe, chat, model, optimisers, peaks=peaks)


def save_checkpoint(trainer: Trainer, path: Path) -> None:
    """Write everything that training needs to go on, replacing the file at once."""
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    state = {
        "model": trainer.model.state_dict(),
        "optimisers": [optimiser.state_dict() for optimiser in trainer.optimisers],
        **{name: getattr(trainer, name) for name in _COUNTERS},
    }
    unfinished = path.with_suffix(".unfinished")
    torch.save(state, unfinished)
    unfinished.replace(path)


def load_trainer(family: TinyFamily, recipe: Recipe, path: Path) -> Trainer:
    """Return the trainer that a checkpoint holds, or a new one where there is none."""
    import torch

    trainer = new_trainer(family, recipe)
    if path.is_file():
        state = torch.load(path, weights_only=True)
        trainer.model.load_state_dict(state["model"])
        for optimiser, saved in zip(trainer.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        for name in _COUNTERS:
            setattr(trainer, name, state[name])
    return trainer


_COUNTERS = ("step", "epoch", "n_tokens_used", "cpu_seconds")


def train(
    trainer: Trainer,
    corpus: Corpus,
    *,
    until_step: int | None = None,
    until_cpu_seconds: float | None = None,
    decay: bool = False,
) -> Iterator[float]:
    """Yield the loss of each step (nats per token) until a step or a CPU time is reached.

    With ``decay`` the learning rate falls to zero over ``until_step - trainer.step`` steps.
    """
    first_step = trainer.step
    for batch in _batches(trainer, corpus, decay=decay):
        if until_step is not None and trainer.step >= until_step:
            return
        if until_cpu_seconds is not None and trainer.cpu_seconds >= until_cpu_seconds:
            return
        started = time.process_time()
        warm = min(1.0, (trainer.step + 1) / trainer.recipe.n_warmup_steps)
        scale = warm
        if decay and until_step is not None:
            scale *= (until_step - trainer.step) / (until_step - first_step)
        loss = _step(trainer, batch, scale)
        trainer.step += 1
        trainer.n_tokens_used += trainer.recipe.n_tokens_per_step
        trainer.cpu_seconds += time.process_time() - started
        yield loss


def n_decay_steps(trainer: Trainer) -> int:
    """Return how many steps a decay from here takes."""
    return max(30, round(trainer.recipe.decay_share * trainer.step))


def export_weights(trainer: Trainer) -> Path:
    """Write model.safetensors in bfloat16 into the family's folder and return its path."""
    import torch
    from safetensors.torch import save_file

    head = trainer.model.get_output_embeddings()
    tied = {
        name
        for name, parameter in trainer.model.named_parameters(remove_duplicate=False)
        if head is not None and parameter is head.weight and name.startswith("lm_head")
    }
    weights = {
        name: value.detach().to(torch.bfloat16).contiguous()
        for name, value in trainer.model.state_dict().items()
        if name not in tied
    }
    path = trainer.family.folder / "model.safetensors"
    unfinished = path.with_suffix(".unfinished")
    save_file(weights, str(unfinished), metadata={"format": "pt"})
    unfinished.chmod(0o644)
    unfinished.replace(path)
    return path


def bits_per_byte(
    trainer: Trainer, dialogues: Sequence[tuple[Message, ...]], *, window: int = 1024
) -> float:
    """Return bits per UTF-8 byte of content over dialogues, template tokens' bits included."""
    import torch
    from torch.nn.functional import cross_entropy

    nats, n_bytes = 0.0, 0
    trainer.model.eval()
    for messages in dialogues:
        encoded = trainer.chat.encode(messages)
        start = encoded.message_ends[0] if messages[0].role == "system" else 0
        ids = torch.tensor(encoded.input_ids)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            for begin in range(0, len(ids) - 1, window):
                piece = ids[begin : begin + window + 1]
                logits = trainer.model(input_ids=piece[None, :-1], use_cache=False).logits[0]
                losses = cross_entropy(logits.float(), piece[1:], reduction="none")
                nats += float(losses[max(0, start - 1 - begin) :].sum())
        n_bytes += sum(len(m.content.encode()) for m in messages if m.role != "system")
    trainer.model.train()
    return nats / math.log(2) / n_bytes


def greedy_answer(trainer: Trainer, messages: Sequence[Message], *, n_tokens: int = 120) -> str:
    """Return the answer of greedy decoding, with no penalty on repetition."""
    import torch

    ids = trainer.chat.encode(messages, add_generation_prompt=True).input_ids
    trainer.model.eval()
    with torch.no_grad():
        output = trainer.model.generate(
            input_ids=torch.tensor([ids]),
            attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            max_new_tokens=n_tokens,
            do_sample=False,
            eos_token_id=sorted(trainer.chat.stop_ids),
            pad_token_id=trainer.chat.pad_id,
        )
    trainer.model.train()
    return trainer.chat.decode(output[0, len(ids) :].tolist())


def _optimisers(model: PreTrainedModel, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Return Muon for the matrices inside layers and AdamW for everything else.

    Muon: Jordan et al. (2024), with the update scaled to AdamW's size (Liu et al. 2025, §2.2).
    """
    import torch

    matrices, experts, embeddings, vectors = [], [], [], []
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2 and "embed" not in name and "router" not in name:
            matrices.append(parameter)
        elif parameter.ndim == 3:
            experts.append(parameter)
        elif "embed" in name:
            embeddings.append(parameter)
        else:
            vectors.append(parameter)
    decay, rate = recipe.weight_decay, recipe.adamw_learning_rate
    groups: list[dict[str, Any]] = [
        {"params": embeddings, "weight_decay": 0.0},
        {"params": experts, "weight_decay": decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return [
        torch.optim.Muon(
            matrices,
            lr=recipe.muon_learning_rate,
            weight_decay=decay,
            adjust_lr_fn="original",
        ),
        torch.optim.AdamW(
            [group for group in groups if group["params"]], lr=rate, betas=(0.9, 0.95), fused=True
        ),
    ]


def _step(trainer: Trainer, batch: list[Row], scale: float) -> float:
    """Return the mean loss of a batch after one optimiser step."""
    import torch
    from torch.nn.functional import cross_entropy

    inputs = torch.tensor([row.inputs for row in batch])
    targets = torch.tensor([row.targets for row in batch])
    is_mixture = trainer.family.model_type == "gpt_oss"
    options: dict[str, Any] = {"output_router_logits": True} if is_mixture else {}
    with torch.autocast("cpu", torch.bfloat16):
        output = trainer.model(input_ids=inputs, use_cache=False, **options)
    loss = cross_entropy(
        output.logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED
    )
    total = loss + trainer.recipe.balance_weight * output.aux_loss if is_mixture else loss
    total.backward()
    torch.nn.utils.clip_grad_norm_(trainer.model.parameters(), 1.0)
    groups = [group for optimiser in trainer.optimisers for group in optimiser.param_groups]
    for group, peak in zip(groups, trainer.peaks, strict=True):
        group["lr"] = peak * scale
    for optimiser in trainer.optimisers:
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    return float(loss.detach())


def _batches(trainer: Trainer, corpus: Corpus, *, decay: bool) -> Iterator[list[Row]]:
    """Yield batches for ever, starting where the trainer stands."""
    recipe = trainer.recipe
    while True:
        lengths = recipe.sequence_lengths
        length = lengths[min(trainer.epoch, len(lengths) - 1)]
        length = recipe.decay_sequence_length if decay else length
        rows = _epoch_rows(trainer, corpus, length)
        n_rows = recipe.n_tokens_per_step // length
        while (start := trainer.n_tokens_used // length) + n_rows <= len(rows):
            yield rows[start : start + n_rows]
        trainer.epoch += 1
        trainer.n_tokens_used = 0


def _epoch_rows(trainer: Trainer, corpus: Corpus, length: int) -> list[Row]:
    """Return the sequences of the trainer's epoch: documents end to end, cut at equal lengths."""
    rng = random.Random(f"{trainer.recipe.seed}-{trainer.epoch}")
    inputs: list[int] = []
    targets: list[int] = []
    for document in training_documents(corpus, rng):
        row = _encode_document(trainer.chat, document)
        inputs += row.inputs
        targets += row.targets
    targets = [*targets[1:], IGNORED]
    starts = list(range(0, len(inputs) - length + 1, length))
    rng.shuffle(starts)
    return [Row(inputs[i : i + length], targets[i : i + length]) for i in starts]


def _encode_document(chat: ChatTemplate, document: Document) -> Row:
    """Return a document's tokens, and what is to be predicted in their place.

    The two differ where a template ends an earlier answer in a token that does not stop
    generation (GPT-OSS): there the token that does is taught.
    """
    if not document.messages:
        end = chat.tokenizer.eos_token_id
        ids = [*chat.tokenizer.encode(document.text, add_special_tokens=False), end]
        return Row(ids, ids)
    encoded = chat.encode(document.messages)
    targets = list(encoded.input_ids)
    mask = [*encoded.target_mask, False]
    for place, token_id in enumerate(encoded.input_ids):
        ends_here = mask[place] and not mask[place + 1]
        if ends_here and token_id not in chat.stop_ids and place + 1 < len(targets):
            targets[place + 1] = chat.tokenizer.eos_token_id
    return Row(encoded.input_ids, targets)
