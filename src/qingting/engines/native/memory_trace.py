"""Peak memory of a training step, counted exactly over tensors that hold no data.

The step is run as it would run on a GPU (same model code, same adapters, same loss, same attention
kernels) on fake tensors: they have shapes, types, storages and lifetimes, and nothing else. A
dispatch mode notes each storage when it is born and when it is released. What is counted is what
``torch.cuda.max_memory_allocated`` counts: allocated blocks in multiples of 512 bytes. What it
cannot see: the context of CUDA, libraries' workspaces, and free space that the allocator cannot
reuse (see ``docs/explanation/memory.md``).
"""

from __future__ import annotations

import weakref
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    PreTrainedModel,
)
from transformers.initialization import no_init_weights
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.gpt_oss.modeling_gpt_oss import eager_attention_forward

from qingting.core.errors import ModelError
from qingting.engines.native.adapters import Trainable, prepare_trainable
from qingting.engines.native.attention import (
    AttentionSettings,
    Segment,
    composed_varlen,
    window_mask,
)
from qingting.engines.native.batches import MicroBatch
from qingting.engines.native.classifiers import heads
from qingting.engines.native.likelihood import autocast, token_losses
from qingting.engines.native.loading import DTYPES
from qingting.engines.native.lora_linear import DropoutPool, fuse
from qingting.models.memory import MemoryEstimate, TrainingSetup
from qingting.models.resolve import ENCODERS
from qingting.spec.recipe import LoraRecipe, Recipe

_BLOCK_BYTES = 512
"""What the CUDA caching allocator rounds requests up to."""


class Holding(NamedTuple):
    """Storages alike that live at the peak: ``name`` says what made them."""

    name: str
    n: int
    n_bytes: int


@dataclass(frozen=True)
class Trace:
    """What one training step holds at its peak; bytes as the CUDA allocator counts them."""

    peak_bytes: int
    phase: str
    weights: int
    adapters: int
    gradients: int
    optimiser: int
    logits: int
    activations: int
    holdings: tuple[Holding, ...]

    @property
    def peak_gib(self) -> float:
        """Return the peak in GiB."""
        return self.peak_bytes / 2**30

    def to_estimate(self) -> MemoryEstimate:
        """Return the count in the form of the planner's estimate, for models without closed form."""
        known = self.weights + self.adapters + self.gradients + self.optimiser + self.logits
        return MemoryEstimate(
            weights=self.weights,
            adapters=self.adapters,
            gradients=self.gradients,
            optimiser=self.optimiser,
            activations=self.peak_bytes - known,
            logits=self.logits,
            kv_cache=0,
            moment=self.phase,
        )


class _Birth(NamedTuple):
    n_bytes: int
    name: str
    vocabulary_wide: bool


class StorageCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the birth and the release of every fake storage that an operation makes."""

    def __init__(self, n_vocabulary: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._n_vocabulary = n_vocabulary
        self._known: weakref.WeakValueDictionary[int, torch.UntypedStorage] = (
            weakref.WeakValueDictionary()
        )
        self._births: dict[int, _Birth] = {}
        self._n = 0
        self._live: dict[int, int] = {}
        self._numbers: dict[int, int] = {}
        self.live_bytes = 0
        self.peak_bytes = 0
        self.phase = "loading"
        self.peak_phase = self.phase
        self._at_peak: dict[int, int] = {}
        self._is_peak_stale = False
        self.classes: dict[int, str] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, FakeTensor):
                self._note(leaf, str(func))
        return result

    def _note(self, tensor: Tensor, name: str) -> None:
        storage = tensor.untyped_storage()
        key = id(storage)
        if self._known.get(key) is storage:
            return
        self._known[key] = storage
        n_bytes = -(-storage.nbytes() // _BLOCK_BYTES) * _BLOCK_BYTES
        self._n += 1
        number = self._n
        self._numbers[key] = number
        is_wide = tensor.ndim > 0 and tensor.shape[-1] == self._n_vocabulary
        shape = "×".join(map(str, tensor.shape))
        kind = str(tensor.dtype).removeprefix("torch.")
        self._births[number] = _Birth(n_bytes, f"{name} {shape} {kind}", is_wide)
        self._live[number] = n_bytes
        self.live_bytes += n_bytes
        if self.live_bytes > self.peak_bytes:
            self.peak_bytes, self.peak_phase = self.live_bytes, self.phase
            self._is_peak_stale = True
        weakref.finalize(storage, self._release, number)

    def _release(self, number: int) -> None:
        if self._is_peak_stale:  # the set is copied only when it stops growing
            self._at_peak, self._is_peak_stale = dict(self._live), False
        n_bytes = self._live.pop(number, 0)
        self.live_bytes -= n_bytes

    def classify(self, tensors: Sequence[Tensor], kind: str) -> None:
        """Say that ``tensors`` are of a ``kind``: weights, gradients, …"""
        for tensor in tensors:
            storage = tensor.untyped_storage()
            self._note(tensor, kind)
            self.classes[self._numbers[id(storage)]] = kind

    def restart(self) -> None:
        """Forget the peak so far."""
        self.peak_bytes, self.peak_phase = self.live_bytes, self.phase
        self._at_peak, self._is_peak_stale = dict(self._live), False

    def summary(self) -> Trace:
        """Return what lived at the peak."""
        if self._is_peak_stale:
            self._at_peak, self._is_peak_stale = dict(self._live), False
        sums: dict[str, int] = defaultdict(int)
        groups: dict[str, list[int]] = defaultdict(list)
        for number, n_bytes in self._at_peak.items():
            birth = self._births[number]
            kind = self.classes.get(number)
            if kind is None:
                kind = "logits" if birth.vocabulary_wide else "activations"
                groups[birth.name].append(n_bytes)
            sums[kind] += n_bytes
        holdings = sorted(
            (Holding(name, len(sizes), sum(sizes)) for name, sizes in groups.items()),
            key=lambda holding: -holding.n_bytes,
        )
        return Trace(
            peak_bytes=sum(self._at_peak.values()),
            phase=self.peak_phase,
            weights=sums["weights"],
            adapters=sums["adapters"],
            gradients=sums["gradients"],
            optimiser=sums["optimiser"],
            logits=sums["logits"],
            activations=sums["activations"],
            holdings=tuple(holdings),
        )


@contextmanager
def _gpu_kernels() -> Iterator[None]:
    """Send attention to the kernel that a GPU would choose: a CPU build never asks for it.

    A mode of torch's would do, were modes in force where checkpointing computes a block again.
    """
    attention, dropout = functional.scaled_dot_product_attention, functional.dropout
    functional.scaled_dot_product_attention, functional.dropout = _attend, _drop  # type: ignore[assignment]
    try:
        yield
    finally:
        functional.scaled_dot_product_attention, functional.dropout = attention, dropout


def _drop(x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Return dropout as CUDA's kernel does it, which keeps one byte an element."""
    if not training or p == 0.0:
        return x
    result: Tensor = torch.native_dropout(x, p, training)[0]
    return result


