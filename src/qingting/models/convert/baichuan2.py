"""Baichuan2-7B → ``LlamaForCausalLM``.

Source: Yang et al. (2023), "Baichuan 2", §2.3–2.4 (rotary embedding in the 7B model, ALiBi in
the 13B model, NormHead), and the published checkpoints' tensor names. What differs:

- ``W_pack`` holds queries, keys and values, a third each.
- NormHead divides each row of the output matrix by its length before use. The length is taken
  and divided by in float32 and the result stored as ``lm_head``. The original divides again in
  every training step, so a native ``lm_head`` must stay frozen in full fine-tuning; the converted
  folder's ``qingting.json`` says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from qingting.core.errors import ModelError
from qingting.models.convert.plan import Plan, Settings, Step, TensorSpec, rename, rows

if TYPE_CHECKING:
    from torch import Tensor

LAYOUT = "Baichuan2-7B"
TARGET = "LlamaForCausalLM"
FROZEN = ("lm_head.weight",)
_NORM_FLOOR = 1e-12
_ROWS_AT_ONCE = 4096


def plan(settings: Settings) -> Plan:
    """Return the conversion of a Baichuan2-7B checkpoint.

    Raises:
        ModelError: it is the 13B model (ALiBi), or quantised.
    """
    if "max_position_embeddings" not in settings.values:
        raise ModelError(
            f"{settings.place}: no max_position_embeddings: this is the 13B layout, whose ALiBi "
            "positions no native architecture has; use the 7B model"
        )
    hidden = settings.integer("hidden_size")
    n_heads = settings.integer("num_attention_heads")
    settings.divides("num_attention_heads", n_heads, "hidden_size", hidden)
    settings.require("hidden_act", "silu", "silu", "the 7B model uses SiLU")
    settings.require(
        "tie_word_embeddings", False, False, "NormHead cannot be tied to the embedding"
    )
    ffn, vocabulary = settings.integer("intermediate_size"), settings.integer("vocab_size")
    config: dict[str, Any] = {
        "architectures": [TARGET],
        "model_type": "llama",
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "intermediate_size": ffn,
        "num_hidden_layers": settings.n_layers("num_hidden_layers"),
        "num_attention_heads": n_heads,
        "num_key_value_heads": n_heads,
        "head_dim": hidden // n_heads,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "attention_dropout": 0.0,
        "max_position_embeddings": settings.integer("max_position_embeddings"),
        "initializer_range": settings.number("initializer_range", 0.02),
        "rms_norm_eps": settings.number("rms_norm_eps", 1e-6),
        "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
        "tie_word_embeddings": False,
        "bos_token_id": settings.token_id("bos_token_id"),
        "eos_token_id": settings.token_id("eos_token_id"),
        "pad_token_id": settings.token_id("pad_token_id"),
        "use_cache": True,
    }
    steps = [
        rename("model.embed_tokens.weight", "model.embed_tokens.weight", (vocabulary, hidden)),
    ]
    for index in range(config["num_hidden_layers"]):
        steps += _layer(f"model.layers.{index}", hidden, ffn)
    head = TensorSpec("lm_head.weight", (vocabulary, hidden))
    steps += [
        rename("model.norm.weight", "model.norm.weight", (hidden,)),
        Step((head,), (head,), _normalised),
    ]
    return Plan(
        layout=LAYOUT,
        config=config,
        steps=tuple(steps),
        generation={key: config[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id")},
        ignored=("rotary_emb.inv_freq", "rotary_emb.cos_cached", "rotary_emb.sin_cached"),
        float32_targets=FROZEN,  # rounded to bf16 it would move logits by 0.01
        record={
            "frozen_in_full_fine_tuning": list(FROZEN),
            "why_frozen": (
                "the original divides each row of the output matrix by its length in every step "
                "(NormHead); the rows stored here have length 1 and must keep it"
            ),
        },
    )


def _layer(name: str, hidden: int, ffn: int) -> list[Step]:
    parts = [(f"{name}.self_attn.{x}_proj", hidden) for x in "qkv"]
    kept = {
        "self_attn.o_proj": (hidden, hidden),
        "mlp.gate_proj": (ffn, hidden),
        "mlp.up_proj": (ffn, hidden),
        "mlp.down_proj": (hidden, ffn),
        "input_layernorm": (hidden,),
        "post_attention_layernorm": (hidden,),
    }
    return [
        rows(f"{name}.self_attn.W_pack", parts, (hidden,), name_end=".weight"),
        *(rename(f"{name}.{x}.weight", f"{name}.{x}.weight", shape) for x, shape in kept.items()),
    ]


def _normalised(tensors: Sequence[Tensor]) -> list[Iterator[Tensor]]:
    def parts() -> Iterator[Tensor]:
        for some_rows in tensors[0].split(_ROWS_AT_ONCE):  # type: ignore[no-untyped-call]
            exact = some_rows.float()
            yield exact / exact.norm(dim=1, keepdim=True).clamp_min(_NORM_FLOOR)

    return [parts()]
