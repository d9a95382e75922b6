"""Tiny checkpoints in the published layouts, made in the test, of any size, type and sharding."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from sentencepiece import SentencePieceTrainer

WORDS = (
    "I have not been sleeping well and my thoughts run in circles",
    "我 最近睡不着，总是担心明天的考试",
    "听起来你很辛苦，可以多说一些吗？",
    "def f(x):\n    return x  # note",
    "hello world, how are you feeling today? 3.14",
)


@cache
def train_tokenizer(vocabulary: int = 420, **flags: Any) -> bytes:
    """Return a sentencepiece model trained on a few sentences."""
    proto = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter([*WORDS] * 4),
        model_writer=proto,
        vocab_size=vocabulary,
        model_type=flags.pop("model_type", "bpe"),
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
        **{
            "byte_fallback": True,
            "normalization_rule_name": "identity",
            "remove_extra_whitespaces": False,
            **{k: list(v) if isinstance(v, tuple) else v for k, v in flags.items()},
        },
    )
    return proto.getvalue()


@dataclass(frozen=True)
class Source:
    """A checkpoint to write: configuration, tensors, tokenizer."""

    config: Mapping[str, Any]
    tensors: dict[str, torch.Tensor]
    tokenizer: bytes | None = None
    tokenizer_config: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)

    def write(self, folder: Path, *, shards: int = 3, kind: str = "bin") -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(self.config))
        if self.tokenizer is not None:
            (folder / "tokenizer.model").write_bytes(self.tokenizer)
            (folder / "tokenizer_config.json").write_text(json.dumps(self.tokenizer_config))
        for name, content in self.files.items():
            (folder / name).write_bytes(content)
        names = list(self.tensors)
        stem, end = ("pytorch_model", "bin") if kind == "bin" else ("model", "safetensors")
        weight_map = {}
        for number in range(shards):
            part = {n: self.tensors[n] for n in names[number::shards]}
            shard = (
                f"{stem}.{end}" if shards == 1 else f"{stem}-{number + 1:05}-of-{shards:05}.{end}"
            )
            if kind == "bin":
                torch.save(part, folder / shard)
            else:
                save_file(part, folder / shard, metadata={"format": "pt"})
            weight_map.update(dict.fromkeys(part, shard))
        if shards > 1:
            index = {"metadata": {}, "weight_map": weight_map}
            (folder / f"{stem}.{end}.index.json").write_text(json.dumps(index))
        return folder


class _Random:
    def __init__(self, seed: int, dtype: torch.dtype) -> None:
        self._rng, self._dtype = torch.Generator().manual_seed(seed), dtype

    def __call__(self, *shape: int, mean: float = 0.0) -> torch.Tensor:
        return (torch.randn(shape, generator=self._rng) * 0.15 + mean).to(self._dtype)


def chatglm3(
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.float16,
    hidden: int = 48,
    heads: int = 6,
    groups: int = 3,
    width: int = 12,
    layers: int = 2,
    ffn: int = 40,
    flags: Mapping[str, Any] | None = None,
    **config: Any,
) -> Source:
    """A ChatGLM3 layout; the head width need not be hidden / heads."""
    random = _Random(seed, dtype)
    proto = train_tokenizer(**(flags or {}))
    vocabulary = 512
    fused = (heads + 2 * groups) * width
    tensors = {
        "transformer.embedding.word_embeddings.weight": random(vocabulary, hidden),
        "transformer.rotary_pos_emb.inv_freq": random(width // 4),
        "transformer.encoder.final_layernorm.weight": random(hidden, mean=1.0),
        "transformer.output_layer.weight": random(vocabulary, hidden),
    }
    for i in range(layers):
        name = f"transformer.encoder.layers.{i}"
        tensors |= {
            f"{name}.input_layernorm.weight": random(hidden, mean=1.0),
            f"{name}.self_attention.query_key_value.weight": random(fused, hidden),
            f"{name}.self_attention.query_key_value.bias": random(fused),
            f"{name}.self_attention.dense.weight": random(hidden, heads * width),
            f"{name}.post_attention_layernorm.weight": random(hidden, mean=1.0),
            f"{name}.mlp.dense_h_to_4h.weight": random(2 * ffn, hidden),
            f"{name}.mlp.dense_4h_to_h.weight": random(hidden, ffn),
        }
    return Source(
        {
            "model_type": "chatglm",
            "architectures": ["ChatGLMModel"],
            "auto_map": {"AutoModel": "modeling_chatglm.ChatGLMForConditionalGeneration"},
            "add_qkv_bias": True,
            "add_bias_linear": False,
            "ffn_hidden_size": ffn,
            "hidden_size": hidden,
            "kv_channels": width,
            "layernorm_epsilon": 1e-5,
            "multi_query_attention": True,
            "multi_query_group_num": groups,
            "num_attention_heads": heads,
            "num_layers": layers,
            "padded_vocab_size": vocabulary,
            "seq_length": 128,
            "torch_dtype": "float16",
            "eos_token_id": 2,
            "pad_token_id": 0,
            **config,
        },
        tensors,
        proto,
        {"tokenizer_class": "ChatGLMTokenizer"},
    )


def baichuan2(
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.bfloat16,
    hidden: int = 48,
    heads: int = 4,
    layers: int = 2,
    ffn: int = 40,
    flags: Mapping[str, Any] | None = None,
    **config: Any,
) -> Source:
    """A Baichuan2-7B layout; tokens 3 and 4 open turns."""
    random = _Random(seed, dtype)
    base = {"add_dummy_prefix": False, "user_defined_symbols": ("<reserved_106>", "<reserved_107>")}
    proto = train_tokenizer(**{**base, **(flags or {})})
    vocabulary = 448
    tensors = {
        "model.embed_tokens.weight": random(vocabulary, hidden),
        "model.norm.weight": random(hidden, mean=1.0),
        "lm_head.weight": random(vocabulary, hidden),
    }
    for i in range(layers):
        name = f"model.layers.{i}"
        tensors |= {
            f"{name}.self_attn.W_pack.weight": random(3 * hidden, hidden),
            f"{name}.self_attn.o_proj.weight": random(hidden, hidden),
            f"{name}.self_attn.rotary_emb.inv_freq": random(hidden // heads // 2),
            f"{name}.mlp.gate_proj.weight": random(ffn, hidden),
            f"{name}.mlp.up_proj.weight": random(ffn, hidden),
            f"{name}.mlp.down_proj.weight": random(hidden, ffn),
            f"{name}.input_layernorm.weight": random(hidden, mean=1.0),
            f"{name}.post_attention_layernorm.weight": random(hidden, mean=1.0),
        }
    named = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<unk>"}
    return Source(
        {
            "model_type": "baichuan",
            "architectures": ["BaichuanForCausalLM"],
            "hidden_act": "silu",
            "hidden_size": hidden,
            "intermediate_size": ffn,
            "max_position_embeddings": 128,
            "num_attention_heads": heads,
            "num_hidden_layers": layers,
            "rms_norm_eps": 1e-6,
            "tie_word_embeddings": False,
            "torch_dtype": "bfloat16",
            "vocab_size": vocabulary,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "pad_token_id": 0,
            **config,
        },
        tensors,
        proto,
        {"tokenizer_class": "BaichuanTokenizer", **named},
        {
            "generation_config.json": json.dumps(
                {"user_token_id": 3, "assistant_token_id": 4, "eos_token_id": 2}
            ).encode()
        },
    )


def internlm2(
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.bfloat16,
    hidden: int = 48,
    heads: int = 6,
    groups: int = 2,
    layers: int = 2,
    ffn: int = 40,
    flags: Mapping[str, Any] | None = None,
    **config: Any,
) -> Source:
    """An InternLM2 layout; the last two pieces are renamed to ChatML's tokens."""
    random = _Random(seed, dtype)
    base = {"add_dummy_prefix": False, "user_defined_symbols": ("[UNUSED_1]", "[UNUSED_2]")}
    proto = train_tokenizer(**{**base, **(flags or {})})
    vocabulary = 448
    width = hidden // heads
    has_bias, tied = config.get("bias", False), config.get("tie_word_embeddings", False)
    fused = (heads + 2 * groups) * width
    tensors = {
        "model.tok_embeddings.weight": random(vocabulary, hidden),
        "model.norm.weight": random(hidden, mean=1.0),
    }
    if not tied:
        tensors["output.weight"] = random(vocabulary, hidden)
    for i in range(layers):
        name = f"model.layers.{i}"
        tensors |= {
            f"{name}.attention.wqkv.weight": random(fused, hidden),
            f"{name}.attention.wo.weight": random(hidden, hidden),
            f"{name}.feed_forward.w1.weight": random(ffn, hidden),
            f"{name}.feed_forward.w2.weight": random(hidden, ffn),
            f"{name}.feed_forward.w3.weight": random(ffn, hidden),
            f"{name}.attention_norm.weight": random(hidden, mean=1.0),
            f"{name}.ffn_norm.weight": random(hidden, mean=1.0),
        }
        if has_bias:
            tensors[f"{name}.attention.wqkv.bias"] = random(fused)
            tensors[f"{name}.attention.wo.bias"] = random(hidden)
    added = {
        str(i): {"content": text, "special": True}
        for i, text in enumerate(
            ("<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"),
        )
    }
    named = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "</s>"}
    return Source(
        {
            "model_type": "internlm2",
            "architectures": ["InternLM2ForCausalLM"],
            "bias": False,
            "hidden_act": "silu",
            "hidden_size": hidden,
            "intermediate_size": ffn,
            "max_position_embeddings": 64,
            "num_attention_heads": heads,
            "num_key_value_heads": groups,
            "num_hidden_layers": layers,
            "rms_norm_eps": 1e-5,
            "rope_scaling": {"type": "dynamic", "factor": 2.0},
            "rope_theta": 1_000_000,
            "tie_word_embeddings": tied,
            "torch_dtype": "bfloat16",
            "vocab_size": vocabulary,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "pad_token_id": 2,
            **config,
        },
        tensors,
        proto,
        {"tokenizer_class": "InternLM2Tokenizer", "added_tokens_decoder": added, **named},
    )


