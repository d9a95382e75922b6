"""The tokenizers: byte-level BPE, one for each family, trained on what the models train on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from qingting.models.tiny.architectures import VOCABULARY_SIZE, TinyFamily

from .corpus import SYSTEM_PROMPTS, Corpus, read_primer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_TEMPLATE_WORDS = (
    "system user assistant developer final analysis commentary",
    "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
    "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n",
    "You are ChatGPT, a large language model trained by OpenAI.\nKnowledge cutoff: 2024-06\n"
    "Current date: 2024-07-26\n\nReasoning: low\n\n# Valid channels: analysis, commentary, final."
    " Channel must be included for every message.",
    "# Instructions\n\n",
)
_N_PRIMER_COPIES = 40  # a 3% share of English text gets about a tenth of the vocabulary
_N_TEMPLATE_COPIES = 200  # templates stand around every dialogue; their words deserve tokens


def tokenizer_texts(corpus: Corpus) -> Iterator[str]:
    """Yield the texts that tokenizers learn from; what was kept back is not among them."""
    for source in corpus.dialogues:
        if source.is_trained_on:
            for dialogue in corpus.part(source, held_out=False):
                yield from (message.content for message in dialogue.turns)
    yield from read_primer() * _N_PRIMER_COPIES
    yield from (*_TEMPLATE_WORDS, *SYSTEM_PROMPTS) * _N_TEMPLATE_COPIES


def train_tokenizer(family: TinyFamily, texts: Iterable[str]) -> Tokenizer:
    """Return a byte-level BPE tokenizer with the family's special tokens first."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from tokenizers.normalizers import NFC
    from tokenizers.trainers import BpeTrainer

    tokenizer = Tokenizer(models.BPE())
    if family.composes_characters:
        tokenizer.normalizer = NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(family.split_pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=VOCABULARY_SIZE - len(family.added_tokens),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=list(family.special_tokens),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(token, special=False) for token in family.added_tokens])
    return tokenizer


def save_tokenizer(family: TinyFamily, tokenizer: Tokenizer) -> None:
    """Write tokenizer.json and tokenizer_config.json into the family's folder."""
    family.folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(family.folder / "tokenizer.json"), pretty=False)
    plain: dict[str, Any] = {
        "tokenizer_class": family.tokenizer_class,
        "bos_token": family.bos,
        "eos_token": family.eos,
        "pad_token": family.pad,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 1_000_000,
    }
    path = family.folder / "tokenizer_config.json"
    path.write_text(json.dumps(plain, indent=2) + "\n", encoding="utf-8")


def save_configs(family: TinyFamily) -> None:
    """Write config.json and generation_config.json into the family's folder."""
    from tokenizers import Tokenizer
    from transformers import AutoModelForCausalLM, GenerationConfig

    tokenizer = Tokenizer.from_file(str(family.folder / "tokenizer.json"))
    token_ids = {token: tokenizer.token_to_id(token) for token in family.special_tokens}
    config = family.config(token_ids)
    config.architectures = [AutoModelForCausalLM._model_mapping[type(config)].__name__]
    config.dtype = "bfloat16"
    config.save_pretrained(family.folder)
    GenerationConfig(
        bos_token_id=config.bos_token_id,
        pad_token_id=config.pad_token_id,
        eos_token_id=[token_ids[token] for token in (family.eos, *family.generation_stops)],
    ).save_pretrained(family.folder)
