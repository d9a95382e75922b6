"""A card drafted from a model's config.json: sizes are read, everything else is left open."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qingting.core.errors import ModelError, NotFoundError

UNKNOWN = "unknown"
_KINDS = {
    "bert": ("BertForMaskedLM", "classification"),
    "gpt2": ("GPT2LMHeadModel", "generation"),
}
_CONVERSIONS = {
    "chatglm": "chatglm3",
    "baichuan": "baichuan2",
    "internlm2": "internlm2",
}


def read_config_file(place: Path) -> dict[str, Any]:
    """Return the configuration in a folder or file.

    Raises:
        NotFoundError: there is none.
        ModelError: it is no JSON object.
    """
    path = place / "config.json" if place.is_dir() else place
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFoundError(
            f"{path}: no such file; name a model folder or its config.json"
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise ModelError(f"{path}: not JSON") from None
    if not isinstance(found, dict):
        raise ModelError(f"{path}: not a JSON object")
    return found


def draft_card(
    config: Mapping[str, Any], *, name: str, hub_id: str | None = None
) -> dict[str, Any]:
    """Return a card's content with sizes from ``config`` and ``unknown`` where it is silent.

    Raises:
        ModelError: the configuration lacks a size that no default stands for, or is of a layout
            that has to be converted first.
    """
    kind = config.get("model_type")
    if kind in _CONVERSIONS:
        raise ModelError(
            f"{name}: a {kind} checkpoint as published; convert it with `qingting models convert` "
            f"and draft the card from the converted folder"
        )
    if not isinstance(kind, str) or not kind:
        raise ModelError(f"{name}: the configuration states no model_type")
    architecture = _architecture(config, kind, name)
    task = _KINDS.get(kind, (None, "dialogue"))[1]
    return {
        "name": name,
        "developer": UNKNOWN,
        "released": UNKNOWN,
        "tasks": [task],
        "languages": [],
        "parameters": {"total": 1, "active": 1},
        "context": {"native": _context(config, name), "extended": None},
        "licence": {
            "name": UNKNOWN,
            "spdx": None,
            "url": UNKNOWN,
            "commercial": UNKNOWN,
            "terms": "Not known; read the licence and write it here.",
        },
        "hub": {"huggingface": hub_id, "modelscope": None},
        "architecture": architecture,
        "chat": _unknown_chat() if task == "dialogue" else None,
        "conversion": None,
        "strengths": [],
        "weaknesses": [],
        "training_pitfalls": [],
        "serving_pitfalls": [],
        "sources": [f"config.json of {hub_id or name}"],
    }


def _architecture(config: Mapping[str, Any], kind: str, name: str) -> dict[str, Any]:
    def size(*keys: str, default: int | None = None) -> int:
        for key in keys:
            value = config.get(key)
            if isinstance(value, int) and not isinstance(value, bool) and value > 0:
                return value
        if default is None:
            raise ModelError(f"{name}: the configuration states no {keys[0]}")
        return default

    hidden, heads = size("hidden_size", "n_embd"), size("num_attention_heads", "n_head")
    rope = _rope(config)
    is_layer_norm = kind in _KINDS
    eps_keys = ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "layernorm_epsilon")
    eps = next((float(config[key]) for key in eps_keys if config.get(key)), 1e-6)
    classes = config.get("architectures") or []
    experts = config.get("num_local_experts") or config.get("num_experts")
    return {
        "kind": kind,
        "class": classes[0] if classes else _KINDS.get(kind, (UNKNOWN, ""))[0],
        "layers": size("num_hidden_layers", "n_layer", "num_layers"),
        "hidden": hidden,
        "heads": heads,
        "kv_heads": size("num_key_value_heads", default=heads),
        "head_dim": size("head_dim", default=hidden // heads),
        "ffn": size("intermediate_size", "n_inner", default=4 * hidden),
        "vocabulary": size("vocab_size"),
        "activation": str(config.get("hidden_act") or config.get("activation_function") or "silu"),
        "norm": {"kind": "layernorm" if is_layer_norm else "rmsnorm", "eps": eps},
        "positions": "learned" if is_layer_norm else "rope",
        "rope": None if is_layer_norm else rope,
        "attention_bias": bool(config.get("attention_bias", kind in (*_KINDS, "qwen2"))),
        "tied_embeddings": bool(config.get("tie_word_embeddings", kind in _KINDS)),
        "sliding_window": config.get("sliding_window")
        if config.get("use_sliding_window", kind == "gpt_oss")
        else None,
        "moe": {"experts": experts, "active": config.get("num_experts_per_tok") or 1}
        if experts
        else None,
    }


def _rope(config: Mapping[str, Any]) -> dict[str, Any]:
    parameters = dict(config.get("rope_parameters") or {})
    scaling = {k: v for k, v in (config.get("rope_scaling") or {}).items() if v is not None}
    theta = parameters.pop("rope_theta", None) or config.get("rope_theta") or 10000.0
    partial = parameters.pop("partial_rotary_factor", None) or config.get(
        "partial_rotary_factor", 1.0
    )
    kind = parameters.pop("rope_type", None) or scaling.pop("rope_type", scaling.pop("type", None))
    rest = {**scaling, **parameters}
    return {
        "theta": float(theta),
        "partial": float(partial),
        "scaling": {"type": kind, **rest} if kind not in (None, "default") else None,
    }


def _context(config: Mapping[str, Any], name: str) -> int:
    for key in ("max_position_embeddings", "n_positions", "seq_length"):
        value = config.get(key)
        if isinstance(value, int) and value > 0:
            return value
    raise ModelError(f"{name}: the configuration states no max_position_embeddings")


def _unknown_chat() -> dict[str, Any]:
    return {
        "begin": "",
        "default_system": None,
        "system": [UNKNOWN, UNKNOWN],
        "user": [UNKNOWN, UNKNOWN],
        "assistant": [UNKNOWN, UNKNOWN],
        "generation": UNKNOWN,
        "stop": [UNKNOWN],
    }
