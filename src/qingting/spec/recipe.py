"""How an arm is trained: one recipe for all arms, with overrides that are printed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from qingting.spec.base import Frozen

PositiveInt = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
Precision = Literal["auto", "fp32", "bf16"]
Attention = Literal["auto", "eager", "sdpa", "flash_attention_2"]


class LoraRecipe(Frozen):
    """Low-rank adapters (Hu et al. 2021): which layers, how wide, how strong."""

    rank: PositiveInt = 8
    alpha: PositiveInt = 32
    dropout: Fraction = 0.1
    targets: Literal["all-linear"] | tuple[str, ...] = Field(
        "all-linear",
        description="Layers that carry an adapter: every linear layer but the output head, or suffixes of module names.",
    )
    experts: bool = Field(
        False,
        description="Adapt the fused expert weights of a mixture-of-experts model too (GPT-OSS); needs dropout 0.",
    )

    @model_validator(mode="after")
    def _experts_take_no_dropout(self) -> LoraRecipe:
        if self.experts and self.dropout:
            raise ValueError(
                "expert adapters allow no dropout: set dropout to 0 where experts is true"
            )
        return self


class EarlyStopping(Frozen):
    """Stop when the validation loss has not improved by ``min_delta`` for ``patience`` checks."""

    patience: PositiveInt = 3
    min_delta: Annotated[float, Field(ge=0.0)] = 0.0


class Recipe(Frozen):
    """Everything about training that a person chooses.

    ``effective_batch`` counts dialogues in one optimiser step. The length of training is one of
    ``epochs``, ``max_steps`` or ``token_budget`` (real tokens an arm trains on, averaged over the
    arms' tokenizers; every arm sees the same dialogues in the same steps).
    """

    method: Literal["lora", "full"] = "lora"
    lora: LoraRecipe = LoraRecipe()
    learning_rate: Annotated[float, Field(gt=0.0, strict=False)] = 2e-4
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_ratio: Fraction = 0.1
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.0
    max_gradient_norm: Annotated[float, Field(gt=0.0)] = 1.0
    epochs: PositiveInt | None = None
    max_steps: PositiveInt | None = None
    token_budget: PositiveInt | None = None
    effective_batch: PositiveInt = 32
    micro_batch: PositiveInt | Literal["auto"] = "auto"
    max_length: PositiveInt = 3072
    packing: bool = True
    gradient_checkpointing: bool | Literal["auto"] = "auto"
    precision: Precision = "auto"
    attention: Attention = "auto"
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (42,)
    log_every: PositiveInt = 20
    save_every: PositiveInt = 200
    keep_checkpoints: PositiveInt = 3
    validate_every: PositiveInt = 200
    early_stopping: EarlyStopping | None = None
    n_samples: Annotated[int, Field(ge=0)] = Field(
        2, description="Held-out prompts answered at every validation, to watch the model learn."
    )

    @model_validator(mode="after")
    def _one_length(self) -> Recipe:
        given = [n for n in ("epochs", "max_steps", "token_budget") if getattr(self, n) is not None]
        if len(given) > 1:
            raise ValueError(
                f"give one of epochs, max_steps and token_budget, not {' and '.join(given)}"
            )
        return self
