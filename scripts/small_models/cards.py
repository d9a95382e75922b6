"""The model cards: what each small model is, what it was made from, how it does, its limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qingting.models.tiny.architectures import TinyFamily

from .corpus import Corpus

_TEXT = """---
license: cc-by-4.0
language: [zh, en]
pipeline_tag: text-generation
---

# {name}

A {millions:.2f} M parameter language model in the architecture, the special tokens and the chat
format of {family}. It ships with Qingting so that every part of the system can be tried, taught
and tested on a laptop. It is not made by, and holds no weights of, the makers of {family}.

**Not for people in need.** The model has no clinical validity whatever. It writes locally fluent
Chinese, repeats itself, contradicts itself and invents; it must never answer a real client.

## What it is

- Architecture: `{architecture}` of transformers, {layers} layers, width {width}; kept from the
  family: {features}.
- Tokenizer: byte-level BPE with {vocabulary} tokens, trained on the text below; every text can
  be encoded. Chat template: written for this project in the format of the family.
- Weights: bfloat16, safetensors, no remote code.

## What it was trained on

| source | licence | revision | dialogues | kept back |
|---|---|---|---|---|
{sources}
| English primer of this project | Apache-2.0 | with the code | | |

Both data sets are public and largely *synthetic*: CPsyCounD was reconstructed from counselling
reports by a language model, the EmoLLM dialogues were generated. Changes: turns of one speaker in
a row were joined, system prompts were varied, dialogues were rendered in the chat format.
`aiwei.json` plays a named character and was trained with its own system prompt only.
`converted.json` is the text of `data.json` again and was read only to find duplicates.
`tiangou.json` was left out because it teaches to flatter and to depend, the opposite of
counselling, and `self_cognition_EmoLLM.json` because it teaches the name of another product.

At least a tenth of every source, near-duplicates grouped across sources, was never trained on,
neither for the tokenizer nor for the weights; digests of both parts stand in `pretraining.json`.

Attribution (CC BY 4.0 asks for it, MIT for its notice):
{attributions}

The weights are offered under CC BY 4.0.

## How it was trained

{steps:,} steps of {tokens_per_step:,} tokens, {cpu_seconds:,} CPU-seconds on one core: Muon for the
matrices, AdamW for the rest, bfloat16 autocast, sequences of {lengths} tokens, then a decay at
{decay_length}. Built by `scripts/build_small_models.py`; see `docs/how-to/build-small-models.md`.

## Figures

Bits per UTF-8 byte of content on {n_evaluated} dialogues of each kept-back tenth (bits of template
tokens included; lower is better):

| source | bits per byte |
|---|---|
{figures}

Greedy answers under the system prompt `{prompt}`, cut after 120 tokens, printed as they came:

{answers}
"""


def card_text(
    family: TinyFamily,
    figures: Mapping[str, Any],
    corpus: Corpus,
    *,
    prompt: str,
    n_evaluated: int,
) -> str:
    """Return the text of a model's README.md."""
    config = family.config(dict.fromkeys(family.special_tokens, 0))
    recipe = figures["recipe"]
    used = [source for source in corpus.dialogues if source.is_trained_on]
    return _TEXT.format(
        name=family.name,
        family=family.family,
        millions=figures["n_parameters"] / 1e6,
        architecture=figures["architecture"],
        layers=config.num_hidden_layers,
        width=config.hidden_size,
        features=family.kept_features,
        vocabulary=config.vocab_size,
        sources="\n".join(
            f"| {source.name} | {source.licence} | `{corpus.revisions[source][:12]}` "
            f"| {len(corpus.dialogues[source])} | {len(corpus.part(source, held_out=True))} |"
            for source in used
        ),
        attributions="\n".join(
            f"- {text}"
            for text in dict.fromkeys(
                f"{source.attribution}, {source.licence}, revision {corpus.revisions[source]}"
                for source in used
            )
        ),
        steps=figures["n_steps"],
        tokens_per_step=recipe["n_tokens_per_step"],
        cpu_seconds=figures["cpu_seconds"],
        lengths=" then ".join(str(length) for length in recipe["sequence_lengths"]),
        decay_length=recipe["decay_sequence_length"],
        n_evaluated=n_evaluated,
        figures="\n".join(
            f"| {name} | {bits} |" for name, bits in figures["bits_per_byte"].items()
        ),
        prompt=prompt,
        answers="\n\n".join(
            f"> **{question}**\n>\n> {' '.join(answer.split()) or '(nothing)'}"
            for question, answer in figures["answers"].items()
        ),
    )


def write_card(
    family: TinyFamily,
    figures: Mapping[str, Any],
    corpus: Corpus,
    *,
    prompt: str,
    n_evaluated: int,
) -> None:
    """Write a model's README.md."""
    text = card_text(family, figures, corpus, prompt=prompt, n_evaluated=n_evaluated)
    (family.folder / "README.md").write_text(text, encoding="utf-8")
