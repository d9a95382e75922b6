"""How much memory training and inference take, in closed form: arithmetic alone, no torch.

What is counted is what ``torch.cuda.max_memory_allocated`` would report; the margin for the CUDA
context, for libraries and for fragmentation is stated apart. The forms follow this package's own
trainer (chunked logits) and the plain step of transformers and peft (full logits); they are held to
the exact count of :mod:`qingting.engines.native.memory_trace`. Derivation and a table of both:
``docs/explanation/memory.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from qingting.core.errors import ModelError

GIB = 2**30
Method = Literal["full", "lora", "qlora"]
Logits = Literal["chunked", "full"]
TrainingPrecision = Literal["fp32", "bf16", "fp16"]

BYTES_NF4 = 0.5 + 0.127 / 8
"""Bytes of a weight in NF4 with double quantisation: 4 + 0.127 bits (Dettmers et al. 2023, §3)."""

PLANNED_KINDS = frozenset({"llama", "qwen2", "qwen3", "glm", "gpt_oss"})
"""Architectures (``model_type``) whose closed form is held to the trace."""

CUDA_CONTEXT_GIB = 0.6
"""CUDA context, cuBLAS workspaces and kernels: outside the allocator; 0.4 to 0.8 in practice."""

FRAGMENTATION = (0.02, 0.05, 0.12)
"""Share of the allocated peak that the allocator reserves without using it: low, middle, high.
An assumption; expandable segments keep it low."""

_CHUNK_ELEMENTS = 1 << 21
_POOL_SPREAD = 1 << 18


@dataclass(frozen=True, slots=True)
class ModelShape:
    """What of an architecture decides memory; sizes as a config.json states them."""

    kind: str
    n_layers: int
    hidden_size: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    ffn_size: int
    vocab_size: int
    tied_embeddings: bool
    qkv_bias: bool
    o_bias: bool
    mlp_bias: bool
    is_gated: bool
    has_qk_norm: bool
    has_fused_gate: bool
    has_written_out_attention: bool
    n_experts: int
    n_active_experts: int
    n_positions: int
    context_length: int

    @property
    def query_size(self) -> int:
        """Return the width of all query heads together."""
        return self.n_heads * self.head_dim

    @property
    def kv_size(self) -> int:
        """Return the width of all key heads together."""
        return self.n_kv_heads * self.head_dim


def shape_of(architecture: Any) -> ModelShape:
    """Return the shape of a model from its config.json, its card or a card's architecture.

    Raises:
        ModelError: A size is missing.
    """
    if isinstance(architecture, ModelShape):
        return architecture
    if isinstance(architecture, Mapping):
        return _from_config(architecture)
    if hasattr(architecture, "to_config_dict"):
        return _from_config(architecture.to_config_dict())
    if hasattr(architecture, "architecture"):
        return shape_of(architecture.architecture)
    return _from_attributes(architecture)


def _from_config(config: Mapping[str, Any]) -> ModelShape:
    def read(*names: str, default: Any = None) -> Any:
        for name in names:
            if config.get(name) is not None:
                return config[name]
        if default is not None:
            return default
        raise ModelError(f"config.json: no {names[0]}; memory cannot be planned without it.")

    kind = str(config.get("model_type", "llama"))
    hidden = int(read("hidden_size", "n_embd"))
    n_heads = int(read("num_attention_heads", "n_head"))
    is_plain = kind in ("bert", "gpt2")
    is_gpt_oss = kind == "gpt_oss"
    bias_default = kind == "qwen2" or is_plain or is_gpt_oss
    o_default = is_plain or is_gpt_oss or (kind == "llama" and bool(config.get("attention_bias")))
    positions = int(read("max_position_embeddings", "n_positions", "seq_length", default=4096))
    return ModelShape(
        kind=kind,
        n_layers=int(read("num_hidden_layers", "n_layer", "num_layers")),
        hidden_size=hidden,
        n_heads=n_heads,
        n_kv_heads=int(read("num_key_value_heads", "multi_query_group_num", default=n_heads)),
        head_dim=int(read("head_dim", "kv_channels", default=hidden // n_heads)),
        ffn_size=int(read("intermediate_size", "ffn_hidden_size", "n_inner", default=4 * hidden)),
        vocab_size=int(read("vocab_size", "padded_vocab_size")),
        tied_embeddings=bool(config.get("tie_word_embeddings", is_plain)),
        qkv_bias=bool(config.get("attention_bias", bias_default)) or bias_default,
        o_bias=o_default,
        mlp_bias=is_plain or bool(config.get("mlp_bias")),
        is_gated=not is_plain,
        has_qk_norm=kind in ("qwen3", "qwen3_moe"),
        has_fused_gate=kind in ("glm", "glm4"),
        has_written_out_attention=is_gpt_oss,
        n_experts=int(config.get("num_local_experts") or config.get("num_experts") or 0),
        n_active_experts=int(config.get("num_experts_per_tok") or 0),
        n_positions=positions if is_plain else 0,
        context_length=positions,
    )


def _from_attributes(architecture: Any) -> ModelShape:
    def read(name: str, default: Any) -> Any:
        value = getattr(architecture, name, None)
        return default if value is None else value

    kind = str(read("kind", read("model_type", "llama")))
    config = {
        "model_type": kind,
        "hidden_size": architecture.hidden_size,
        "num_hidden_layers": architecture.n_layers,
        "num_attention_heads": architecture.n_heads,
        "num_key_value_heads": read("n_kv_heads", architecture.n_heads),
        "head_dim": read("head_dim", architecture.hidden_size // architecture.n_heads),
        "intermediate_size": architecture.ffn_size,
        "vocab_size": architecture.vocab_size,
        "tie_word_embeddings": architecture.tied_embeddings,
        "attention_bias": read("qkv_bias", False),
        "num_local_experts": read("n_experts", 0),
        "num_experts_per_tok": read("n_active_experts", 0),
        "max_position_embeddings": read("context_length", 4096),
    }
    return _from_config(config)


class ParameterCounts(NamedTuple):
    """Numbers of parameters: ``linear`` of adaptable layers, ``embedding`` of tables and head."""

    total: int
    active: int
    embedding: int
    linear: int
    experts: int
    lora_per_rank: int


def count_parameters(architecture: Any) -> ParameterCounts:
    """Return how many parameters a model has, by kind; tied tables count once."""
    s = shape_of(architecture)
    h, q, kv, f = s.hidden_size, s.query_size, s.kv_size, s.ffn_size
    attention = h * (q + 2 * kv) + q * h
    biases = (q + 2 * kv if s.qkv_bias else 0) + (h if s.o_bias else 0)
    lora = (h + q) + 2 * (h + kv) + (q + h)
    other, linear, experts, active = biases, attention, 0, 0
    if s.n_experts:
        each = 3 * h * f + 2 * f + h
        experts, active = s.n_experts * each, s.n_active_experts * each
        other += s.n_experts * (h + 1)
        if s.has_written_out_attention:
            other += s.n_heads
    else:
        n_up = 2 if s.is_gated else 1
        linear += (n_up + 1) * h * f
        other += n_up * f + h if s.mlp_bias else 0
        lora += (h + 2 * f if s.has_fused_gate else n_up * (h + f)) + (f + h)
    other += 2 * h * (1 if s.is_gated else 2)
    if s.has_qk_norm:
        other += 2 * s.head_dim
    table = s.vocab_size * h
    embedding = table * (1 if s.tied_embeddings else 2) + s.n_positions * h
    final = h * (1 if s.is_gated else 2)
    if s.kind == "bert":  # two segments, their norm, and the head that guesses masked words
        embedding += 2 * h + h * h + h + 2 * h + s.vocab_size
    per_layer = linear + other + experts
    total = embedding + final + s.n_layers * per_layer
    active_total = total - s.n_layers * (experts - active)
    return ParameterCounts(
        total, active_total, embedding, s.n_layers * linear, s.n_layers * experts,
        s.n_layers * lora,
    )  # fmt: skip


def n_parameters(architecture: Any) -> int:
    """Return how many parameters a model has in all; tied tables count once."""
    return count_parameters(architecture).total


@dataclass(frozen=True, slots=True)
class TrainingSetup:
    """How a model is trained, as far as memory goes.

    ``accumulates``: a step has several micro-batches, so gradients of earlier ones exist during a
    forward pass. ``target_share``: share of tokens that carry loss (chunked logits only score
    these). Rows are ``length`` tokens long, all of them used.
    """

    method: Method = "lora"
    micro_batch: int = 1
    length: int = 3072
    logits: Logits = "chunked"
    gradient_checkpointing: bool = True
    lora_rank: int = 8
    lora_dropout: float = 0.1
    precision: TrainingPrecision = "bf16"
    accumulates: bool = True
    target_share: float = 1.0

    @property
    def n_tokens(self) -> int:
        """Return the tokens of one micro-batch."""
        return self.micro_batch * self.length


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes by what they are for, at the moment of the peak.

    ``allocated`` is their sum and what ``max_memory_allocated`` would say; ``peak_gib`` adds the
    middle margin, ``low_gib`` and ``high_gib`` the others.
    """

    weights: int
    adapters: int
    gradients: int
    optimiser: int
    activations: int
    logits: int
    kv_cache: int
    moment: str

    @property
    def allocated(self) -> int:
        """Return the bytes that tensors take at the peak."""
        return (
            self.weights + self.adapters + self.gradients + self.optimiser
            + self.activations + self.logits + self.kv_cache
        )  # fmt: skip

    @property
    def allocated_gib(self) -> float:
        """Return the same in GiB."""
        return self.allocated / GIB

    @property
    def low_gib(self) -> float:
        """Return the least that a device must offer."""
        return self._with_margin(FRAGMENTATION[0])

    @property
    def peak_gib(self) -> float:
        """Return what to expect the device to need, context and fragmentation included."""
        return self._with_margin(FRAGMENTATION[1])

    @property
    def high_gib(self) -> float:
        """Return what a badly fragmented run needs."""
        return self._with_margin(FRAGMENTATION[2])

    @property
    def margin_gib(self) -> float:
        """Return the part of ``peak_gib`` that no tensor takes."""
        return self.peak_gib - self.allocated_gib

    def _with_margin(self, share: float) -> float:
        return self.allocated_gib * (1 + share) + CUDA_CONTEXT_GIB


