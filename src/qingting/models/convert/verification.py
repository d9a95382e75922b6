"""The converted weights in their native classes against the reference, layer by layer.

Two runs of random tokens, one at the first positions and one that ends past the trained length
(where dynamic scaling acts). Both sides work in float32 on the same numbers: the source's are
rounded to the target's type first, so that what is measured is the conversion and not rounding.
Memory: one layer of each side.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from qingting.core.errors import ModelError
from qingting.models.convert import reference
from qingting.models.convert.plan import Plan, TargetTypes
from qingting.models.convert.shards import OutputShard
from qingting.models.convert.source import Checkpoint, read_json, read_shard

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

TOLERANCE = 2e-4
"""Largest difference allowed, relative to the largest value of the reference where above 1."""

_N_TOKENS = 48
_ROWS_AT_ONCE = 8192


class _Run(NamedTuple):
    positions: Tensor
    embeddings: tuple[Tensor, Tensor]
    states: list[Tensor]


def verify_conversion(
    checkpoint: Checkpoint,
    plan: Plan,
    shards: Sequence[OutputShard],
    folder: Path,
    *,
    types: TargetTypes,
) -> float:
    """Return the largest difference between converted and reference logits.

    Raises:
        ModelError: A layer or the logits differ by more than the tolerance, or the native class
            has other parameters than the conversion wrote.
    """
    import torch

    read_source = _Rounded(checkpoint, plan, types)
    read_target = _Written(folder, shards)
    source = read_json(checkpoint.folder / "config.json")
    names = reference.NAMES[plan.layout]
    with torch.inference_mode(), _quiet():
        native = _native_model(plan.config)
        _check_parameters(native, plan)
        ids = torch.randint(
            plan.config["vocab_size"], (2, _N_TOKENS), generator=torch.Generator().manual_seed(11)
        )
        runs = _runs(native, plan.config, ids, read_source, read_target, names.embedding)
        for index in range(plan.config["num_hidden_layers"]):
            layer = _native_layer(native, index, read_target)
            kind = (plan.config.get("layer_types") or [""] * (index + 1))[index]
            window = plan.config.get("sliding_window") if kind == "sliding_attention" else None
            for run in runs:
                run.states[0] = reference.layer(
                    plan.layout, source, index, run.states[0], run.positions, read_source
                )
                run.states[1] = _apply(layer, run, window)
                _compare(run.states[0], run.states[1], f"layer {index}", checkpoint.folder)
        return _compare_logits(plan, source, runs, read_source, read_target, checkpoint.folder)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library's advice about configurations out of a verification's output."""
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _native_model(config: Mapping[str, Any]) -> Any:
    import torch
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    values = {k: v for k, v in config.items() if k != "model_type"}
    native = CONFIG_MAPPING[config["model_type"]](**values)
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
            native, attn_implementation="eager", dtype=torch.float32
        )


def _check_parameters(native: Any, plan: Plan) -> None:
    written = {target.name: target.shape for step in plan.steps for target in step.targets}
    wanted = {name: tuple(x.shape) for name, x in native.state_dict().items()}
    if plan.config.get("tie_word_embeddings"):
        wanted.pop("lm_head.weight", None)
    wrong = sorted(
        name for name in wanted.keys() | written.keys() if wanted.get(name) != written.get(name)
    )
    if wrong:
        raise ModelError(
            f"{plan.config['architectures'][0]}: {len(wrong)} parameters differ from those "
            f"converted, first {wrong[0]}"
        )


def _runs(
    native: Any,
    config: Mapping[str, Any],
    ids: Tensor,
    read_source: _Rounded,
    read_target: _Written,
    embedding: str,
) -> list[_Run]:
    import torch

    rotary_class = type(native.model.rotary_emb)
    past_trained = config["max_position_embeddings"] + 37
    runs = []
    for row, end in zip(ids, (_N_TOKENS, past_trained), strict=True):
        positions = torch.arange(max(0, end - _N_TOKENS), max(0, end - _N_TOKENS) + _N_TOKENS)
        before = read_source.rows(embedding, row)
        after = read_target("model.embed_tokens.weight")[row].float()
        rotary = rotary_class(native.config)
        runs.append(_Run(positions, rotary(after, positions[None]), [before, after]))
    return runs


