"""The six small models: each in the real architecture of its family, only smaller.

What makes a family different is kept (grouped-query attention, biases, partial rotary embedding,
rope scaling, experts, sinks, sliding windows); widths and depths are alike, so that differences
between the models are those of the families. Embeddings are tied in all of them: at this size
a second vocabulary matrix would take a third of the parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

VOCABULARY_SIZE = 4096
CONTEXT_LENGTH = 4096
"""Positions the configurations allow where the family does not scale its rope."""

_TINY_FOLDER = Path(__file__).parent

_SIZES: Mapping[str, Any] = {
    "vocab_size": VOCABULARY_SIZE,
    "hidden_size": 192,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 480,
    "max_position_embeddings": CONTEXT_LENGTH,
    "tie_word_embeddings": True,
}

_WORD_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""The split of Qwen2.5 (and, but for runs of digits, of Llama 3 and GPT-OSS)."""

_BARE_WORD_PATTERN = r" ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""Words without leading punctuation, as the SentencePiece families split."""


@dataclass(frozen=True, slots=True)
class TinyFamily:
    """One small model's plan: architecture, special tokens and stop tokens.

    ``special_tokens`` are control tokens; ``added_tokens`` are the family's added tokens that it
    does not flag as special. ``composes_characters``: text is normalised to Unicode NFC first, as
    Qwen does. ``generation_stops`` go into generation_config.json beside ``eos``.
    """

    name: str
    family: str
    model_type: str
    architecture: Mapping[str, Any]
    special_tokens: tuple[str, ...]
    eos: str
    pad: str
    generation_stops: tuple[str, ...]
    bos: str | None = None
    added_tokens: tuple[str, ...] = ()
    split_pattern: str = _WORD_PATTERN
    tokenizer_class: str = "PreTrainedTokenizerFast"
    composes_characters: bool = False
    kept_features: str = ""

    @property
    def folder(self) -> Path:
        """Return the folder of the model in the package."""
        return _TINY_FOLDER / self.name

    def config(self, token_ids: Mapping[str, int]) -> PreTrainedConfig:
        """Return the transformers configuration; ``token_ids`` maps special tokens to ids."""
        from transformers import CONFIG_MAPPING

        plain = {**_SIZES, **self.architecture}
        plain["bos_token_id"] = token_ids[self.bos] if self.bos else None
        plain["eos_token_id"] = token_ids[self.eos]
        plain["pad_token_id"] = token_ids[self.pad]
        return CONFIG_MAPPING[self.model_type](**plain)


def _rope(theta: float, **scaling: Any) -> dict[str, Any]:
    return {"rope_theta": theta, "rope_type": "default", **scaling}


QWEN2_5 = TinyFamily(
    name="qwen2.5-tiny",
    family="Qwen2.5",
    model_type="qwen2",
    architecture={"rope_parameters": _rope(1_000_000.0), "rms_norm_eps": 1e-6},
    special_tokens=(
        *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>"),
        *("<|object_ref_end|>", "<|box_start|>", "<|box_end|>", "<|quad_start|>", "<|quad_end|>"),
        *("<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>"),
        "<|video_pad|>",
    ),
    added_tokens=(
        *("<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"),
        *("<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"),
    ),
    eos="<|im_end|>",
    pad="<|endoftext|>",
    generation_stops=("<|endoftext|>",),
    tokenizer_class="Qwen2Tokenizer",
    composes_characters=True,
    kept_features="grouped-query attention, biases on queries, keys and values, tied embeddings",
)

LLAMA3_1 = TinyFamily(
    name="llama3.1-tiny",
    family="Llama 3.1",
    model_type="llama",
    architecture={
        "rope_parameters": _rope(
            500_000.0,
            rope_type="llama3",
            factor=8.0,
            low_freq_factor=1.0,
            high_freq_factor=4.0,
            original_max_position_embeddings=8192,
        ),
        "max_position_embeddings": 131_072,
        "rms_norm_eps": 1e-5,
    },
    special_tokens=(
        *("<|begin_of_text|>", "<|end_of_text|>", "<|finetune_right_pad_id|>"),
        *("<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>", "<|python_tag|>"),
    ),
    bos="<|begin_of_text|>",
    eos="<|eot_id|>",
    pad="<|finetune_right_pad_id|>",
    generation_stops=("<|end_of_text|>", "<|eom_id|>"),
    kept_features="grouped-query attention, the rope scaling of Llama 3.1",
)