def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Return attention through the flash kernel, or the written-out one where that does not apply."""
    if torch.is_autocast_enabled("cpu"):
        query, key, value = (x.to(torch.get_autocast_dtype("cpu")) for x in (query, key, value))
    is_half = query.dtype in (torch.bfloat16, torch.float16)
    if not is_half and attn_mask is None and query.shape[1] == key.shape[1]:
        fused: Tensor = torch.ops.aten._scaled_dot_product_efficient_attention(
            query, key, value, None, True, dropout_p, is_causal, scale=scale
        )[0]
        return fused
    if attn_mask is not None or not is_half or query.shape[-1] > 256:
        result: Tensor = torch.ops.aten._scaled_dot_product_attention_math(
            query, key, value, attn_mask, dropout_p, is_causal, None,
            scale=scale, enable_gqa=enable_gqa,
        )[0]  # fmt: skip
        return result
    size = query.shape[-1]
    if size % 8:
        query, key, value = (functional.pad(x, (0, 8 - size % 8)) for x in (query, key, value))
    output: Tensor = torch.ops.aten._scaled_dot_product_flash_attention(
        query, key, value, dropout_p, is_causal, False, scale=scale or size**-0.5
    )[0]
    return output[..., :size]


def trace_training(config: Mapping[str, Any], setup: TrainingSetup) -> Trace:
    """Return the peak of a training step of a model that ``config`` (a config.json) describes.

    With chunked logits the step is the native trainer's own. With full logits it is the plain one
    of transformers and peft, ``model(input_ids, labels=…).loss.backward()``. Adapters, moments
    and, where micro-batches accumulate, gradients exist before the step, as they do from the second
    step on. Rows are full: ``setup.micro_batch`` dialogues of ``setup.length`` tokens.

    Raises:
        ModelError: transformers does not know the architecture; or 4-bit weights are asked for.
    """
    if setup.method == "qlora":
        raise ModelError(
            "--trace counts full fine-tuning and LoRA: 4-bit layers need kernels that work on "
            "data. Leave --trace out for QLoRA."
        )
    window_mask.cache_clear()
    try:
        return _trace(config, setup)
    finally:
        window_mask.cache_clear()  # it holds masks without data now


def _trace(config: Mapping[str, Any], setup: TrainingSetup) -> Trace:
    with torch.device("meta"):
        model = _build(config, setup)
        whole = heads(model) if model.config.model_type in ENCODERS else ()
        trainable = prepare_trainable(model, _recipe(setup), seed=0, whole=whole)
    with FakeTensorMode(allow_non_fake_inputs=True):
        counter = StorageCounter(int(config["vocab_size"]))
        trainable = _materialise(trainable)
        batch = _batch(setup, int(config["vocab_size"]))
        with counter, _gpu_kernels():
            return _trace_step(counter, trainable, batch, setup)


def _trace_step(
    counter: StorageCounter, trainable: Trainable, batch: MicroBatch, setup: TrainingSetup
) -> Trace:
    model, parameters = trainable.model, list(trainable.parameters.values())
    frozen = [p for p in model.parameters() if not p.requires_grad]
    counter.classify(frozen, "weights")
    counter.classify(parameters, "weights" if setup.method == "full" else "adapters")
    counter.classify(list(model.buffers()), "weights")
    optimiser = torch.optim.AdamW(parameters, lr=1e-4, foreach=False)
    moments = [torch.empty_like(p) for p in parameters for _ in range(2)]
    counter.classify(moments, "optimiser")
    if setup.accumulates:
        for parameter in parameters:
            parameter.grad = torch.empty_like(parameter)
        counter.classify([p.grad for p in parameters if p.grad is not None], "gradients")
    model.train()
    counter.phase = "forward"
    counter.restart()
    loss = _native_loss if setup.logits == "chunked" else _plain_loss
    if model.config.model_type in ENCODERS:
        loss = _classifier_loss
    total, kept = loss(model, batch, setup)
    counter.phase = "backward"
    total.backward()  # type: ignore[no-untyped-call]
    counter.classify([p.grad for p in parameters if p.grad is not None], "gradients")
    counter.phase = "optimiser"
    del total, kept
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    del optimiser  # the fused update works in place
    return counter.summary()


def _native_loss(
    model: PreTrainedModel, batch: MicroBatch, setup: TrainingSetup
) -> tuple[Tensor, Any]:
    pool = DropoutPool(setup.lora_dropout)
    fuse(model, pool if setup.lora_dropout else None)
    pool.refill(0)
    model.config._attn_implementation = _TRACED
    if setup.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    precision = DTYPES[setup.precision]
    is_mixed = setup.method == "full" and precision is not torch.float32
    with autocast(torch.device("cpu"), precision if is_mixed else None):
        losses = token_losses(model, batch)
    return losses.total / len(batch.labels), losses


def _plain_loss(
    model: PreTrainedModel, batch: MicroBatch, setup: TrainingSetup
) -> tuple[Tensor, Any]:
    if setup.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    precision = DTYPES[setup.precision]
    is_mixed = setup.method == "full" and precision is not torch.float32
    model.config._attn_implementation = _PLAIN
    rows = batch.input_ids.view(setup.micro_batch, setup.length)
    with autocast(torch.device("cpu"), precision if is_mixed else None):
        output: CausalLMOutputWithPast = model(input_ids=rows, labels=rows, use_cache=False)
    assert isinstance(output.loss, Tensor)
    return output.loss, None  # the logits are released here, as a trainer's loss function does


def _classifier_loss(
    model: PreTrainedModel, batch: MicroBatch, setup: TrainingSetup
) -> tuple[Tensor, Any]:
    if setup.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    precision = DTYPES[setup.precision]
    is_mixed = setup.method == "full" and precision is not torch.float32
    model.config._attn_implementation = _PLAIN
    rows = batch.input_ids.view(setup.micro_batch, setup.length)
    with autocast(torch.device("cpu"), precision if is_mixed else None):
        logits = model(input_ids=rows).logits.float()
    labels = torch.zeros(setup.micro_batch, dtype=torch.long)
    return functional.cross_entropy(logits, labels), None


def _materialise(trainable: Trainable) -> Trainable:
    """Return a model of meta tensors with fake ones in their place, ties kept.

    peft moves adapters when it attaches them, which fake parameters do not allow.
    """
    made: dict[int, Tensor] = {}
    for module in trainable.model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                if id(parameter) not in made:
                    empty = torch.empty(parameter.shape, dtype=parameter.dtype, device="cpu")
                    made[id(parameter)] = nn.Parameter(empty, parameter.requires_grad)
                module._parameters[name] = made[id(parameter)]  # type: ignore[assignment]
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype, device="cpu")
    named = trainable.model.named_parameters()
    return trainable._replace(parameters={n: p for n, p in named if p.requires_grad})


def _batch(setup: TrainingSetup, n_vocabulary: int) -> MicroBatch:
    """Return full rows laid end to end, as packing lays them, every token a target."""
    n, length = setup.micro_batch, setup.length
    ids = torch.zeros((1, n * length), dtype=torch.long)
    n_targets = round(n * (length - 1) * setup.target_share)
    flat = torch.zeros(n_targets, dtype=torch.long)
    segments = tuple(Segment(0, i * length, (i + 1) * length) for i in range(n))
    names = tuple(str(i) for i in range(n))
    return MicroBatch(names, ids, ids.clone(), segments, flat, flat.clone(), flat.clone())


def _recipe(setup: TrainingSetup) -> Recipe:
    if setup.method == "full":
        return Recipe(method="full")
    lora = LoraRecipe(rank=setup.lora_rank, dropout=setup.lora_dropout)
    return Recipe(method="lora", lora=lora)


def _build(config: Mapping[str, Any], setup: TrainingSetup) -> PreTrainedModel:
    """Return the model on a fake GPU, its weights in the type that training holds them in."""
    kind = str(config.get("model_type", ""))
    rope = config.get("rope_parameters") or {}
    if rope.get("rope_type") == "dynamic":  # it looks at positions, which hold no data here
        config = {**config, "rope_parameters": {**rope, "rope_type": "default"}}
    try:
        known = AutoConfig.for_model(**{**config, "model_type": kind, "pad_token_id": None})
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"transformers knows no architecture {kind!r}: {error}") from error
    dtype = torch.float32 if setup.method == "full" else DTYPES[setup.precision]
    auto = AutoModelForSequenceClassification if kind in ENCODERS else AutoModelForCausalLM
    with no_init_weights():
        model: PreTrainedModel = auto.from_config(  # type: ignore[no-untyped-call]
            known, dtype=dtype, attn_implementation="eager"
        )
    model.tie_weights()
    return model


def _gpu_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    sliding_window: int | None = None,
    s_aux: Tensor | None = None,
    segments: tuple[Segment, ...] = (),
    **_: Any,
) -> tuple[Tensor, None]:
    """Return the trainer's attention as it computes on a GPU."""
    query, key = query.to(value.dtype), key.to(value.dtype)
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    settings = AttentionSettings(segments, scale, sliding_window, in_blocks=False)
    return composed_varlen(query, key, value, s_aux, settings).transpose(1, 2), None


def _plain_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Return attention as transformers computes it: fused, or written out where there are sinks."""
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    if s_aux is not None:
        written, _weights = eager_attention_forward(
            module, query, key, value, None, scaling=scale, dropout=0.0
        )
        return written, None
    result, _nothing = sdpa_attention_forward(module, query, key, value, None, scaling=scale)
    return result, None


_PLAIN = "qingting_plain_traced"
ALL_ATTENTION_FUNCTIONS.register(_PLAIN, _plain_attention)
_TRACED = "qingting_varlen_traced"
ALL_ATTENTION_FUNCTIONS.register(_TRACED, _gpu_attention)
