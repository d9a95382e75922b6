"""GPT-OSS with MXFP4 experts → bf16 ``GptOssForCausalLM``.

Source: OCP Microscaling Formats (MX) v1.0, §5.3.3 (FP4 E2M1) and §5.4.1 (E8M0 scales), and the
published checkpoints' tensor names. Each byte of ``*_blocks`` holds two 4-bit numbers, the low
half first; 32 neighbours share one byte of ``*_scales``, a power of two biased by 127. A product
of a 4-bit number and a power of two is exact in bf16, so nothing is rounded. A scale of 255 is
not a number and is refused. The packed matrices are stored output × input; the native class wants
input × output.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from qingting.core.errors import ModelError
from qingting.models.convert.plan import Plan, Settings, Shape, Step, TensorSpec, rename

if TYPE_CHECKING:
    from torch import Tensor

LAYOUT = "GPT-OSS MXFP4"
TARGET = "GptOssForCausalLM"
BLOCK = 32
"""Numbers that share one scale."""

FP4_VALUES = (
    0.0,
    0.5,
    1.0,
    1.5,
    2.0,
    3.0,
    4.0,
    6.0,
    -0.0,
    -0.5,
    -1.0,
    -1.5,
    -2.0,
    -3.0,
    -4.0,
    -6.0,
)
"""E2M1 by code."""

_NOT_A_NUMBER = 255
_BIAS = 127


def plan(settings: Settings) -> Plan:
    """Return the conversion of a GPT-OSS checkpoint with MXFP4 experts.

    Raises:
        ModelError: it is not quantised, or otherwise than with MXFP4.
    """
    quantization = settings.values.get("quantization_config")
    method = quantization.get("quant_method") if isinstance(quantization, dict) else None
    if method != "mxfp4":
        raise ModelError(
            f"{settings.place}: quantization_config.quant_method is {method!r}, not 'mxfp4'; "
            "only the published MXFP4 checkpoints are converted"
        )
    config = {k: v for k, v in settings.values.items() if k != "quantization_config"}
    config.pop("torch_dtype", None)
    config["architectures"] = [TARGET]
    hidden, vocabulary = settings.integer("hidden_size"), settings.integer("vocab_size")
    steps = [rename("model.embed_tokens.weight", "model.embed_tokens.weight", (vocabulary, hidden))]
    for index in range(settings.n_layers("num_hidden_layers")):
        steps += _layer(f"model.layers.{index}", settings)
    steps.append(rename("model.norm.weight", "model.norm.weight", (hidden,)))
    if not settings.flag("tie_word_embeddings", default=False):
        steps.append(rename("lm_head.weight", "lm_head.weight", (vocabulary, hidden)))
    return Plan(
        layout=LAYOUT,
        config=config,
        steps=tuple(steps),
        generation={
            key: config[key]
            for key in ("bos_token_id", "eos_token_id", "pad_token_id")
            if key in config
        },
    )


def _layer(name: str, settings: Settings) -> list[Step]:
    hidden, ffn = settings.integer("hidden_size"), settings.integer("intermediate_size")
    settings.divides("the MXFP4 block", BLOCK, "hidden_size", hidden)
    settings.divides("the MXFP4 block", BLOCK, "intermediate_size", ffn)
    n_experts = settings.integer("num_local_experts", settings.values.get("num_experts"))
    head_dim = settings.integer("head_dim", 64)
    queries = settings.integer("num_attention_heads") * head_dim
    keys = settings.integer("num_key_value_heads") * head_dim
    kept: dict[str, Shape] = {
        "input_layernorm.weight": (hidden,),
        "post_attention_layernorm.weight": (hidden,),
        "self_attn.q_proj.weight": (queries, hidden),
        "self_attn.k_proj.weight": (keys, hidden),
        "self_attn.v_proj.weight": (keys, hidden),
        "self_attn.o_proj.weight": (hidden, queries),
        "self_attn.sinks": (settings.integer("num_attention_heads"),),
        "mlp.router.weight": (n_experts, hidden),
        "mlp.router.bias": (n_experts,),
        "mlp.experts.gate_up_proj_bias": (n_experts, 2 * ffn),
        "mlp.experts.down_proj_bias": (n_experts, hidden),
    }
    if settings.flag("attention_bias", default=True):
        kept["self_attn.q_proj.bias"] = (queries,)
        kept["self_attn.k_proj.bias"] = (keys,)
        kept["self_attn.v_proj.bias"] = (keys,)
        kept["self_attn.o_proj.bias"] = (hidden,)
    return [
        *(rename(f"{name}.{x}", f"{name}.{x}", shape) for x, shape in kept.items()),
        _unpacked(f"{name}.mlp.experts.gate_up_proj", n_experts, 2 * ffn, hidden),
        _unpacked(f"{name}.mlp.experts.down_proj", n_experts, hidden, ffn),
    ]


def _unpacked(name: str, n_experts: int, n_outputs: int, n_inputs: int) -> Step:
    n_blocks = n_inputs // BLOCK

    def compute(tensors: Sequence[Tensor]) -> list[Iterator[Tensor]]:
        blocks, scales = tensors
        experts = zip(blocks, scales, strict=True)
        return [(_transposed(dequantise(b, s, name)) for b, s in experts)]

    return Step(
        (
            TensorSpec(f"{name}_blocks", (n_experts, n_outputs, n_blocks, BLOCK // 2), True),
            TensorSpec(f"{name}_scales", (n_experts, n_outputs, n_blocks), True),
        ),
        (TensorSpec(name, (n_experts, n_inputs, n_outputs)),),
        compute,
    )


def _transposed(matrix: Tensor) -> Tensor:
    return matrix.t().contiguous()[None]


def dequantise(blocks: Tensor, scales: Tensor, name: str = "blocks") -> Tensor:
    """Return the bf16 matrix of packed MXFP4 numbers, exactly.

    Args:
        blocks: (..., n_blocks, 16) uint8, two numbers a byte, the low half first.
        scales: (..., n_blocks) uint8, powers of two biased by 127.
        name: What to call the tensor in an error.

    Returns:
        (..., n_blocks × 32) bfloat16.

    Raises:
        ModelError: a scale is 255, which the format defines as not a number.
    """
    import torch

    if bool((scales == _NOT_A_NUMBER).any()):
        raise ModelError(
            f"{name}_scales: holds the scale 255, which is not a number; fetch the shard again"
        )
    values = torch.tensor(FP4_VALUES, dtype=torch.bfloat16)
    codes = torch.arange(256)
    pairs = torch.stack([values[codes & 15], values[codes >> 4]], dim=-1)
    # 2^-127 is subnormal in bf16 and exact; 2^127 is its largest power.
    powers = torch.exp2(torch.arange(_NOT_A_NUMBER, dtype=torch.float64) - _BIAS).bfloat16()
    numbers = pairs[blocks.int()].flatten(-2)
    return (numbers * powers[scales.int()][..., None]).flatten(-2)
