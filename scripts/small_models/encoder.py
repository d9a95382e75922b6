"""The small BERT: a WordPiece tokenizer and masked language modelling on the corpus of the six."""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from qingting.core.dialogue import Dialogue
from qingting.models.segment_encoders import segment_encoders
from qingting.models.tiny.architectures import QWEN2_5

from .corpus import CPSYCOUND, EMOLLM_AIWEI, EMOLLM_DATA, Corpus, training_documents
from .tokenization import tokenizer_texts

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer
    from transformers import PreTrainedModel

NAME = "bert-tiny"
FOLDER = QWEN2_5.folder.parent / NAME
IGNORED = -100
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
VOCABULARY_SIZE = 3328
N_CHARACTERS = 2300
"""Characters with a token of their own; rarer ones are unknown, as in any WordPiece vocabulary."""
P_MASKED = 0.15
N_EVALUATED = 200

SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY_SIZE,
    "hidden_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 256,
    "max_position_embeddings": 256,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
}


@dataclass(frozen=True, slots=True)
class EncoderRecipe:
    """How the encoder is trained. Dropout is off: one pass over the text does not overfit."""

    n_rows: int = 32
    length: int = 96
    muon_learning_rate: float = 0.02
    adamw_learning_rate: float = 4e-3
    weight_decay: float = 0.1
    n_warmup_steps: int = 50
    decay_share: float = 0.3
    seed: int = 20240726


class MaskedRow(NamedTuple):
    """A sequence with tokens hidden, and what stood there (:data:`IGNORED` elsewhere)."""

    inputs: list[int]
    targets: list[int]


