"""Models that sort texts: an encoder or a language model with a classifier on top."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, cast

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from qingting.core.errors import ModelError
from qingting.engines.native.loading import check_folder, load_from
from qingting.models.templates import TextTemplate


class Classifier(NamedTuple):
    """A model with a classifier; ``fresh`` names the modules that its folder had no weights for."""

    model: PreTrainedModel
    fresh: tuple[str, ...]


def load_classifier(
    folder: Path | str,
    labels: Sequence[str],
    *,
    device: torch.device,
    dtype: torch.dtype,
    pad_id: int,
    seed: int = 0,
) -> Classifier:
    """Return the model of a folder with a classifier over ``labels``, in evaluation mode.

    A folder without a classifier gets one drawn from ``seed``; so does BERT's pooler where the
    folder was pre-trained without one. A classifier for other labels is refused.

    Raises:
        ModelError: The folder cannot be loaded, has other labels, or lacks weights of the body.
    """
    folder = Path(folder)
    found = check_folder(folder, "classification")
    architecture = next(iter(found.get("architectures") or []), "")
    if architecture.endswith("ForSequenceClassification"):
        known = [name for _, name in sorted((int(i), n) for i, n in _names(found).items())]
        if known != list(labels):
            raise ModelError(
                f"{folder}: its classifier sorts into {', '.join(known) or 'labels without names'}, "
                f"the data hold {', '.join(labels)}: start from the model it was made from, or "
                "bring the labels into line."
            )
    names = dict(enumerate(labels))
    config = AutoConfig.from_pretrained(
        str(folder),
        local_files_only=True,
        id2label=names,
        label2id={name: number for number, name in names.items()},
        problem_type="single_label_classification",
    )
    config.pad_token_id = pad_id  # language models find the end of a text by it
    torch.manual_seed(seed)
    loaded = load_from(
        AutoModelForSequenceClassification, folder, config=config, device=device, dtype=dtype
    )
    return Classifier(loaded.model, _fresh_modules(folder, loaded.model, loaded.missing))


def heads(model: PreTrainedModel) -> tuple[str, ...]:
    """Return the modules on top of the body: they are trained whole, whatever the method."""
    return tuple(
        name
        for name, child in model.named_children()
        if child is not model.base_model and any(True for _ in child.parameters())
    )


def label_logits(model: PreTrainedModel, texts: Sequence[Sequence[int]], *, pad_id: int) -> Tensor:
    """Return (n_texts, n_labels) logits in fp32; differentiable."""
    input_ids, mask = pad(texts, pad_id=pad_id)
    logits = model(
        input_ids=input_ids.to(model.device), attention_mask=mask.to(model.device)
    ).logits
    return cast(Tensor, logits).float()


def pad(texts: Sequence[Sequence[int]], *, pad_id: int) -> tuple[Tensor, Tensor]:
    """Return (n_texts, longest) token ids padded on the right, and where they are real."""
    longest = max(len(ids) for ids in texts)
    input_ids = torch.full((len(texts), longest), pad_id, dtype=torch.long)
    mask = torch.zeros_like(input_ids)
    for row, ids in enumerate(texts):
        input_ids[row, : len(ids)] = torch.tensor(ids)
        mask[row, : len(ids)] = 1
    return input_ids, mask


def fitted(
    template: TextTemplate, ids: Sequence[int], *, max_length: int | None = None
) -> list[int]:
    """Return an encoded text cut to what the model can see and to ``max_length`` tokens."""
    limits = [limit for limit in (template.max_positions, max_length) if limit is not None]
    return template.cut(ids, min(limits)) if limits else list(ids)


def _names(config: dict[str, object]) -> dict[str, str]:
    names = config.get("id2label")
    return cast(dict[str, str], names) if isinstance(names, dict) else {}


def _fresh_modules(folder: Path, model: PreTrainedModel, missing: Sequence[str]) -> tuple[str, ...]:
    tops = heads(model)
    fresh: list[str] = []
    lost = []
    for name in missing:
        module = name.rpartition(".")[0]
        if name.split(".", 1)[0] in tops:
            fresh.append(name.split(".", 1)[0])
        elif "pooler" in module.split("."):
            fresh.append(module)
        else:
            lost.append(name)
    if lost:
        raise ModelError(
            f"{folder}: {len(lost)} weights are missing, first {min(lost)}: fetch the model again."
        )
    return tuple(dict.fromkeys(sorted(fresh)))
