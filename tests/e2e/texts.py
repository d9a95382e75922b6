"""Small experiments on texts: what they need, and their files."""

from __future__ import annotations

import json
from pathlib import Path

SORTING = """\
experiment: sorting
task: classification
models:
  - bert-tiny
  - model: bert-tiny
    name: whole
    recipe: {method: full, learning_rate: 1e-3}
data: {train: counselling, max_dialogues: 240, validation: 30, test: 60, seed: 3}
recipe:
  learning_rate: 5e-3
  max_steps: 24
  effective_batch: 8
  max_length: 64
  log_every: 4
  validate_every: 8
  save_every: 8
analysis: {n_resamples: 200}
report: {n_examples: 4}
"""

GOING_ON = """\
experiment: going-on
task: generation
models:
  - GPT2
  - model: GPT2
    name: whole
    recipe: {method: full, learning_rate: 5e-3}
data: {train: TEXTS, validation: 6, test: 12, seed: 3}
recipe:
  learning_rate: 5e-3
  max_steps: 8
  effective_batch: 4
  max_length: 96
  log_every: 2
  validate_every: 4
  save_every: 4
  n_samples: 1
evaluations:
  text: {n_prompts: 6, max_new_tokens: 8, batch_size: 3, prompt_characters: 40}
  inference: {batch_sizes: [1], n_new_tokens: 4, n_repeats: 1}
analysis: {n_resamples: 200}
report: {n_examples: 2}
"""

PRIMER = Path(__file__).parents[2] / "src/qingting/domains/counselling/primer.en.txt"


def save_gpt2(folder: Path, *, n_positions: int = 128) -> Path:
    """Write a random GPT-2 of two layers with a byte-level tokenizer of its own."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from tokenizers.trainers import BpeTrainer
    from transformers import GPT2Config, GPT2LMHeadModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    folder.mkdir(parents=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=400,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(PRIMER.read_text(encoding="utf-8").splitlines(), trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|endoftext|>",
        "eos_token": "<|endoftext|>",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=400,
        n_positions=n_positions,
        n_embd=32,
        n_layer=2,
        n_head=2,
        bos_token_id=0,
        eos_token_id=0,
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    return folder