def estimate_training(architecture: Any, setup: TrainingSetup | None = None) -> MemoryEstimate:
    """Return what a training step holds at its peak.

    The peak is the largest of three moments: the loss at the end of the forward pass, the loss at
    the start of the backward pass, and the backward pass through one block, which computes that
    block again where checkpointing is on.
    """
    setup = setup or TrainingSetup()
    shape = shape_of(architecture)
    counts = count_parameters(shape)
    is_full = setup.method == "full"
    c = 4 if setup.precision == "fp32" else 2
    if is_full:
        weights, adapters, trained = 4 * counts.total, 0, counts.total
    else:
        weights = c * counts.total
        if setup.method == "qlora":
            weights -= round((c - BYTES_NF4) * counts.linear)
        trained = setup.lora_rank * counts.lora_per_rank
        adapters = 4 * trained
    moments = _moments(shape, counts, setup, c)
    name, activations, logits = max(moments, key=lambda moment: moment[1] + moment[2])
    gradients = 4 * trained
    if not setup.accumulates and name != "update":
        gradients = 0 if name.startswith("loss") else gradients
    return MemoryEstimate(
        weights=weights,
        adapters=adapters,
        gradients=gradients,
        optimiser=8 * trained,
        activations=round(activations),
        logits=round(logits),
        kv_cache=0,
        moment=name,
    )


