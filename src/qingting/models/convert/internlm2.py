"""InternLM2 and InternLM2.5 → ``LlamaForCausalLM``.

Source: Cai et al. (2024), "InternLM2 Technical Report", §2.2.1 (the interleaved ``Wqkv``), and
the published checkpoints' tensor names. What differs:

- ``wqkv`` holds, for each group in turn, its queries, one key and one value head:
  ``[groups, queries per group + 2, head_dim]``.
- ``w1`` is the gate, ``w3`` up and ``w2`` down.
- Dynamic NTK scaling is that of the native class and keeps its factor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from qingting.core.errors import ModelError
from qingting.models.convert.plan import Plan, Settings, Shape, Step, TensorSpec, rename

if TYPE_CHECKING:
    from torch import Tensor

LAYOUT = "InternLM2"
TARGET = "LlamaForCausalLM"


def plan(settings: Settings) -> Plan:
    """Return the conversion of an InternLM2 or InternLM2.5 checkpoint.

    Raises:
        ModelError: the configuration asks for what the native architecture does not have.
    """
    hidden = settings.integer("hidden_size")
    n_heads = settings.integer("num_attention_heads")
    settings.divides("num_attention_heads", n_heads, "hidden_size", hidden)
    n_groups = settings.integer("num_key_value_heads", n_heads)
    settings.divides("num_key_value_heads", n_groups, "num_attention_heads", n_heads)
    settings.require("hidden_act", "silu", "silu", "InternLM2 uses SiLU")
    ffn, vocabulary = settings.integer("intermediate_size"), settings.integer("vocab_size")
    tied = settings.flag("tie_word_embeddings", default=False)
    config: dict[str, Any] = {
        "architectures": [TARGET],
        "model_type": "llama",
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "intermediate_size": ffn,
        "num_hidden_layers": settings.n_layers("num_hidden_layers"),
        "num_attention_heads": n_heads,
        "num_key_value_heads": n_groups,
        "head_dim": hidden // n_heads,
        "hidden_act": "silu",
        "attention_bias": settings.flag("bias", default=True),
        "mlp_bias": False,
        "attention_dropout": 0.0,
        "max_position_embeddings": settings.integer("max_position_embeddings"),
        "initializer_range": settings.number("initializer_range", 0.02),
        "rms_norm_eps": settings.number("rms_norm_eps", 1e-6),
        "rope_parameters": _rope(settings),
        "tie_word_embeddings": tied,
        "bos_token_id": settings.token_id("bos_token_id"),
        "eos_token_id": settings.token_id("eos_token_id"),
        "pad_token_id": settings.token_id("pad_token_id"),
        "use_cache": True,
    }
    steps = [
        rename("model.tok_embeddings.weight", "model.embed_tokens.weight", (vocabulary, hidden))
    ]
    for index in range(config["num_hidden_layers"]):
        steps += _layer(f"model.layers.{index}", config)
    steps.append(rename("model.norm.weight", "model.norm.weight", (hidden,)))
    if not tied:
        steps.append(rename("output.weight", "lm_head.weight", (vocabulary, hidden)))
    return Plan(
        layout=LAYOUT,
        config=config,
        steps=tuple(steps),
        generation={key: config[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id")},
        ignored=("rotary_emb.inv_freq", *(("output.weight",) if tied else ())),
    )


def _rope(settings: Settings) -> dict[str, Any]:
    theta = settings.number("rope_theta", 10_000.0)
    scaling = settings.values.get("rope_scaling")
    if scaling is None:
        return {"rope_type": "default", "rope_theta": theta}
    place = f"{settings.place}: rope_scaling"
    if not isinstance(scaling, dict):
        raise ModelError(f"{place} must be a mapping or null, not {scaling!r}")
    kind = scaling.get("type", scaling.get("rope_type"))
    if kind not in ("dynamic", "linear"):
        raise ModelError(f"{place}.type is {kind!r}; InternLM2 knows 'dynamic' and 'linear'")
    factor = Settings(scaling, place).number("factor")
    if factor < 1:
        raise ModelError(f"{place}.factor must be at least 1, not {factor}")
    return {"rope_type": kind, "factor": factor, "rope_theta": theta}


def _layer(name: str, config: dict[str, Any]) -> list[Step]:
    hidden, ffn = config["hidden_size"], config["intermediate_size"]
    names = {
        "attention_norm": ("input_layernorm", (hidden,)),
        "ffn_norm": ("post_attention_layernorm", (hidden,)),
        "feed_forward.w1": ("mlp.gate_proj", (ffn, hidden)),
        "feed_forward.w3": ("mlp.up_proj", (ffn, hidden)),
        "feed_forward.w2": ("mlp.down_proj", (hidden, ffn)),
        "attention.wo": ("self_attn.o_proj", (hidden, hidden)),
    }
    steps = [
        rename(f"{name}.{old}.weight", f"{name}.{new}.weight", shape)
        for old, (new, shape) in names.items()
    ]
    steps.append(_wqkv(name, "weight", config, (hidden,)))
    if config["attention_bias"]:
        steps.append(_wqkv(name, "bias", config, ()))
        steps.append(
            rename(f"{name}.attention.wo.bias", f"{name}.self_attn.o_proj.bias", (hidden,))
        )
    return steps


def _wqkv(name: str, end: str, config: dict[str, Any], trailing: Shape) -> Step:
    n_groups, head_dim = config["num_key_value_heads"], config["head_dim"]
    per_group = config["num_attention_heads"] // n_groups
    n_queries, n_keys = n_groups * per_group * head_dim, n_groups * head_dim

    def cut(tensors: Sequence[Tensor]) -> list[Iterator[Tensor]]:
        grouped = tensors[0].reshape(n_groups, per_group + 2, head_dim, *trailing)
        parts = grouped[:, :per_group], grouped[:, per_group], grouped[:, per_group + 1]
        return [iter((part.reshape(-1, *trailing),)) for part in parts]

    return Step(
        (TensorSpec(f"{name}.attention.wqkv.{end}", (n_queries + 2 * n_keys, *trailing)),),
        tuple(
            TensorSpec(f"{name}.self_attn.{x}_proj.{end}", (n, *trailing))
            for x, n in (("q", n_queries), ("k", n_keys), ("v", n_keys))
        ),
        cut,
    )
