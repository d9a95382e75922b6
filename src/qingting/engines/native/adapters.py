"""What is trained: low-rank adapters through peft, or every weight."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, cast

import orjson
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.utils import ModulesToSaveWrapper, get_peft_model_state_dict
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from qingting.core.errors import ModelError, did_you_mean
from qingting.engines.native.loading import output_head
from qingting.spec.recipe import LoraRecipe, Recipe

EXPERT_PARAMETERS = ("gate_up_proj", "down_proj")
"""Fused weights of mixture-of-experts layers, each (n_experts, n_in, n_out)."""


class Trainable(NamedTuple):
    """A model prepared for training; ``parameters`` are what the optimiser sees, by name."""

    model: PreTrainedModel
    wrapper: PeftModel | None
    parameters: Mapping[str, nn.Parameter]
    targets: tuple[str, ...]
    n_parameters: int

    @property
    def n_trainable(self) -> int:
        """Return how many numbers are trained."""
        return sum(parameter.numel() for parameter in self.parameters.values())


def prepare_trainable(
    model: PreTrainedModel,
    recipe: Recipe,
    *,
    seed: int,
    frozen: tuple[str, ...] = (),
    whole: tuple[str, ...] = (),
) -> Trainable:
    """Return ``model`` with its adapter attached, or with all weights trainable.

    ``whole`` names modules that are trained as they are beside the adapter and saved with it: the
    classifier, and what else has no trained weights. ``n_parameters`` counts the model without the
    adapter, tied weights once.

    Raises:
        ModelError: A target names no layer, or experts are asked of a model that has none.
    """
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    torch.manual_seed(seed)
    if recipe.method == "full":
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(not _is_frozen(name, frozen))
        wrapper: PeftModel | None = None
        targets: tuple[str, ...] = ("all weights",)
    else:
        linear = linear_targets(model, recipe.lora, (*frozen, *whole))
        experts = expert_targets(model) if recipe.lora.experts else ()
        config = LoraConfig(
            r=recipe.lora.rank,
            lora_alpha=recipe.lora.alpha,
            lora_dropout=recipe.lora.dropout,
            target_modules=list(linear),
            target_parameters=list(experts) or None,
            task_type="SEQ_CLS" if whole else "CAUSAL_LM",
            modules_to_save=list(whole) or None,
            fan_in_fan_out=any(isinstance(m, Conv1D) for m in model.modules()),
        )
        wrapper = cast(PeftModel, get_peft_model(model, config))
        targets = (*linear, *experts, *whole)
        for parameter in model.parameters():
            if parameter.requires_grad:  # adapters stay in fp32 whatever the base is held in
                parameter.data = parameter.data.float()
        for module in model.modules():
            if isinstance(module, ModulesToSaveWrapper):
                module.register_forward_pre_hook(_in_fp32)
    parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
    return Trainable(model, wrapper, parameters, targets, n_parameters)


def linear_targets(
    model: PreTrainedModel, recipe: LoraRecipe, frozen: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """Return the names of the linear layers that carry an adapter, in the model's order."""
    is_language_model = model.get_output_embeddings() is not None  # type: ignore[no-untyped-call]
    head = output_head(model) if is_language_model else None
    layers = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D)
        and module is not head
        and not _is_frozen(name, frozen)
    ]
    if recipe.targets == "all-linear":
        return tuple(layers)
    for target in recipe.targets:
        if not any(_ends_with(name, target) for name in layers):
            known = sorted({name.rsplit(".", 1)[-1] for name in layers})
            raise ModelError(
                f"recipe.lora.targets: no linear layer of {type(model).__name__} is called "
                f"{target!r}.{did_you_mean(target, known)} It has {', '.join(known)}."
            )
    return tuple(n for n in layers if any(_ends_with(n, target) for target in recipe.targets))


def expert_targets(model: PreTrainedModel) -> tuple[str, ...]:
    """Return the names of the fused expert weights of a mixture-of-experts model.

    Raises:
        ModelError: The model has none.
    """
    names = tuple(
        name
        for name, parameter in model.named_parameters()
        if parameter.ndim == 3 and name.rsplit(".", 1)[-1] in EXPERT_PARAMETERS
    )
    if not names:
        raise ModelError(
            f"recipe.lora.experts: {type(model).__name__} has no fused experts; set it to false."
        )
    return names


def save_adapter(trainable: Trainable, folder: Path, *, base_name: str) -> None:
    """Write an adapter that plain ``PeftModel.from_pretrained`` loads; the same bytes every time.

    peft's own ``save_pretrained`` lists the targets in the order of a set, which changes from
    process to process, and names the folder of the base model, which differs between machines.
    """
    assert trainable.wrapper is not None
    folder.mkdir(parents=True)
    state = get_peft_model_state_dict(trainable.wrapper, save_embedding_layers=False)
    tensors: dict[str, Tensor] = {
        name: state[name].detach().float().cpu().contiguous() for name in sorted(state)
    }
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = trainable.wrapper.peft_config["default"].to_dict()
    config["base_model_name_or_path"] = base_name
    config["inference_mode"] = True
    plain = {
        key: sorted(value) if isinstance(value, set) else value for key, value in config.items()
    }
    (folder / "adapter_config.json").write_bytes(
        orjson.dumps(plain, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
    )


def _in_fp32(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Give a module that is trained whole its inputs in the precision of its weights."""
    return tuple(x.float() if x.is_floating_point() else x for x in inputs)


def _ends_with(name: str, suffix: str) -> bool:
    return name == suffix or name.endswith("." + suffix)


def _is_frozen(name: str, frozen: tuple[str, ...]) -> bool:
    return any(
        _ends_with(name, suffix) or _ends_with(name, suffix + ".weight") for suffix in frozen
    )