def _moments(
    s: ModelShape, counts: ParameterCounts, setup: TrainingSetup, c: int
) -> list[tuple[str, float, float]]:
    """Return (name, bytes of activations, bytes of logits) of the moments that may be the peak."""
    n, h, f = setup.n_tokens, s.hidden_size, s.ffn_size
    is_full = setup.method == "full"
    is_mixed = is_full and c == 2
    residual = 4 if is_full else c
    table = s.vocab_size * h
    saved = n * saved_per_token(s, setup)
    transient = _transient(s, setup, c)
    attended: float = 0.0  # attention that is written out may take more than the rest of the block
    if s.has_written_out_attention:
        attended = _score_transient(s, setup, c) - n * _mlp_saved_per_token(s, setup, c)
    # weights cast under autocast live as long as a backward pass may need them
    casts = 2 * counts.linear if is_mixed else 0
    block_casts = casts // s.n_layers
    if setup.method == "qlora":
        transient += h * f * c  # one layer's weights, dequantised
    transient = max(transient, attended)
    pool: float = 0
    if setup.logits == "chunked" and not is_full and setup.lora_dropout:
        widest = max(h, s.query_size, 0 if s.n_experts else f)
        pool = (n * widest + _POOL_SPREAD) * c
        if not setup.gradient_checkpointing and widest > h:  # the first layer keeps a smaller one
            pool += (n * max(h, s.query_size) + _POOL_SPREAD) * c
    if s.has_written_out_attention and setup.logits == "chunked":
        pool += 2 * 4 * setup.length**2  # the masks of full and of sliding attention
    if setup.gradient_checkpointing:
        kept: float = s.n_layers * h * residual * n
        block = saved + transient + block_casts
        kept_casts = 0
    else:
        kept, block = s.n_layers * saved, transient
        kept_casts = casts
    final_norm = n * h * (4 + (4 + 4 + residual if is_full else c))
    in_block = kept + block + pool + kept_casts
    if setup.logits == "chunked":
        n_scored = max(1.0, round(n - setup.micro_batch) * setup.target_share)
        chunk = min(_CHUNK_ELEMENTS, n_scored * s.vocab_size)
        scores = chunk * (12 if c == 2 else 8)  # the next chunk begins while the last is held
        head = table * (4 + (2 * c if is_mixed else 4)) if is_full else 0
        states = 2 * n_scored * h * residual
        forward = kept + final_norm + states + casts + pool + head
        norm_backward = kept + pool + kept_casts + n * h * (5 * 4 + c)
        return [
            ("loss, forward", forward, scores),
            ("loss, backward", norm_backward + (table * 8 if is_full else 0), 0),
            ("block, backward", in_block, 0),
        ]
    wide = 4 * n * s.vocab_size
    head_cast = table * c if is_mixed else 0
    return [
        ("loss, forward", kept + final_norm + casts + head_cast, wide * (2.5 if c == 2 else 2)),
        ("loss, backward", kept + final_norm + kept_casts + head_cast, 3 * wide),
        ("block, backward", in_block, 0),
    ]


