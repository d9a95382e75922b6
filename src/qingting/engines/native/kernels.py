"""Let a model compute with this engine's attention and experts."""

from __future__ import annotations

from transformers import PreTrainedModel

from qingting.engines.native.attention import VARLEN
from qingting.engines.native.experts import EXPERTS


def use_own_kernels(model: PreTrainedModel, *, attention: str = VARLEN) -> None:
    """Name our functions in the model's configuration, where transformers looks them up."""
    model.config._attn_implementation = attention
    model.config._experts_implementation = EXPERTS
