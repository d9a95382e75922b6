"""The published architectures in plain arithmetic, straight from the source's own tensors.

Written from the descriptions, not from anybody's code, and kept apart from the conversion: no
tensor is cut, merged or renamed in advance, so a mistake in the conversion cannot repeat here.
Sources: Zeng et al. (2024) for ChatGLM; Yang et al. (2023) for Baichuan 2; Cai et al. (2024) for
InternLM2; OpenAI (2025), "gpt-oss model card", §2; Su et al. (2021) for rotary embeddings; bloc97
(2023) for dynamic NTK; Peng et al. (2023) for YaRN.

Shapes: states (n_tokens, hidden), positions (n_tokens,), everything float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

Read = Callable[[str], "Tensor"]
"""Name of a source tensor → its numbers, packed ones as they are."""


class Names(NamedTuple):
    """What a family calls the tensors outside its layers, and the prefix of its layers."""

    embedding: str
    layers: str
    norm: str
    head: str


NAMES = {
    "ChatGLM3": Names(
        "transformer.embedding.word_embeddings.weight",
        "transformer.encoder.layers",
        "transformer.encoder.final_layernorm.weight",
        "transformer.output_layer.weight",
    ),
    "Baichuan2-7B": Names(
        "model.embed_tokens.weight", "model.layers", "model.norm.weight", "lm_head.weight"
    ),
    "InternLM2": Names(
        "model.tok_embeddings.weight", "model.layers", "model.norm.weight", "output.weight"
    ),
    "GPT-OSS MXFP4": Names(
        "model.embed_tokens.weight", "model.layers", "model.norm.weight", "lm_head.weight"
    ),
}


def rms_norm(states: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """Return states divided by their root mean square, times the weight."""
    mean_square = states.square().mean(dim=-1, keepdim=True)
    return states / (mean_square + epsilon).sqrt() * weight


def angles(positions: Tensor, n_pairs: int, base: float) -> Tensor:
    """Return the rotation of each pair at each position: (n_tokens, n_pairs)."""
    import torch

    exponents = torch.arange(n_pairs, dtype=torch.float64) / n_pairs
    return positions.double()[:, None] * base**-exponents


def rotate(first: Tensor, second: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    """Return pairs of coordinates turned by an angle; heads stand in the middle axis."""
    cosine, sine = angle.cos().float()[:, None], angle.sin().float()[:, None]
    return first * cosine - second * sine, first * sine + second * cosine


def attend(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    *,
    window: int | None = None,
    sinks: Tensor | None = None,
) -> Tensor:
    """Return causal attention, (n_tokens, heads × width); each key head serves a run of heads.

    ``sinks`` (heads,) are logits that take probability and give nothing.
    """
    import torch

    n_tokens, n_heads, width = queries.shape
    per_key = n_heads // keys.shape[1]
    out = torch.empty_like(queries)
    step = torch.arange(n_tokens)
    hidden = step[:, None] < step
    if window is not None:
        hidden = hidden | (step[:, None] - step >= window)
    for head in range(n_heads):
        scores = queries[:, head] @ keys[:, head // per_key].T / math.sqrt(width)
        scores = scores.masked_fill(hidden, -math.inf)
        if sinks is not None:
            scores = torch.cat([scores, sinks[head].expand(n_tokens, 1)], dim=1)
        weights = scores.softmax(dim=1)[:, :n_tokens]
        out[:, head] = weights @ values[:, head // per_key]
    return out.flatten(1)


def silu(x: Tensor) -> Tensor:
    """Return x times its logistic."""
    return x * x.sigmoid()


def layer(
    layout: str,
    source: Mapping[str, Any],
    index: int,
    states: Tensor,
    positions: Tensor,
    read: Read,
) -> Tensor:
    """Return the states after one layer of the original.

    Args:
        layout: The family, as :data:`NAMES` has it.
        source: The source's config.json.
        index: Which layer.
        states: (n_tokens, hidden).
        positions: (n_tokens,).
        read: Gives the source's tensors.
    """
    prefix = f"{NAMES[layout].layers}.{index}"
    if layout == "ChatGLM3":
        return _chatglm3(source, prefix, states, positions, read)
    if layout == "Baichuan2-7B":
        return _baichuan2(source, prefix, states, positions, read)
    if layout == "InternLM2":
        return _internlm2(source, prefix, states, positions, read)
    return _gpt_oss(source, index, prefix, states, positions, read)


def norm_epsilon(layout: str, source: Mapping[str, Any]) -> float:
    """Return the epsilon of every norm of the original."""
    if layout == "ChatGLM3":
        return float(source.get("layernorm_epsilon", 1e-5))
    return float(source.get("rms_norm_eps", 1e-5 if layout == "GPT-OSS MXFP4" else 1e-6))


def head_rows(layout: str, rows: Tensor) -> Tensor:
    """Return rows of the output matrix as the original uses them (Baichuan2 makes them length 1)."""
    if layout == "Baichuan2-7B":
        return rows / rows.square().sum(dim=1, keepdim=True).sqrt().clamp_min(1e-12)
    return rows


def _chatglm3(
    source: Mapping[str, Any], prefix: str, states: Tensor, positions: Tensor, read: Read
) -> Tensor:
    import torch

    n_heads, n_tokens = source["num_attention_heads"], len(states)
    width = source.get("kv_channels") or source["hidden_size"] // n_heads
    n_groups = source["multi_query_group_num"] if source.get("multi_query_attention") else n_heads
    epsilon = norm_epsilon("ChatGLM3", source)
    normed = rms_norm(states, read(f"{prefix}.input_layernorm.weight"), epsilon)
    mixed = normed @ read(f"{prefix}.self_attention.query_key_value.weight").T
    if source.get("add_qkv_bias", source.get("add_bias_linear", False)):
        mixed = mixed + read(f"{prefix}.self_attention.query_key_value.bias")
    heads = mixed.view(n_tokens, n_heads + 2 * n_groups, width)
    queries, keys = heads[:, :n_heads], heads[:, n_heads : n_heads + n_groups]
    # The first half of a head turns, coordinates 2j and 2j + 1 together.
    n_pairs = width // 4
    angle = angles(positions, n_pairs, 10_000.0 * source.get("rope_ratio", 1))

    def turned(x: Tensor) -> Tensor:
        even, odd = rotate(x[..., 0 : 2 * n_pairs : 2], x[..., 1 : 2 * n_pairs : 2], angle)
        return torch.cat([torch.stack([even, odd], -1).flatten(-2), x[..., 2 * n_pairs :]], -1)

    attended = attend(turned(queries), turned(keys), heads[:, n_heads + n_groups :])
    states = states + attended @ read(f"{prefix}.self_attention.dense.weight").T
    normed = rms_norm(states, read(f"{prefix}.post_attention_layernorm.weight"), epsilon)
    gate, up = (normed @ read(f"{prefix}.mlp.dense_h_to_4h.weight").T).chunk(2, dim=-1)
    return states + (silu(gate) * up) @ read(f"{prefix}.mlp.dense_4h_to_h.weight").T


def _turned_halves(x: Tensor, angle: Tensor) -> Tensor:
    """Return heads turned, coordinate j together with coordinate j + width / 2."""
    import torch

    first, second = x.chunk(2, dim=-1)
    return torch.cat(rotate(first, second, angle), dim=-1)


def _baichuan2(
    source: Mapping[str, Any], prefix: str, states: Tensor, positions: Tensor, read: Read
) -> Tensor:
    n_heads = source["num_attention_heads"]
    epsilon = norm_epsilon("Baichuan2-7B", source)
    normed = rms_norm(states, read(f"{prefix}.input_layernorm.weight"), epsilon)
    packed = normed @ read(f"{prefix}.self_attn.W_pack.weight").T
    queries, keys, values = packed.view(len(states), 3, n_heads, -1).unbind(1)
    angle = angles(positions, queries.shape[-1] // 2, 10_000.0)
    attended = attend(_turned_halves(queries, angle), _turned_halves(keys, angle), values)
    states = states + attended @ read(f"{prefix}.self_attn.o_proj.weight").T
    normed = rms_norm(states, read(f"{prefix}.post_attention_layernorm.weight"), epsilon)
    gate = silu(normed @ read(f"{prefix}.mlp.gate_proj.weight").T)
    up = normed @ read(f"{prefix}.mlp.up_proj.weight").T
    return states + (gate * up) @ read(f"{prefix}.mlp.down_proj.weight").T


def _internlm2(
    source: Mapping[str, Any], prefix: str, states: Tensor, positions: Tensor, read: Read
) -> Tensor:
    n_heads = source["num_attention_heads"]
    n_groups = source.get("num_key_value_heads") or n_heads
    width, epsilon = source["hidden_size"] // n_heads, norm_epsilon("InternLM2", source)
    has_bias = source.get("bias", True)

    def bias(name: str) -> Tensor | float:
        return read(f"{prefix}.attention.{name}.bias") if has_bias else 0.0

    normed = rms_norm(states, read(f"{prefix}.attention_norm.weight"), epsilon)
    fused = normed @ read(f"{prefix}.attention.wqkv.weight").T + bias("wqkv")
    groups = fused.view(len(states), n_groups, n_heads // n_groups + 2, width)
    queries = groups[:, :, :-2].flatten(1, 2)
    angle = _internlm2_angles(source, positions, width)
    attended = attend(
        _turned_halves(queries, angle), _turned_halves(groups[:, :, -2], angle), groups[:, :, -1]
    )
    states = states + attended @ read(f"{prefix}.attention.wo.weight").T + bias("wo")
    normed = rms_norm(states, read(f"{prefix}.ffn_norm.weight"), epsilon)
    gate = silu(normed @ read(f"{prefix}.feed_forward.w1.weight").T)
    up = normed @ read(f"{prefix}.feed_forward.w3.weight").T
    return states + (gate * up) @ read(f"{prefix}.feed_forward.w2.weight").T


def _internlm2_angles(source: Mapping[str, Any], positions: Tensor, width: int) -> Tensor:
    base, trained = float(source.get("rope_theta", 10_000)), source["max_position_embeddings"]
    scaling = source.get("rope_scaling")
    if not scaling:
        return angles(positions, width // 2, base)
    factor = float(scaling["factor"])
    if scaling.get("type", scaling.get("rope_type")) == "linear":
        return angles(positions / factor, width // 2, base)
    length = int(positions.max()) + 1
    if length > trained:
        base *= (factor * length / trained - (factor - 1)) ** (width / (width - 2))
    return angles(positions, width // 2, base)


def _gpt_oss(
    source: Mapping[str, Any],
    index: int,
    prefix: str,
    states: Tensor,
    positions: Tensor,
    read: Read,
) -> Tensor:
    n_heads, n_keys = source["num_attention_heads"], source["num_key_value_heads"]
    epsilon = norm_epsilon("GPT-OSS MXFP4", source)
    has_bias = source.get("attention_bias", True)

    def project(x: Tensor, name: str) -> Tensor:
        product = x @ read(f"{prefix}.self_attn.{name}.weight").T
        return product + read(f"{prefix}.self_attn.{name}.bias") if has_bias else product

    normed = rms_norm(states, read(f"{prefix}.input_layernorm.weight"), epsilon)
    queries = project(normed, "q_proj").view(len(states), n_heads, -1)
    keys = project(normed, "k_proj").view(len(states), n_keys, -1)
    values = project(normed, "v_proj").view(len(states), n_keys, -1)
    angle, magnitude = _yarn(source, positions, queries.shape[-1])
    kinds = source.get("layer_types") or []
    kind = kinds[index] if kinds else ("full_attention", "sliding_attention")[(index + 1) % 2]
    attended = attend(
        _turned_halves(queries, angle) * magnitude,
        _turned_halves(keys, angle) * magnitude,
        values,
        window=source.get("sliding_window", 128) if kind == "sliding_attention" else None,
        sinks=read(f"{prefix}.self_attn.sinks"),
    )
    states = states + project(attended, "o_proj")
    normed = rms_norm(states, read(f"{prefix}.post_attention_layernorm.weight"), epsilon)
    return states + _experts(source, prefix, normed, read)


def _experts(source: Mapping[str, Any], prefix: str, normed: Tensor, read: Read) -> Tensor:
    import torch

    routed = normed @ read(f"{prefix}.mlp.router.weight").T + read(f"{prefix}.mlp.router.bias")
    best, chosen = routed.topk(source.get("num_experts_per_tok", 4), dim=-1)
    shares = best.softmax(dim=-1)
    limit, alpha = source.get("swiglu_limit", 7.0), source.get("swiglu_alpha", 1.702)
    name = f"{prefix}.mlp.experts"
    packed = {p: read(f"{name}.{p}") for p in ("gate_up_proj_blocks", "down_proj_blocks")}
    scales = {p: read(f"{name}.{p}") for p in ("gate_up_proj_scales", "down_proj_scales")}
    gate_up_bias, down_bias = read(f"{name}.gate_up_proj_bias"), read(f"{name}.down_proj_bias")
    out = torch.zeros_like(normed)
    for expert in sorted(set(chosen.flatten().tolist())):
        token, rank = (chosen == expert).nonzero(as_tuple=True)
        matrix = unpack(
            packed["gate_up_proj_blocks"][expert], scales["gate_up_proj_scales"][expert]
        )
        both = normed[token] @ matrix.T + gate_up_bias[expert]
        gate, up = both[:, 0::2].clamp(max=limit), both[:, 1::2].clamp(-limit, limit)
        middle = (up + 1) * gate * (alpha * gate).sigmoid()
        matrix = unpack(packed["down_proj_blocks"][expert], scales["down_proj_scales"][expert])
        answer = middle @ matrix.T + down_bias[expert]
        out.index_add_(0, token, answer * shares[token, rank][:, None])
    return out


def unpack(blocks: Tensor, scales: Tensor) -> Tensor:
    """Return packed MXFP4 numbers as float32, computed from sign, exponent and mantissa."""
    import torch

    codes = torch.stack([blocks & 15, blocks >> 4], dim=-1).flatten(-2).double()
    sign = torch.where(codes >= 8, -1.0, 1.0)
    exponent, mantissa = (codes % 8 / 2).floor(), codes % 2
    size = torch.where(exponent == 0, mantissa / 2, (1 + mantissa / 2) * 2.0 ** (exponent - 1))
    numbers = sign * size * 2.0 ** (scales.double()[..., None] - 127)
    return numbers.flatten(-2).float()


def _yarn(source: Mapping[str, Any], positions: Tensor, width: int) -> tuple[Tensor, float]:
    """Return the angles of YaRN and what queries and keys are multiplied by."""
    import torch

    rope = dict(source.get("rope_parameters") or source.get("rope_scaling") or {})
    base = float(rope.get("rope_theta", source.get("rope_theta", 150_000)))
    if rope.get("rope_type", rope.get("type", "default")) == "default":
        return angles(positions, width // 2, base), 1.0
    factor, trained = float(rope["factor"]), rope["original_max_position_embeddings"]

    def pair_with(turns: float) -> float:
        return width * math.log(trained / (turns * 2 * math.pi)) / (2 * math.log(base))

    low, high = pair_with(rope.get("beta_fast", 32.0)), pair_with(rope.get("beta_slow", 1.0))
    if rope.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, width - 1)
    pairs = torch.arange(width // 2, dtype=torch.float64)
    stretched = ((pairs - low) / max(high - low, 0.001)).clamp(0, 1)
    speed = base ** -(2 * pairs / width)
    speed = speed / factor * stretched + speed * (1 - stretched)
    return positions.double()[:, None] * speed, 0.1 * math.log(factor) + 1.0