def saved_per_token(s: ModelShape, setup: TrainingSetup) -> float:
    """Return the bytes that one block keeps for its backward pass, for each token."""
    c = 4 if setup.precision == "fp32" else 2
    h, q, kv = s.hidden_size, s.query_size, s.kv_size
    drops = setup.lora_dropout > 0
    is_full, is_plain = setup.method == "full", setup.logits == "full"
    # linear layers with an adapter that read the input of the MLP
    n_wide = 0 if s.n_experts else 1 if s.has_fused_gate else 2
    attention: float = c * (2 * q + 2 * kv) + 4 * s.n_heads
    if s.has_qk_norm:
        attention += 4 * (q + kv) * (2 if is_full else 1)
    if s.has_written_out_attention:  # keys and values are repeated, probabilities kept
        scores = s.n_heads * setup.length * (c if is_plain else 4 + c)
        attention = 3 * c * q + scores
    elif c == 4 and s.n_heads != s.n_kv_heads:  # no fused kernel shares keys in fp32
        attention = c * (3 * q + kv) + 4 * s.n_heads * setup.length
    norms = (16 * h if is_full else 8 * h) + 8
    if not is_full:  # results of rank r
        n_adapted = 4 if s.n_experts else 5 + n_wide
        norms += n_adapted * setup.lora_rank * (4 if is_plain else c)
    if is_full:
        inputs = c * ((3 + n_wide) * h if c == 2 else 2 * h) + c * q
    elif is_plain:  # fp32 copies, and a mask of one byte an element where there is dropout
        inputs = (5 if drops else 4) * ((3 + n_wide) * h + q)
    else:
        inputs = c * ((3 + n_wide if drops else 2) * h + q)
    return norms + inputs + attention + _mlp_saved_per_token(s, setup, c)