def gpt_oss(*, seed: int = 0, experts: int = 4, layers: int = 2, **config: Any) -> Source:
    """A GPT-OSS layout with random MXFP4 experts."""
    random = _Random(seed, torch.bfloat16)
    rng = torch.Generator().manual_seed(seed + 1)
    hidden, ffn, heads, groups, width, vocabulary = 64, 96, 4, 2, 16, 300

    def codes(*shape: int, low: int, high: int) -> torch.Tensor:
        return torch.randint(low, high, shape, generator=rng, dtype=torch.uint8)

    tensors = {
        "model.embed_tokens.weight": random(vocabulary, hidden),
        "model.norm.weight": random(hidden, mean=1.0),
        "lm_head.weight": random(vocabulary, hidden),
    }
    for i in range(layers):
        name = f"model.layers.{i}"
        for x, n in (("q", heads), ("k", groups), ("v", groups)):
            tensors[f"{name}.self_attn.{x}_proj.weight"] = random(n * width, hidden)
            tensors[f"{name}.self_attn.{x}_proj.bias"] = random(n * width)
        for x, n_out, n_in in (("gate_up", 2 * ffn, hidden), ("down", hidden, ffn)):
            expert = f"{name}.mlp.experts.{x}_proj"
            tensors[f"{expert}_blocks"] = codes(experts, n_out, n_in // 32, 16, low=0, high=256)
            tensors[f"{expert}_scales"] = codes(experts, n_out, n_in // 32, low=118, high=125)
            tensors[f"{expert}_bias"] = random(experts, n_out)
        tensors |= {
            f"{name}.self_attn.o_proj.weight": random(hidden, heads * width),
            f"{name}.self_attn.o_proj.bias": random(hidden),
            f"{name}.self_attn.sinks": random(heads),
            f"{name}.mlp.router.weight": random(experts, hidden),
            f"{name}.mlp.router.bias": random(experts),
            f"{name}.input_layernorm.weight": random(hidden, mean=1.0),
            f"{name}.post_attention_layernorm.weight": random(hidden, mean=1.0),
        }
    return Source(
        {
            "model_type": "gpt_oss",
            "architectures": ["GptOssForCausalLM"],
            "attention_bias": True,
            "head_dim": width,
            "hidden_size": hidden,
            "intermediate_size": ffn,
            "max_position_embeddings": 4096,
            "num_attention_heads": heads,
            "num_key_value_heads": groups,
            "num_experts_per_tok": 2,
            "num_hidden_layers": layers,
            "num_local_experts": experts,
            "rms_norm_eps": 1e-5,
            "rope_theta": 150000,
            "rope_scaling": {
                "rope_type": "yarn",
                "factor": 32.0,
                "beta_fast": 32.0,
                "beta_slow": 1.0,
                "truncate": False,
                "original_max_position_embeddings": 128,
            },
            "sliding_window": 16,
            "layer_types": ["sliding_attention", "full_attention"] * (layers // 2),
            "swiglu_limit": 7.0,
            "tie_word_embeddings": False,
            "vocab_size": vocabulary,
            "eos_token_id": 2,
            "pad_token_id": 1,
            "quantization_config": {
                "quant_method": "mxfp4",
                "modules_to_not_convert": ["model.layers.*.self_attn", "lm_head"],
            },
            **config,
        },
        tensors,
        files={"tokenizer.json": b"{}", "tokenizer_config.json": b"{}"},
    )
