"""Imports that every native job needs, paid once by the fork server."""

from __future__ import annotations

import gc
from importlib import import_module

_FAMILIES = ("qwen2", "llama", "glm", "gpt_oss", "bert")


def warm() -> None:
    """Import torch, transformers, peft and the model classes; leave one thread running.

    What they make lives for good. Collections of garbage leave it alone: a job would spend some per
    cent of its time walking it, and unshare the pages that forks share.
    """
    gc.disable()
    _import()
    gc.freeze()
    gc.enable()


def _import() -> None:
    import torch

    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    for name in ("transformers", "peft", "qingting.models.templates"):
        import_module(name)
    transformers = import_module("transformers")
    for name in (
        "AutoModelForCausalLM",
        "AutoModelForSequenceClassification",
        "AutoTokenizer",
        "GenerationConfig",
    ):
        getattr(transformers, name)  # resolves the lazy import
    for family in _FAMILIES:
        import_module(f"transformers.models.{family}.modeling_{family}")
