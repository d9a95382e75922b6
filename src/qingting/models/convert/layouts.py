"""Which published layout a folder holds, by its configuration and the names of its tensors."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib import import_module
from typing import Any, NamedTuple

from qingting.core.errors import ModelError
from qingting.models.convert.plan import Plan, Settings, TensorSpec
from qingting.models.convert.source import Checkpoint, Found


class Family(NamedTuple):
    """A layout that is converted: how its configuration names it, and a tensor only it has."""

    name: str
    module: str
    model_types: tuple[str, ...]
    architectures: tuple[str, ...]
    telling_tensor: str


FAMILIES = (
    Family(
        "ChatGLM3",
        "qingting.models.convert.chatglm3",
        ("chatglm",),
        ("ChatGLMModel", "ChatGLMForConditionalGeneration"),
        "transformer.encoder.layers.0.self_attention.query_key_value.weight",
    ),
    Family(
        "Baichuan2-7B",
        "qingting.models.convert.baichuan2",
        ("baichuan",),
        ("BaichuanForCausalLM",),
        "model.layers.0.self_attn.W_pack.weight",
    ),
    Family(
        "InternLM2",
        "qingting.models.convert.internlm2",
        ("internlm2",),
        ("InternLM2ForCausalLM",),
        "model.layers.0.attention.wqkv.weight",
    ),
    Family(
        "GPT-OSS MXFP4",
        "qingting.models.convert.gpt_oss",
        ("gpt_oss",),
        ("GptOssForCausalLM",),
        "model.layers.0.mlp.experts.gate_up_proj_blocks",
    ),
)

_NEAR_RELATIVES = {
    "BaiChuanForCausalLM": "the first Baichuan, whose head is another; use Baichuan2-7B",
    "InternLMForCausalLM": "the first InternLM; use InternLM2 or InternLM2.5",
    "ChatGLMForSequenceClassification": "a classifier; convert the chat model",
    "InternLM2ForRewardModel": "a reward model; convert the chat model",
}


def recognise(config: Mapping[str, Any], tensors: Collection[str], place: str) -> Family:
    """Return the layout of a source.

    Args:
        config: Its config.json.
        tensors: The names of its tensors.
        place: What to call it in an error.

    Raises:
        ModelError: it is none that is converted, or configuration and weights disagree.
    """
    architectures = config.get("architectures")
    named = (
        [x for x in architectures or [] if isinstance(x, str)]
        if isinstance(architectures, list)
        else []
    )
    for name in named:
        if name in _NEAR_RELATIVES:
            raise ModelError(f"{place}: {name} is {_NEAR_RELATIVES[name]}")
    model_type = config.get("model_type")
    family = next(
        (
            f
            for f in FAMILIES
            if model_type in f.model_types or (not model_type and set(named) & set(f.architectures))
        ),
        None,
    )
    told = next((f for f in FAMILIES if f.telling_tensor in tensors), None)
    what = named[0] if named else repr(model_type)
    if family is None:
        hint = f"; its tensors are those of {told.name}: is this its config.json?" if told else ""
        raise ModelError(
            f"{place}: {what} is none of the layouts that need converting "
            f"({', '.join(f.name for f in FAMILIES)}){hint}"
            + ("" if told else "; a model with a native architecture is used as it is")
        )
    if told is not family:
        if family.module.endswith("gpt_oss") and "quantization_config" not in config:
            raise ModelError(f"{place}: this GPT-OSS is not quantised; use it as it is")
        belongs = f"are those of {told.name}" if told else f"lack {family.telling_tensor}"
        raise ModelError(
            f"{place}: config.json says {what}, but the weights {belongs}; "
            "fetch config.json and weights of one model"
        )
    return family


def plan_conversion(config: Mapping[str, Any], checkpoint: Checkpoint) -> Plan:
    """Return the plan for a checkpoint, every tensor accounted for.

    Raises:
        ModelError: a layout that is not converted, a tensor missing, misshapen or unknown.
    """
    place = str(checkpoint.folder)
    family = recognise(config, checkpoint.tensors, place)
    if config.get("quantization_config") and not family.module.endswith("gpt_oss"):
        raise ModelError(f"{place}: the weights are quantised; convert the full-precision model")
    plan: Plan = import_module(family.module).plan(Settings(config, f"{place}/config.json"))
    _account(plan, checkpoint.tensors, place)
    return plan


def _account(plan: Plan, found: Mapping[str, Found], place: str) -> None:
    wanted = {source.name: source for step in plan.steps for source in step.sources}
    missing = [name for name in wanted if name not in found]
    if missing:
        raise ModelError(
            f"{place}: {len(missing)} tensors that config.json calls for are not in the weights, "
            f"first {missing[0]}; fetch the model again"
        )
    for name, spec in wanted.items():
        _check(spec, found[name], place)
    unknown = [n for n in found if n not in wanted and not n.endswith(plan.ignored or ("\0",))]
    if unknown:
        raise ModelError(
            f"{place}: {len(unknown)} tensors that {plan.layout} does not have, first "
            f"{unknown[0]}; is config.json that of another model?"
        )


def _check(spec: TensorSpec, found: Found, place: str) -> None:
    if found.shape != spec.shape:
        raise ModelError(
            f"{place}: {spec.name} in {found.shard} has shape {list(found.shape)}; config.json "
            f"makes it {list(spec.shape)}; fetch config.json and weights of one model"
        )
    if (found.dtype == "uint8") != spec.is_code or not (spec.is_code or "float" in found.dtype):
        raise ModelError(
            f"{place}: {spec.name} in {found.shard} holds {found.dtype}; the weights are quantised "
            "or damaged: fetch the full-precision model"
        )
    if "float8" in found.dtype:
        raise ModelError(
            f"{place}: {spec.name} holds {found.dtype}; fetch the full-precision model"
        )
