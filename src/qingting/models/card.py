"""A model card: what a model is, what it may be used for, and what is known of using it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from qingting.spec.base import Frozen

Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=1)]
Number = Annotated[float, Field(gt=0.0)]
Pair = Annotated[tuple[str, ...], Field(min_length=2, max_length=2)]

Commercial = Literal["yes", "conditions", "no", "unknown"]
Task = Literal["dialogue", "classification", "generation"]
Conversion = Literal["chatglm3", "baichuan2", "internlm2", "gpt_oss_mxfp4"]


class Norm(Frozen):
    """The normalisation between layers."""

    kind: Literal["rmsnorm", "layernorm"]
    eps: Number


class Rope(Frozen):
    """Rotary positions: base, the share of a head that is rotated, and how long contexts scale."""

    theta: Number
    partial: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    scaling: dict[str, float | int | bool | str] | None = None


class Experts(Frozen):
    """A mixture of experts: how many there are, and how many a token uses."""

    experts: Count
    active: Count


class Architecture(Frozen):
    """The sizes of a model in its native architecture."""

    kind: Text = Field(description="model_type of transformers")
    cls: Text = Field(alias="class", description="native class of transformers")
    layers: Count
    hidden: Count
    heads: Count
    kv_heads: Count
    head_dim: Count
    ffn: Count
    vocabulary: Count
    activation: Text
    norm: Norm
    positions: Literal["rope", "learned"]
    rope: Rope | None
    attention_bias: bool
    tied_embeddings: bool
    sliding_window: Count | None
    moe: Experts | None

    @model_validator(mode="after")
    def _rope_belongs_to_rope(self) -> Architecture:
        if (self.positions == "rope") != (self.rope is not None):
            raise ValueError("positions rope need rope, and learned positions have none")
        return self


class Parameters(Frozen):
    """Parameters in all, and at work for one token (a mixture's input embedding left out)."""

    total: Count
    active: Count


class Context(Frozen):
    """Tokens a model sees as it is, and with the scaling that its makers offer."""

    native: Count
    extended: Count | None


class Licence(Frozen):
    """What the licence allows, in words; read the licence itself before you rely on it."""

    name: Text
    spdx: str | None
    url: Text
    commercial: Commercial
    terms: Text


class Hubs(Frozen):
    """Ids on the hubs; null where it is not there."""

    huggingface: str | None
    modelscope: str | None


class Chat(Frozen):
    """How a conversation is laid out: what stands before and after each content.

    ``default_system``: what stands in the system turn when there is no system message; null where
    the turn is left out then. ``last_assistant_end``: what ends the last answer, where it differs.
    ``trims``: white space around contents is dropped.
    """

    begin: str
    default_system: str | None
    system: Pair
    user: Pair
    assistant: Pair
    last_assistant_end: str | None = None
    generation: str
    stop: Annotated[tuple[Text, ...], Field(min_length=1)]
    trims: bool = False


class Note(Frozen):
    """One thing known, and where it is stated or how it was measured."""

    text: Text
    source: Text


class ModelCard(Frozen):
    """Everything known of one model."""

    name: Text
    developer: Text
    released: Annotated[str, Field(pattern=r"^(\d{4}(-\d{2})?|unknown)$")]
    tasks: Annotated[tuple[Task, ...], Field(min_length=1)]
    languages: tuple[Literal["zh", "en"], ...]
    parameters: Parameters
    architecture: Architecture
    context: Context
    licence: Licence
    hub: Hubs
    chat: Chat | None
    conversion: Conversion | None
    strengths: tuple[Note, ...]
    weaknesses: tuple[Note, ...]
    training_pitfalls: tuple[Note, ...]
    serving_pitfalls: tuple[Note, ...]
    sources: tuple[Text, ...]

    @model_validator(mode="after")
    def _dialogue_has_a_chat(self) -> ModelCard:
        if "dialogue" in self.tasks and self.chat is None:
            raise ValueError("a model for dialogue needs its chat layout")
        return self

    def to_config_dict(self) -> dict[str, Any]:
        """Return the configuration that transformers builds this architecture from."""
        a = self.architecture
        if a.kind == "bert":
            return self._bert_config()
        if a.kind == "gpt2":
            return self._gpt2_config()
        config: dict[str, Any] = {
            "model_type": a.kind,
            "architectures": [a.cls],
            "vocab_size": a.vocabulary,
            "hidden_size": a.hidden,
            "intermediate_size": a.ffn,
            "num_hidden_layers": a.layers,
            "num_attention_heads": a.heads,
            "num_key_value_heads": a.kv_heads,
            "head_dim": a.head_dim,
            "hidden_act": a.activation,
            "rms_norm_eps": a.norm.eps,
            "max_position_embeddings": self.context.native,
            "tie_word_embeddings": a.tied_embeddings,
        }
        if a.kind == "glm":
            config["pad_token_id"] = None  # the default is GLM-4's, outside a smaller vocabulary
        if a.kind != "qwen2":  # its bias on queries, keys and values is not a setting
            config["attention_bias"] = a.attention_bias
        if a.rope is not None:
            config["rope_parameters"] = self._rope_parameters(a.rope)
        if a.sliding_window is not None:
            config["sliding_window"] = a.sliding_window
        if a.moe is not None:
            config["num_local_experts"] = a.moe.experts
            config["num_experts_per_tok"] = a.moe.active
        return config

    @staticmethod
    def _rope_parameters(rope: Rope) -> dict[str, Any]:
        scaling = dict(rope.scaling or {})
        parameters = {
            "rope_type": scaling.pop("type", "default"),
            "rope_theta": rope.theta,
            **scaling,
        }
        if rope.partial != 1.0:
            parameters["partial_rotary_factor"] = rope.partial
        return parameters

    def _bert_config(self) -> dict[str, Any]:
        a = self.architecture
        return {
            "model_type": "bert",
            "architectures": [a.cls],
            "vocab_size": a.vocabulary,
            "hidden_size": a.hidden,
            "intermediate_size": a.ffn,
            "num_hidden_layers": a.layers,
            "num_attention_heads": a.heads,
            "hidden_act": a.activation,
            "layer_norm_eps": a.norm.eps,
            "max_position_embeddings": self.context.native,
            "tie_word_embeddings": a.tied_embeddings,
        }

    def _gpt2_config(self) -> dict[str, Any]:
        a = self.architecture
        return {
            "model_type": "gpt2",
            "architectures": [a.cls],
            "vocab_size": a.vocabulary,
            "n_embd": a.hidden,
            "n_inner": a.ffn,
            "n_layer": a.layers,
            "n_head": a.heads,
            "n_positions": self.context.native,
            "activation_function": a.activation,
            "layer_norm_epsilon": a.norm.eps,
            "tie_word_embeddings": a.tied_embeddings,
        }