def _mlp_saved_per_token(s: ModelShape, setup: TrainingSetup, c: int) -> float:
    """Return what lies between the linear layers of an MLP, or inside its experts."""
    if s.n_experts:
        # gate and up, both clamped, sigmoid, their product, and each expert's answer
        c = 4 if setup.method == "full" else c
        return s.n_active_experts * c * (6 * s.ffn_size + s.hidden_size)
    # gate, up, the activation, and the product as the down projection keeps it
    product = c
    if setup.method != "full" and setup.logits == "full":
        product = 5 if setup.lora_dropout > 0 else 4
    return (3 * c + product) * s.ffn_size


def _transient(s: ModelShape, setup: TrainingSetup, c: int) -> float:
    """Return the bytes that computing a block's gradient adds to what the block keeps."""
    n, h, f = setup.n_tokens, s.hidden_size, s.ffn_size
    if s.n_experts:
        c = 4 if setup.method == "full" else c
        weight = s.n_experts * 2 * h * f * 4 if setup.method == "full" else 0
        return n * c * (h + s.n_active_experts * (4 * f + h)) + weight
    if setup.method == "full":
        # the gradients of gate and up; or of the product and of a weight matrix, cast to fp32
        casts = 6 if c == 2 else 4
        return 4 * h * n + max(2 * c * f * n, c * f * n + c * h * f, casts * h * f)
    if setup.logits == "chunked":
        return n * (2 * c * f + c * h)
    # peft's fp32 copy of the product, and its three fp32 results; or two gradients of the copy
    copies = (4 + c) * f if setup.lora_dropout > 0 else c * f
    return n * (max(copies + 12 * h, 4 * f) + c * h)


def _score_transient(s: ModelShape, setup: TrainingSetup, c: int) -> float:
    """Return the bytes of scores that a softmax takes beside the probabilities that are kept."""
    n_scores = s.n_heads * setup.length**2
    if setup.logits == "full":
        return 2 * c * n_scores * setup.micro_batch
    return (8 - c) * n_scores


def estimate_inference(
    architecture: Any,
    *,
    concurrency: int = 1,
    context_length: int = 4096,
    weight_bytes: float = 2.0,
    cache_bytes: int = 2,
    prefill_tokens: int | None = None,
) -> MemoryEstimate:
    """Return what serving holds: weights, the keys and values of all dialogues, one prefill.

    Args:
        architecture: A card, its architecture, a config.json or a :class:`ModelShape`.
        concurrency: Dialogues answered at the same time.
        context_length: Tokens of each, prompt and answer together.
        weight_bytes: Bytes of a weight of linear layers (2 bf16, 1 int8, 0.5 4-bit); embeddings
            and head stay in 2.
        cache_bytes: Bytes of a cached number.
        prefill_tokens: Tokens computed at once; the servers' usual 8,192 at most where None.
    """
    s = shape_of(architecture)
    counts = count_parameters(s)
    n = min(context_length * concurrency, 8192) if prefill_tokens is None else prefill_tokens
    small = counts.linear + counts.experts
    weights: float = 2 * (counts.total - small) + weight_bytes * small
    cache = 2 * s.n_layers * s.kv_size * cache_bytes * context_length * concurrency
    width = 2 * s.ffn_size * max(1, s.n_active_experts) + 2 * s.hidden_size
    activations = n * 2 * (width + s.query_size + 2 * s.kv_size)
    return MemoryEstimate(
        weights=round(weights),
        adapters=0,
        gradients=0,
        optimiser=0,
        activations=activations,
        logits=6 * s.vocab_size * concurrency,
        kv_cache=cache,
        moment="prefill",
    )