def _native_layer(native: Any, index: int, read: _Written) -> nn.Module:
    import torch

    old = native.model.layers[index]
    with torch.device("meta"):
        layer: nn.Module = type(old)(native.config, index)
    state = {
        name: read(f"model.layers.{index}.{name}").float() for name, _ in old.named_parameters()
    }
    layer.load_state_dict(state, assign=True)
    return layer.eval()


def _apply(layer: nn.Module, run: _Run, window: int | None) -> Tensor:
    import torch

    states = run.states[1][None]
    step = torch.arange(states.shape[1])
    hidden = step[:, None] < step
    if window is not None:
        hidden = hidden | (step[:, None] - step >= window)
    mask = torch.zeros(hidden.shape).masked_fill(hidden, torch.finfo(torch.float32).min)
    out = layer(
        states,
        attention_mask=mask[None, None],
        position_ids=run.positions[None],
        position_embeddings=run.embeddings,
    )
    result: Tensor = out[0] if isinstance(out, tuple) else out
    return result.reshape(run.states[1].shape)


def _compare(expected: Tensor, got: Tensor, what: str, place: Path) -> float:
    difference = float((expected - got).abs().max())
    allowed = TOLERANCE * max(1.0, float(expected.abs().max()))
    if not difference <= allowed:
        raise ModelError(
            f"{place}: the converted {what} differs from the reference by {difference:.2g} "
            f"(allowed {allowed:.2g}); nothing was kept. Please report this with the model's name"
        )
    return difference


def _compare_logits(
    plan: Plan,
    source: Mapping[str, Any],
    runs: Sequence[_Run],
    read_source: _Rounded,
    read_target: _Written,
    place: Path,
) -> float:
    import torch

    names = reference.NAMES[plan.layout]
    epsilon = plan.config["rms_norm_eps"]
    source_epsilon = reference.norm_epsilon(plan.layout, source)
    tied = bool(plan.config.get("tie_word_embeddings"))
    source_head = names.embedding if tied else names.head
    target_head = "model.embed_tokens.weight" if tied else "lm_head.weight"
    largest = 0.0
    for run in runs:
        norm = read_target("model.norm.weight").float()
        before = reference.rms_norm(run.states[0], read_source(names.norm), source_epsilon)
        after = reference.rms_norm(run.states[1], norm, epsilon)
        for start in range(0, plan.config["vocab_size"], _ROWS_AT_ONCE):
            end = min(start + _ROWS_AT_ONCE, plan.config["vocab_size"])
            rows = read_source.rows(source_head, torch.arange(start, end))
            got = after @ read_target(target_head)[start:end].float().T
            largest = max(largest, _compare(before @ rows.T, got, "logits", place))
    return largest


class _Rounded:
    """The source's tensors as float32, rounded to the type that the target stores."""

    def __init__(self, checkpoint: Checkpoint, plan: Plan, types: TargetTypes) -> None:
        self._checkpoint, self._plan, self._types = checkpoint, plan, types
        self._shard, self._tensors = "", {}  # type: tuple[str, Mapping[str, Tensor]]
        self._target_of = {
            source.name: step.targets[0].name for step in plan.steps for source in step.sources
        }

    def __call__(self, name: str) -> Tensor:
        tensor = self._raw(name)
        if not tensor.is_floating_point():
            return tensor
        return self._round(name, tensor)

    def rows(self, name: str, which: Tensor) -> Tensor:
        """Return some rows of a matrix, as the original uses them."""
        some = self._raw(name)[which]
        if name == reference.NAMES[self._plan.layout].head:
            some = reference.head_rows(self._plan.layout, some.float())
        return self._round(name, some)

    def _round(self, name: str, tensor: Tensor) -> Tensor:
        import torch

        return tensor.to(getattr(torch, self._types.of(self._target_of[name]))).float()

    def _raw(self, name: str) -> Tensor:
        shard = self._checkpoint.tensors[name].shard
        if shard != self._shard:
            self._tensors = {}
            self._tensors, self._shard = self._checkpoint.read(shard), shard
        return self._tensors[name]


class _Written:
    """The converted tensors, from the files just written."""

    def __init__(self, folder: Path, shards: Sequence[OutputShard]) -> None:
        self._files = {
            target.name: folder / shard.name
            for shard in shards
            for step in shard.steps
            for target in step.targets
        }
        self._open: dict[Path, Mapping[str, Tensor]] = {}

    def __call__(self, name: str) -> Tensor:
        path = self._files[name]
        if path not in self._open:
            self._open = {path: read_shard(path)}
        return self._open[path][name]