def train_wordpiece(texts: Iterator[str]) -> Tokenizer:
    """Return a WordPiece tokenizer as BERT has it: Chinese characters apart, lower case."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from tokenizers.trainers import WordPieceTrainer

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=True, strip_accents=True, lowercase=True
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    trainer = WordPieceTrainer(
        vocab_size=VOCABULARY_SIZE,
        limit_alphabet=N_CHARACTERS,
        special_tokens=list(SPECIAL_TOKENS),
        continuing_subword_prefix="##",
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    cls, sep = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", sep), ("[CLS]", cls))
    return tokenizer


def prepare_encoder(corpus: Corpus) -> None:
    """Write the tokenizer and the configuration."""
    from transformers import BertConfig

    FOLDER.mkdir(parents=True, exist_ok=True)
    tokenizer = train_wordpiece(tokenizer_texts(corpus))
    tokenizer.save(str(FOLDER / "tokenizer.json"), pretty=False)
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    plain: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **dict(zip(names, SPECIAL_TOKENS, strict=True)),
        "clean_up_tokenization_spaces": False,
        "model_max_length": SIZES["max_position_embeddings"],
    }
    path = FOLDER / "tokenizer_config.json"
    path.write_text(json.dumps(plain, indent=2) + "\n", encoding="utf-8")
    config = BertConfig(**SIZES, pad_token_id=tokenizer.token_to_id("[PAD]"))
    config.architectures = ["BertForMaskedLM"]
    config.dtype = "bfloat16"
    config.save_pretrained(FOLDER)


def train_encoder(
    corpus: Corpus, recipe: EncoderRecipe, *, cpu_seconds: float
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Return the model after training for a CPU time, the learning rate falling at the end."""
    import torch
    from transformers import AutoConfig, AutoModelForMaskedLM

    from .training import Recipe, _optimisers

    torch.manual_seed(recipe.seed)
    config = AutoConfig.from_pretrained(FOLDER, local_files_only=True)
    model = AutoModelForMaskedLM.from_config(config, dtype=torch.float32)
    rates = Recipe(
        muon_learning_rate=recipe.muon_learning_rate,
        adamw_learning_rate=recipe.adamw_learning_rate,
        weight_decay=recipe.weight_decay,
    )
    optimisers = _optimisers(model, rates)
    groups = [group for optimiser in optimisers for group in optimiser.param_groups]
    peaks = [group["lr"] for group in groups]
    model.eval()  # no dropout
    started, step, losses = time.process_time(), 0, []
    for batch in _batches(corpus, recipe):
        spent = time.process_time() - started
        if spent >= cpu_seconds:
            break
        left = (1 - spent / cpu_seconds) / recipe.decay_share
        scale = min(1.0, (step + 1) / recipe.n_warmup_steps, left)
        loss = _masked_loss(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group, peak in zip(groups, peaks, strict=True):
            group["lr"] = peak * scale
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        step += 1
        losses.append(float(loss.detach()))
        if step % 50 == 0:
            mean = sum(losses[-50:]) / 50
            print(f"{NAME} step {step} loss {mean:.4f} {spent:.0f} CPU-s", flush=True)
    figures = {
        "model": NAME,
        "n_parameters": model.num_parameters(),
        "n_steps": step,
        "cpu_seconds": round(time.process_time() - started),
        "recipe": asdict(recipe),
    }
    return model, figures


def export_encoder(model: PreTrainedModel) -> None:
    """Write model.safetensors in bfloat16, tied weights once."""
    import torch
    from safetensors.torch import save_file

    weights = {
        name: value.detach().to(torch.bfloat16).contiguous()
        for name, value in model.state_dict().items()
        if not name.startswith("cls.predictions.decoder") and value.is_floating_point()
    }
    path = FOLDER / "model.safetensors"
    unfinished = path.with_suffix(".unfinished")
    save_file(weights, str(unfinished), metadata={"format": "pt"})
    unfinished.chmod(0o644)
    unfinished.replace(path)


def measure_encoder(model: PreTrainedModel, corpus: Corpus) -> dict[str, dict[str, float]]:
    """Return, per source, how well hidden tokens of kept-back dialogues are restored."""
    import torch

    found: dict[str, dict[str, float]] = {}
    for source in (CPSYCOUND, EMOLLM_DATA, EMOLLM_AIWEI):
        dialogues = corpus.part(source, held_out=True)[:N_EVALUATED]
        rows = _rows(dialogues, EncoderRecipe(), random.Random(0))
        nats, right, n = 0.0, 0, 0
        for start in range(0, len(rows), 64):
            batch = rows[start : start + 64]
            inputs = torch.tensor([row.inputs for row in batch])
            targets = torch.tensor([row.targets for row in batch])
            with torch.no_grad():
                logits = model(input_ids=inputs, attention_mask=(inputs != 0).long()).logits
            at = targets != IGNORED
            losses = torch.nn.functional.cross_entropy(logits[at], targets[at], reduction="sum")
            nats += float(losses)
            right += int((logits[at].argmax(-1) == targets[at]).sum())
            n += int(at.sum())
        found[source.name] = {"bits_per_token": nats / n / math.log(2), "accuracy": right / n}
    return found


def _masked_loss(model: PreTrainedModel, batch: Sequence[MaskedRow]) -> torch.Tensor:
    """Return the mean loss at hidden tokens; only those are projected to the vocabulary."""
    import torch

    inputs = torch.tensor([row.inputs for row in batch])
    targets = torch.tensor([row.targets for row in batch])
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model.base_model(
            input_ids=inputs, attention_mask=(inputs != 0).long()
        ).last_hidden_state
        at = targets != IGNORED
        logits = model.cls(hidden[at])
    return torch.nn.functional.cross_entropy(logits.float(), targets[at])


def _batches(corpus: Corpus, recipe: EncoderRecipe) -> Iterator[list[MaskedRow]]:
    epoch = 0
    while True:
        rng = random.Random(f"{recipe.seed}-{epoch}")
        documents = training_documents(corpus, rng)
        dialogues = [
            Dialogue(str(n), tuple(m for m in d.messages if m.role != "system"))
            for n, d in enumerate(documents)
            if d.messages
        ]
        texts = [d.text for d in documents if not d.messages]
        rows = _rows(dialogues, recipe, rng, texts=texts)
        rng.shuffle(rows)
        for start in range(0, len(rows) - recipe.n_rows + 1, recipe.n_rows):
            yield rows[start : start + recipe.n_rows]
        epoch += 1


def _rows(
    dialogues: Sequence[Dialogue],
    recipe: EncoderRecipe,
    rng: random.Random,
    *,
    texts: Sequence[str] = (),
) -> list[MaskedRow]:
    """Return masked sequences: turns with [SEP] between them, as many as fit, then cut."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(FOLDER, local_files_only=True)
    encode = segment_encoders(tokenizer).content
    cls, sep, mask = tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.mask_token_id
    units = [[turn.content for turn in dialogue.messages] for dialogue in dialogues]
    units += [[text] for text in texts]
    rows = []
    for unit in units:
        pieces = [[*encode(words), sep] for words in unit]
        row = [cls]
        for piece in pieces:
            while piece:
                room = recipe.length - len(row)
                # a turn that does not fit starts a row of its own, a longer one is cut
                if len(piece) > room and len(row) > recipe.length // 2:
                    rows.append(row)
                    row = [cls]
                    continue
                row = [*row, *piece[:room]]
                piece = piece[room:]
                if len(row) == recipe.length:
                    rows.append(row)
                    row = [cls]
        if len(row) > 8:
            rows.append(row)
    return [_masked(row, recipe.length, mask, rng) for row in rows]


def _masked(ids: Sequence[int], length: int, mask: int, rng: random.Random) -> MaskedRow:
    """Return a row with 15% of its tokens hidden: 80% masked, 10% replaced, 10% left.

    Source: Devlin et al. (2019), §3.1.
    """
    first = len(SPECIAL_TOKENS)
    places = [n for n, token in enumerate(ids) if token >= first]
    n_hidden = max(1, round(P_MASKED * len(places))) if places else 0
    inputs = [*ids, *[0] * (length - len(ids))]
    targets = [IGNORED] * length
    for place in rng.sample(places, n_hidden):
        targets[place] = ids[place]
        draw = rng.random()
        if draw < 0.8:
            inputs[place] = mask
        elif draw < 0.9:
            inputs[place] = rng.randrange(first, VOCABULARY_SIZE)
    return MaskedRow(inputs, targets)


_CARD = """---
license: cc-by-4.0
language: [zh, en]
pipeline_tag: fill-mask
---

# {name}

A {millions:.2f} M parameter BERT that ships with Qingting, so that text classification can be tried,
taught and tested on a laptop. It is not made by, and holds no weights of, the makers of BERT.

**Not for people in need.** It has no clinical validity whatever; a classifier built on it must not
decide whether a person is heard.

- Architecture: `BertForMaskedLM` of transformers, {layers} layers, width {width}, {positions}
  positions; tied embeddings.
- Tokenizer: WordPiece with {vocabulary} tokens, lower case, Chinese characters one by one; rare
  characters are unknown to it.
- Weights: bfloat16, safetensors, no remote code.
- Training: masked language modelling (15% hidden), {steps:,} steps of {rows} × {length} tokens,
  {cpu_seconds:,} CPU-seconds on one core, on the same text as the six small language models, with
  the same tenth kept back (`../pretraining.json`). Built by `scripts/build_small_models.py encoder`.

Restoring hidden tokens of up to {n_evaluated} kept-back dialogues:

| source | hidden tokens restored | bits per hidden token |
|---|---|---|
{figures}

Attribution (CC BY 4.0 asks for it, MIT for its notice):
{attributions}

The weights are offered under CC BY 4.0.
"""


def write_encoder_card(
    figures: dict[str, Any], held_out: dict[str, dict[str, float]], corpus: Corpus
) -> None:
    """Write the model's README.md."""
    used = [source for source in corpus.dialogues if source.is_trained_on]
    text = _CARD.format(
        name=NAME,
        millions=figures["n_parameters"] / 1e6,
        layers=SIZES["num_hidden_layers"],
        width=SIZES["hidden_size"],
        positions=SIZES["max_position_embeddings"],
        vocabulary=VOCABULARY_SIZE,
        steps=figures["n_steps"],
        rows=figures["recipe"]["n_rows"],
        length=figures["recipe"]["length"],
        cpu_seconds=figures["cpu_seconds"],
        n_evaluated=N_EVALUATED,
        figures="\n".join(
            f"| {name} | {100 * one['accuracy']:.1f}% | {one['bits_per_token']:.2f} |"
            for name, one in held_out.items()
        ),
        attributions="\n".join(
            f"- {line}"
            for line in dict.fromkeys(
                f"{source.attribution}, {source.licence}, revision {corpus.revisions[source]}"
                for source in used
            )
        ),
    )
    (FOLDER / "README.md").write_text(text, encoding="utf-8")
