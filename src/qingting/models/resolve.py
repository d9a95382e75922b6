"""From what an experiment calls a model to a folder on this machine, checked before heavy work."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import orjson

from qingting.core.errors import ModelError, NotFoundError, did_you_mean
from qingting.models.fetch import cache_folder, find_fetched
from qingting.models.hubs import HubName
from qingting.spec.experiment import Task

PRETRAINING_RECORD = "pretraining.json"
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
_CONVERTED = {
    "ChatGLMModel": "GlmForCausalLM",
    "ChatGLMForConditionalGeneration": "GlmForCausalLM",
    "BaichuanForCausalLM": "LlamaForCausalLM",
    "BaiChuanForCausalLM": "LlamaForCausalLM",
    "InternLM2ForCausalLM": "LlamaForCausalLM",
    "InternLMForCausalLM": "LlamaForCausalLM",
}
"""Architectures that need remote code as published → the native class they are the same as."""

_HUBS: Mapping[str, HubName] = {"hf": "hf", "ms": "ms"}
_PUBLISHED_LAYOUTS = {
    "chatglm3": "ChatGLMModel",
    "baichuan2": "BaichuanForCausalLM",
    "internlm2": "InternLM2ForCausalLM",
}


ENCODERS = frozenset(
    {
        *("albert", "bert", "camembert", "deberta", "deberta-v2", "distilbert", "electra"),
        *("ernie", "modernbert", "roberta", "xlm-roberta", "xlm-roberta-xl"),
    }
)
"""Model types that read text and write none: they classify."""


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A model found, or not yet found, on this machine.

    ``folder`` is None for a hub model that was never fetched; ``obstacle`` then says, in one line
    with its cure, what stands between this model and a run (it may also be set for a folder).
    """

    reference: str
    source: Literal["shipped", "folder", "hub"]
    folder: Path | None
    obstacle: str | None = None
    hub_id: str | None = None
    revision: str | None = None

    def require(self) -> Path:
        """Return the folder.

        Raises:
            ModelError: the model cannot be run as it is; the message says what to do.
        """
        if self.obstacle is not None or self.folder is None:
            raise ModelError(self.obstacle or f"{self.reference}: not on this machine")
        return self.folder


def shipped_models() -> dict[str, Path]:
    """Return the small models that ship: name → folder."""
    root = Path(str(files("qingting.models"))) / "tiny"
    return {
        folder.name: folder
        for folder in sorted(root.iterdir())
        if (folder / "config.json").is_file()
    }


def shipped_pretraining_record() -> Path:
    """Return the file that says what the small models were and were not pre-trained on."""
    return Path(str(files("qingting.models"))) / "tiny" / PRETRAINING_RECORD


def resolve(
    reference: str,
    *,
    revision: str | None = None,
    base: Path,
    task: Task = "dialogue",
    cache: Path | None = None,
) -> ResolvedModel:
    """Return where a model is, without reading weights or asking a network.

    ``reference`` is the name of a small model that ships, a folder (relative to ``base``), or a
    hub id, with ``hf:`` or ``ms:`` before it where that must be said. Hub models are looked for
    where ``models fetch`` puts them (``cache``, by default ``fetch.cache_folder``) and in the
    caches of Hugging Face and ModelScope. ``task`` decides what the folder must hold.

    Raises:
        NotFoundError: it is none of these; the message offers the near name.
    """
    shipped = shipped_models()
    if reference in shipped:
        return _checked(ResolvedModel(reference, "shipped", shipped[reference]), task)
    hub, colon, identity = reference.partition(":")
    if not colon or hub not in ("hf", "ms"):
        hub, identity = "", reference
        folder = (base / Path(reference).expanduser()).resolve()
        if folder.is_dir():
            return _checked(ResolvedModel(reference, "folder", folder), task)
        if folder.is_file():
            raise NotFoundError(f"model {reference!r}: {folder} is a file; a model is a folder")
        if reference.startswith((".", "/", "~")) or identity.count("/") != 1:
            raise NotFoundError(
                f"model {reference!r}: no such folder, and no small model of that name."
                f"{did_you_mean(reference, shipped)} Those that ship: {', '.join(shipped)}. "
                "A hub model is written owner/name."
            )
    return _hub_model(reference, hub, identity, revision, task, cache=cache or cache_folder())


