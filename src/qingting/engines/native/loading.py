"""Load a checkpoint folder: weights, template, and the settings of the device it runs on."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple, cast

import orjson
import torch
import torch.utils.deterministic as deterministic_settings
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
)
from transformers.utils import logging as transformers_logging

from qingting.core.errors import EngineError, ModelError, OutOfMemoryError, did_you_mean
from qingting.engines.protocol import Runtime
from qingting.models.templates import Template, load_template
from qingting.spec.experiment import Task

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""What a runtime's precision is called in torch."""

WEIGHT_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)


_LOADING_ERRORS = (OSError, ValueError, KeyError, RuntimeError, SafetensorError, UnpicklingError)


@dataclass(frozen=True)
class Checkpoint:
    """A model ready to compute, its chat template, and where it computes.

    ``fresh`` names modules of a classifier that the folder had no weights for.
    """

    model: PreTrainedModel
    template: Template
    device: torch.device
    folder: Path
    fresh: tuple[str, ...] = ()


class Loaded(NamedTuple):
    """A model read from a folder, and the names of weights that the folder lacked."""

    model: PreTrainedModel
    missing: tuple[str, ...]


def prepare(runtime: Runtime) -> torch.device:
    """Return the device of ``runtime`` after setting threads and determinism for this process.

    Raises:
        EngineError: The runtime asks for a GPU that this process does not see.
    """
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    torch.set_num_threads(runtime.n_threads)
    _keep_freed_memory()
    if runtime.device == "cuda":
        if not torch.cuda.is_available():
            raise EngineError(
                "the job asks for a GPU, but none is visible: check nvidia-smi and "
                "CUDA_VISIBLE_DEVICES, or set the device to cpu."
            )
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=runtime.device == "cuda")
    # deterministic mode also fills every new tensor with NaN, which costs time and hides nothing
    deterministic_settings.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    return torch.device(runtime.device)


def _keep_freed_memory() -> None:
    """Let glibc reuse large freed blocks instead of returning them to the system.

    Every tensor of a few MiB would otherwise be mapped and cleared anew: a third of the time of a
    training step on the CPU. The numbers name the parameters in glibc's malloc.h; other C
    libraries have no mallopt and are left alone.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in ((-3, 1 << 30), (-1, (1 << 31) - 1), (-2, 1 << 26)):
            mallopt(parameter, value)  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD


def check_folder(folder: Path, task: Task = "dialogue") -> dict[str, Any]:
    """Return the configuration of a model folder after checking that it can be loaded.

    Raises:
        ModelError: No folder, no configuration, no weights, or an architecture that transformers
            does not know by itself.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise ModelError(f"{folder} has no config.json: give the folder of a complete model.")
    config = cast(dict[str, Any], orjson.loads(path.read_bytes()))
    kind = config.get("model_type", "")
    known = (
        MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES
        if task == "classification"
        else MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    )
    if kind not in known:
        raise ModelError(
            f"{folder}: unknown architecture {kind or 'without a model_type'!r}."
            f"{did_you_mean(kind, known)} Models that bring their own "
            "code are never run; convert them with `qingting models convert` first."
        )
    if not any((folder / name).is_file() for name in WEIGHT_FILES):
        raise ModelError(
            f"{folder} has no weights (none of {', '.join(WEIGHT_FILES)}): download the model "
            "completely."
        )
    return config


def load_model(folder: Path | str, *, device: torch.device, dtype: torch.dtype) -> PreTrainedModel:
    """Return the causal language model of a folder in ``dtype``, in evaluation mode.

    Raises:
        ModelError: The folder cannot be loaded; never runs code from it.
    """
    folder = Path(folder)
    check_folder(folder)
    return load_from(AutoModelForCausalLM, folder, device=device, dtype=dtype).model


def load_from(
    auto_class: Any,
    folder: Path,
    *,
    device: torch.device,
    dtype: torch.dtype,
    config: Any = None,
) -> Loaded:
    """Return the model that one of transformers' auto classes makes of a checked folder.

    Raises:
        ModelError: The folder cannot be loaded; never runs code from it.
    """
    is_safe = any((folder / name).is_file() for name in WEIGHT_FILES[:2])
    try:
        if config is None:
            config = AutoConfig.from_pretrained(str(folder), local_files_only=True)
        # eager is what every architecture offers; the jobs choose attention themselves
        model, report = auto_class.from_pretrained(
            str(folder),
            config=config,
            dtype=dtype,
            attn_implementation="eager",
            use_safetensors=is_safe,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except _LOADING_ERRORS as error:
        if _is_out_of_memory(error):
            raise
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise ModelError(f"{folder} cannot be loaded: {reason}") from error
    for parameter in model.parameters():
        # weights mapped from a file lie at arbitrary offsets; kernels choose paths by alignment,
        # so an own copy is what makes two loads compute the same bits
        parameter.data = parameter.data.clone()
    model.to(device)
    return Loaded(cast(PreTrainedModel, model.eval()), tuple(sorted(report["missing_keys"])))


def load_checkpoint(
    folder: Path | str,
    runtime: Runtime,
    *,
    dtype: torch.dtype,
    task: Task = "dialogue",
    labels: Sequence[str] = (),
    seed: int = 0,
) -> Checkpoint:
    """Return model and template of a folder, placed as ``runtime`` says.

    To classify, ``labels`` name what the classifier tells apart, and ``seed`` draws its weights
    where the folder has none.
    """
    folder = Path(folder)
    device = prepare(runtime)
    check_folder(folder, task)
    template = load_template(folder, task)
    if task != "classification":
        return Checkpoint(load_model(folder, device=device, dtype=dtype), template, device, folder)
    from qingting.engines.native.classifiers import load_classifier  # it builds on this module

    classifier = load_classifier(
        folder, labels, device=device, dtype=dtype, pad_id=template.pad_id, seed=seed
    )
    return Checkpoint(classifier.model, template, device, folder, classifier.fresh)


@contextmanager
def memory_errors(what: str) -> Iterator[None]:
    """Turn every way of running out of memory into :class:`OutOfMemoryError`."""
    try:
        yield
    except OutOfMemoryError:
        raise
    except (RuntimeError, MemoryError) as error:
        if not _is_out_of_memory(error):
            raise
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "no details"
        raise OutOfMemoryError(
            f"out of memory while {what} ({reason}): use a smaller micro_batch or max_length, "
            "or turn gradient_checkpointing on."
        ) from error


def _is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        "DefaultCPUAllocator: can't allocate" in str(error)
    )


def output_head(model: PreTrainedModel) -> torch.nn.Linear:
    """Return the layer that turns hidden states into logits."""
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    if not isinstance(head, torch.nn.Linear):
        raise ModelError(f"{type(model).__name__} has no linear output head")
    return head
