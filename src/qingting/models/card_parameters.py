"""The parameters of a card's architecture, counted on a model without memory."""

from __future__ import annotations

from typing import NamedTuple

from qingting.core.errors import ModelError
from qingting.models.card import ModelCard

_ENCODERS = frozenset({"bert"})


class Counted(NamedTuple):
    """Parameters in all, and at work for one token (a mixture's input embedding left out)."""

    total: int
    active: int


def parameters_of(card: ModelCard) -> Counted:
    """Return the parameters of the architecture on a card.

    Raises:
        ModelError: transformers knows no such architecture, or refuses its sizes.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM

    config = card.to_config_dict()
    kind = card.architecture.kind
    auto = AutoModelForMaskedLM if kind in _ENCODERS else AutoModelForCausalLM
    try:
        with torch.device("meta"):
            model = auto.from_config(  # type: ignore[no-untyped-call]
                AutoConfig.for_model(**config)
            )
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise ModelError(
            f"{card.name}: transformers cannot build this architecture ({str(error).splitlines()[0]})"
        ) from None
    total = sum(parameter.numel() for parameter in model.parameters())
    moe = card.architecture.moe
    if moe is None:
        return Counted(total, total)
    in_experts = sum(
        parameter.numel() for name, parameter in model.named_parameters() if ".experts." in name
    )
    embedding = (
        0 if card.architecture.tied_embeddings else model.get_input_embeddings().weight.numel()
    )
    at_work = in_experts * moe.active // moe.experts
    return Counted(total, total - in_experts + at_work - embedding)
