"""ChatGLM3 → ``GlmForCausalLM``.

Source: the architecture description of ChatGLM2/3 (Zeng et al. 2024, "ChatGLM", §2) and the
published checkpoints' tensor names. What differs between source and target:

- ``query_key_value`` holds all queries, then the keys, then the values of each group; weight and
  bias are cut alike.
- ``dense_h_to_4h`` holds gate then up, as ``gate_up_proj`` does: unchanged.
- The rotary embedding turns the first half of each head, pairs of neighbours, as native GLM does:
  no permutation. Its base is 10,000 × ``rope_ratio``.
"""

from __future__ import annotations

from typing import Any

from qingting.core.errors import ModelError
from qingting.models.convert.plan import Plan, Settings, Step, rename, rows

LAYOUT = "ChatGLM3"
TARGET = "GlmForCausalLM"
_LAYER = "transformer.encoder.layers"
_NATIVE = "GLM has none"


def plan(settings: Settings) -> Plan:
    """Return the conversion of a ChatGLM3 checkpoint.

    Raises:
        ModelError: the configuration asks for what the native architecture does not have.
    """
    _refuse_variants(settings)
    hidden = settings.integer("hidden_size")
    n_heads = settings.integer("num_attention_heads")
    settings.divides("num_attention_heads", n_heads, "hidden_size", hidden)
    head_dim = settings.integer("kv_channels", hidden // n_heads)
    grouped = settings.flag("multi_query_attention", default=False)
    n_groups = settings.integer("multi_query_group_num", 1) if grouped else n_heads
    settings.divides("multi_query_group_num", n_groups, "num_attention_heads", n_heads)
    ffn = settings.integer("ffn_hidden_size")
    vocabulary = settings.integer("padded_vocab_size", settings.values.get("vocab_size"))
    has_bias = settings.flag("add_qkv_bias", settings.flag("add_bias_linear", default=False))
    eos, pad = settings.token_id("eos_token_id"), settings.token_id("pad_token_id")
    config: dict[str, Any] = {
        "architectures": [TARGET],
        "model_type": "glm",
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "intermediate_size": ffn,
        "num_hidden_layers": settings.n_layers("num_layers"),
        "num_attention_heads": n_heads,
        "num_key_value_heads": n_groups,
        "head_dim": head_dim,
        "hidden_act": "silu",
        "attention_bias": has_bias,
        "attention_dropout": 0.0,
        "max_position_embeddings": settings.integer("seq_length"),
        "rms_norm_eps": settings.number("layernorm_epsilon", 1e-5),
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10_000.0 * settings.number("rope_ratio", 1.0),
            "partial_rotary_factor": 0.5,
        },
        "tie_word_embeddings": False,
        "bos_token_id": settings.token_id("bos_token_id"),
        # The defaults of the native class are those of GLM-4; ChatGLM3's tokenizer has 2 and 0.
        "eos_token_id": 2 if eos is None else eos,
        "pad_token_id": 0 if pad is None else pad,
        "use_cache": True,
    }
    steps = [
        rename(
            "transformer.embedding.word_embeddings.weight",
            "model.embed_tokens.weight",
            (vocabulary, hidden),
        )
    ]
    for index in range(config["num_hidden_layers"]):
        steps += _layer(index, config)
    steps += [
        rename("transformer.encoder.final_layernorm.weight", "model.norm.weight", (hidden,)),
        rename("transformer.output_layer.weight", "lm_head.weight", (vocabulary, hidden)),
    ]
    return Plan(
        layout=LAYOUT,
        config=config,
        steps=tuple(steps),
        generation={"eos_token_id": config["eos_token_id"], "pad_token_id": config["pad_token_id"]},
        ignored=("rotary_pos_emb.inv_freq",),
    )


def _layer(index: int, config: dict[str, Any]) -> list[Step]:
    old, new = f"{_LAYER}.{index}", f"model.layers.{index}"
    hidden, ffn = config["hidden_size"], config["intermediate_size"]
    queries = config["num_attention_heads"] * config["head_dim"]
    keys = config["num_key_value_heads"] * config["head_dim"]
    parts = [
        (f"{new}.self_attn.q_proj", queries),
        (f"{new}.self_attn.k_proj", keys),
        (f"{new}.self_attn.v_proj", keys),
    ]
    fused = f"{old}.self_attention.query_key_value"
    steps = [
        rename(f"{old}.input_layernorm.weight", f"{new}.input_layernorm.weight", (hidden,)),
        rows(fused, parts, (hidden,), name_end=".weight"),
        rename(
            f"{old}.self_attention.dense.weight",
            f"{new}.self_attn.o_proj.weight",
            (hidden, queries),
        ),
        rename(
            f"{old}.post_attention_layernorm.weight",
            f"{new}.post_attention_layernorm.weight",
            (hidden,),
        ),
        rename(
            f"{old}.mlp.dense_h_to_4h.weight", f"{new}.mlp.gate_up_proj.weight", (2 * ffn, hidden)
        ),
        rename(f"{old}.mlp.dense_4h_to_h.weight", f"{new}.mlp.down_proj.weight", (hidden, ffn)),
    ]
    if config["attention_bias"]:
        steps.insert(2, rows(fused, parts, (), name_end=".bias"))
    return steps


def _refuse_variants(settings: Settings) -> None:
    settings.require("rmsnorm", True, True, "it uses LayerNorm and GLM has RMSNorm only")
    settings.require("post_layer_norm", True, True, "GLM always ends in a norm")
    settings.require(
        "apply_residual_connection_post_layernorm",
        False,
        False,
        "GLM's residual goes round the norm",
    )
    settings.require("add_bias_linear", False, False, f"it has biases in every layer and {_NATIVE}")
    settings.require("original_rope", True, True, "only the original rotary embedding is known")
    settings.require(
        "pre_seq_len", None, None, f"it carries a trained prefix (P-Tuning) and {_NATIVE}"
    )
    bits = settings.values.get("quantization_bit", 0)
    if bits:
        raise ModelError(
            f"{settings.place}: the weights are quantised to {bits} bits; convert the checkpoint "
            "in half precision (THUDM/chatglm3-6b) instead"
        )
