"""Training checkpoints that survive a kill at any moment.

``state/checkpoints/step-00000200/`` holds ``tensors.safetensors`` (weights being trained, both
moments of AdamW, torch's random state) and ``progress.json`` (everything else). A checkpoint is
written under a temporary name and renamed when complete, so a folder with the final name is whole.
Everything random in a step is seeded from (seed, step, micro-batch); the random state is kept
nevertheless, so that nothing drawn outside a step could differ after resumption.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from qingting.store.atomic import sync_file, sync_folder, write_bytes

_FOLDER = "checkpoints"
_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


class Saved(NamedTuple):
    """A checkpoint read back: ``progress`` as it was given to :func:`save`."""

    tensors: dict[str, Tensor]
    progress: dict[str, Any]


def save(
    state: Path,
    step: int,
    *,
    parameters: Mapping[str, nn.Parameter],
    optimiser: torch.optim.Optimizer,
    progress: dict[str, Any],
    keep: int,
) -> None:
    """Write the checkpoint after ``step`` updates and remove all but the newest ``keep``."""
    tensors = {f"weight/{name}": parameter.detach() for name, parameter in parameters.items()}
    for name, parameter in parameters.items():
        for moment, value in optimiser.state[parameter].items():
            tensors[f"{moment}/{name}"] = torch.as_tensor(value)
    tensors["random/torch"] = torch.get_rng_state()
    folder = state / _FOLDER
    temporary = folder / f".tmp-{step:08d}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    write_tensors(temporary / "tensors.safetensors", tensors)
    write_bytes(temporary / "progress.json", orjson.dumps(progress))
    final = folder / f"step-{step:08d}"
    shutil.rmtree(final, ignore_errors=True)
    temporary.rename(final)
    sync_folder(folder)
    for old in sorted(folder.glob("step-*"))[:-keep]:
        shutil.rmtree(old)


def load_newest(state: Path) -> Saved | None:
    """Return the newest complete checkpoint, or None where training has not reached one."""
    complete = sorted((state / _FOLDER).glob("step-*"))
    if not complete:
        return None
    return Saved(
        load_file(complete[-1] / "tensors.safetensors"),
        orjson.loads((complete[-1] / "progress.json").read_bytes()),
    )


def restore(
    saved: Saved, parameters: Mapping[str, nn.Parameter], optimiser: torch.optim.Optimizer
) -> None:
    """Put weights, optimiser moments and random state back."""
    restore_weights(
        {
            name.removeprefix("weight/"): tensor
            for name, tensor in saved.tensors.items()
            if name.startswith("weight/")
        },
        parameters,
    )
    for name, parameter in parameters.items():
        for moment in _MOMENTS:
            tensor = saved.tensors[f"{moment}/{name}"]
            # the step counter stays where the optimiser keeps it: on the CPU unless fused
            optimiser.state[parameter][moment] = tensor.clone().to(
                parameter.device if moment != "step" or parameter.is_cuda else "cpu"
            )
    torch.set_rng_state(saved.tensors["random/torch"])


def restore_weights(weights: Mapping[str, Tensor], parameters: Mapping[str, nn.Parameter]) -> None:
    """Copy ``weights`` into the parameters of the same names."""
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(weights[name])


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors that :func:`write_tensors` wrote."""
    return load_file(path)


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a safetensors file whole or not at all, and wait for the disk."""
    partial = path.with_name(path.name + ".partial")
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(contiguous, partial)
    sync_file(partial)
    partial.rename(path)
