"""Folders that cannot be used say why."""

from __future__ import annotations

import importlib
import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from qingting.core.errors import EngineError, ModelError
from qingting.engines.native.jobs import JOBS
from qingting.engines.native.loading import load_checkpoint, load_model, prepare
from qingting.engines.protocol import Runtime

CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path: Path, toys: dict[str, Path]) -> Path:
    return Path(shutil.copytree(toys["qwen2"], tmp_path / "model"))


def test_a_folder_without_configuration_or_weights_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="no weights"):
        load_checkpoint(folder, Runtime(), dtype=torch.float32)
    (folder / "config.json").unlink()
    with pytest.raises(ModelError, match=r"no config\.json"):
        load_checkpoint(folder, Runtime(), dtype=torch.float32)


def test_an_architecture_that_needs_its_own_code_is_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "qwem2"}))
    with pytest.raises(ModelError, match=r"qwem2.*Did you mean 'qwen2'"):
        load_checkpoint(folder, Runtime(), dtype=torch.float32)


def test_a_folder_without_template_is_refused(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match="template"):
        load_checkpoint(folder, Runtime(), dtype=torch.float32)


def test_weights_cut_short_are_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(folder, device=CPU, dtype=torch.float32)


def test_bin_weights_load_but_pickled_code_does_not_run(folder: Path, tmp_path: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    model = load_model(folder, device=CPU, dtype=torch.float32)
    name = "model.norm.weight"
    assert torch.equal(model.state_dict()[name], weights[name])

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return Path.touch, (tmp_path / "ran",)

    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Evil(), protocol=2))
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(folder, device=CPU, dtype=torch.float32)
    assert not (tmp_path / "ran").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for a GPU where there is none")
def test_a_missing_gpu_is_an_error() -> None:
    with pytest.raises(EngineError, match="GPU"):
        prepare(Runtime(device="cuda"))


def test_every_kind_of_job_names_a_function() -> None:
    for target in JOBS.values():
        module, name = target.split(":")
        assert callable(getattr(importlib.import_module(module), name))