def _hub_model(
    reference: str, hub: str, identity: str, revision: str | None, task: Task, *, cache: Path
) -> ResolvedModel:
    fetched = find_fetched(identity, hub=_HUBS.get(hub), revision=revision, cache=cache)
    if fetched is not None:
        return _checked(
            ResolvedModel(reference, "hub", fetched, hub_id=identity, revision=fetched.name), task
        )
    for other in (_hugging_face_cache, _modelscope_cache):
        if (hub == "ms") == (other is _hugging_face_cache) and hub:
            continue
        folder = other(identity, revision)
        if folder is not None:
            return _checked(
                ResolvedModel(reference, "hub", folder, hub_id=identity, revision=folder.name),
                task,
            )
    family = next((f for f in _PUBLISHED_LAYOUTS if f in identity.lower()), None)
    published = _PUBLISHED_LAYOUTS.get(family or "")
    convert = (
        f", then bring it to {_CONVERTED[published]} with `qingting models convert SRC DST`: "
        "its published layout no longer loads"
        if published
        else ""
    )
    return ResolvedModel(
        reference,
        "hub",
        None,
        obstacle=(
            f"{identity}: not on this machine; fetch it with "
            f"`{_fetch_command(hub, identity, revision)}`{convert}"
        ),
        hub_id=identity,
        revision=revision,
    )


def _fetch_command(hub: str, identity: str, revision: str | None) -> str:
    pinned = f" --revision {revision}" if revision else ""
    return f"qingting models fetch {hub + ':' if hub else ''}{identity}{pinned}"


def _hugging_face_cache(identity: str, revision: str | None) -> Path | None:
    home = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
    hub = Path(os.environ.get("HF_HUB_CACHE", home / "hub"))
    repository = hub / f"models--{identity.replace('/', '--')}"
    commit = revision or "main"
    pointer = repository / "refs" / commit
    if pointer.is_file():
        commit = pointer.read_text().strip()
    folder = repository / "snapshots" / commit
    return folder if folder.is_dir() else None


def _modelscope_cache(identity: str, revision: str | None) -> Path | None:
    home = Path(os.environ.get("MODELSCOPE_CACHE", Path.home() / ".cache" / "modelscope"))
    for root in (home / "hub" / "models", home / "hub", home / "models", home):
        folder = root / identity
        if (folder / "config.json").is_file():
            return folder
    return None


def _checked(model: ResolvedModel, task: Task) -> ResolvedModel:
    obstacle = _obstacle(model.folder, task) if model.folder else None
    if obstacle is None:
        return model
    return ResolvedModel(
        model.reference, model.source, model.folder, obstacle, model.hub_id, model.revision
    )


def _obstacle(folder: Path, task: Task) -> str | None:
    """Return what keeps a model folder from being used, with its cure, or None."""
    try:
        config = read_config(folder)
    except ModelError as error:
        return str(error)
    architecture = next(iter(config.get("architectures") or []), "")
    if architecture in _CONVERTED:
        return (
            f"{folder}: {architecture} is a published layout that needs remote code; "
            f"bring it to {_CONVERTED[architecture]} with `qingting models convert {folder} DST` "
            "and use DST"
        )
    if not any(any(folder.glob(pattern)) for pattern in _WEIGHTS):
        return f"{folder}: config.json but no weights; add model.safetensors (or fetch it again)"
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        shards = set(orjson.loads(index.read_bytes())["weight_map"].values())
        missing = sorted(name for name in shards if not (folder / name).is_file())
        if missing:
            return f"{folder}: {len(missing)} of {len(shards)} weight shards missing, first {missing[0]}"
    if not any(
        (folder / name).is_file()
        for name in ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")
    ):
        return f"{folder}: no tokenizer; add tokenizer.json from the model's repository"
    if task != "classification" and config.get("model_type") in ENCODERS:
        return (
            f"{folder}: {architecture or 'an encoder'} reads text and writes none; use it with "
            "task: classification, or choose a language model"
        )
    if task == "dialogue" and not _has_chat_template(folder):
        return (
            f"{folder}: no chat template; add chat_template.jinja from the model's chat version, "
            "or choose a chat model"
        )
    return None


def _has_chat_template(folder: Path) -> bool:
    if (folder / "chat_template.jinja").is_file() or (folder / "chat_template.json").is_file():
        return True
    try:
        settings = orjson.loads((folder / "tokenizer_config.json").read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return False
    return bool(settings.get("chat_template"))


def read_config(folder: Path) -> dict[str, Any]:
    """Return a model folder's config.json.

    Raises:
        ModelError: it is missing or damaged.
    """
    path = folder / "config.json"
    try:
        config = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        raise ModelError(f"{folder}: no config.json; this is not a model folder") from None
    except orjson.JSONDecodeError as error:
        raise ModelError(f"{path}: not JSON ({error})") from None
    if not isinstance(config, dict):
        raise ModelError(f"{path}: a model's configuration is a mapping; this is none")
    return config
