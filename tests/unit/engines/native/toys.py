"""Six random models of a few thousand weights, one per family, with a byte-level tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    GlmConfig,
    GlmForCausalLM,
    GptOssConfig,
    GptOssForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from qingting.core.dialogue import Dialogue, Message

FAMILIES = ("qwen2", "llama3", "chatglm3", "internlm2", "baichuan2", "gpt_oss")

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def toy_tokenizer() -> PreTrainedTokenizerFast:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|pad|>",
        additional_special_tokens=["<|im_start|>"],
    )
    fast.chat_template = TEMPLATE
    return fast


def toy_model(family: str, *, seed: int = 0) -> PreTrainedModel:
    torch.manual_seed(seed)
    shape: dict[str, Any] = {
        "vocab_size": 264,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 1024,
        "pad_token_id": 257,
        "eos_token_id": 256,
        "bos_token_id": None,
        "initializer_range": 0.2,
    }
    if family == "qwen2":
        return Qwen2ForCausalLM(Qwen2Config(**shape, tie_word_embeddings=True))
    if family == "chatglm3":
        return GlmForCausalLM(GlmConfig(**shape, head_dim=8, attention_bias=True))
    if family == "gpt_oss":
        layers = ["sliding_attention", "full_attention"]
        rope = {"rope_type": "default", "rope_theta": 10000.0}
        return GptOssForCausalLM(
            GptOssConfig(
                **shape,
                head_dim=8,
                num_local_experts=4,
                num_experts_per_tok=2,
                sliding_window=16,
                layer_types=layers,
                rope_parameters=rope,
            )
        )
    if family == "baichuan2":
        shape["num_key_value_heads"] = 4
    return LlamaForCausalLM(LlamaConfig(**shape, tie_word_embeddings=family == "llama3"))


def save_toy(family: str, folder: Path, *, dtype: torch.dtype = torch.float32) -> Path:
    toy_model(family).to(dtype).save_pretrained(folder)
    toy_tokenizer().save_pretrained(folder)
    return folder


def toy_dialogues(n: int, *, seed: int = 0, prefix: str = "d") -> list[Dialogue]:
    generator = torch.Generator().manual_seed(seed)

    def words(low: int, high: int) -> str:
        length = int(torch.randint(low, high, (1,), generator=generator))
        letters = torch.randint(97, 123, (length,), generator=generator)
        return "".join(chr(int(letter)) for letter in letters)

    dialogues = []
    for index in range(n):
        n_turns = int(torch.randint(1, 4, (1,), generator=generator))
        messages = [Message("system", "be kind")]
        for _ in range(n_turns):
            messages.append(Message("user", words(2, 20)))
            messages.append(Message("assistant", words(2, 24)))
        dialogues.append(Dialogue(f"{prefix}{index}", tuple(messages)))
    return dialogues


def write_dialogues(path: Path, dialogues: list[Dialogue]) -> str:
    lines = [json.dumps(dialogue.to_record()) + "\n" for dialogue in dialogues]
    path.write_text("".join(lines), encoding="utf-8")
    return str(path)


class Events(list[tuple[str, dict[str, Any]]]):
    """An emit that keeps what it was told."""

    def __call__(self, event: str, /, **fields: Any) -> None:
        self.append((event, fields))