CHATGLM3 = TinyFamily(
    name="chatglm3-tiny",
    family="ChatGLM3",
    model_type="glm",
    architecture={
        "head_dim": 48,
        "attention_bias": True,
        "rope_parameters": _rope(10_000.0, partial_rotary_factor=0.5),
        "rms_norm_eps": 1e-5,
    },
    special_tokens=(
        *("<unk>", "<s>", "</s>", "[MASK]", "[gMASK]", "[sMASK]", "sop", "eop"),
        *("<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"),
    ),
    eos="</s>",
    pad="<unk>",
    generation_stops=("<|user|>", "<|observation|>"),
    split_pattern=_BARE_WORD_PATTERN,
    kept_features=(
        "grouped-query attention, rotary embedding on half of each head, biases on queries, keys and "
        "values, fused gate and up projections; the architecture is GLM (GlmForCausalLM)"
    ),
)

INTERNLM2_5 = TinyFamily(
    name="internlm2.5-tiny",
    family="InternLM2.5",
    model_type="llama",
    architecture={"rope_parameters": _rope(1_000_000.0), "rms_norm_eps": 1e-5},
    special_tokens=(
        *("<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|action_start|>"),
        *("<|action_end|>", "<|interpreter|>", "<|plugin|>"),
    ),
    bos="<s>",
    eos="</s>",
    pad="<unk>",
    generation_stops=("<|im_end|>",),
    split_pattern=_BARE_WORD_PATTERN,
    kept_features="grouped-query attention; the architecture is Llama, as after conversion",
)

BAICHUAN2 = TinyFamily(
    name="baichuan2-tiny",
    family="Baichuan2",
    model_type="llama",
    architecture={
        "num_key_value_heads": 4,
        "intermediate_size": 416,
        "rope_parameters": _rope(10_000.0),
        "rms_norm_eps": 1e-6,
    },
    special_tokens=("<unk>", "<s>", "</s>", "<reserved_106>", "<reserved_107>"),
    bos="<s>",
    eos="</s>",
    pad="<unk>",
    generation_stops=(),
    split_pattern=_BARE_WORD_PATTERN,
    kept_features="full multi-head attention; the architecture is Llama, as after conversion",
)

GPT_OSS = TinyFamily(
    name="gpt-oss-tiny",
    family="GPT-OSS",
    model_type="gpt_oss",
    architecture={
        "head_dim": 48,
        "intermediate_size": 152,
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "sliding_window": 128,
        "attention_bias": True,
        "rope_parameters": _rope(
            150_000.0,
            rope_type="yarn",
            factor=32.0,
            beta_fast=32.0,
            beta_slow=1.0,
            truncate=False,
            original_max_position_embeddings=4096,
        ),
        "max_position_embeddings": 131_072,
        "rms_norm_eps": 1e-5,
    },
    special_tokens=(
        *("<|startoftext|>", "<|endoftext|>", "<|return|>", "<|constrain|>", "<|channel|>"),
        *("<|start|>", "<|end|>", "<|message|>", "<|call|>", "<|endofprompt|>"),
    ),
    bos="<|startoftext|>",
    eos="<|return|>",
    pad="<|endoftext|>",
    generation_stops=("<|endoftext|>", "<|call|>"),
    kept_features=(
        "a mixture of 4 experts of which 2 answer per token, attention sinks, full attention "
        "alternating with a sliding window of 128, clamped SwiGLU, YaRN"
    ),
)

TINY_FAMILIES: Mapping[str, TinyFamily] = {
    family.name: family for family in (QWEN2_5, LLAMA3_1, CHATGLM3, INTERNLM2_5, BAICHUAN2, GPT_OSS)
}
"""The six small models by name, in the order in which they are listed everywhere."""
