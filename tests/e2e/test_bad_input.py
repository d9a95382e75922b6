"""Bad input: one clear line with its cure, a non-zero exit, nothing heavy started, nothing lost."""

import os
import shutil
import subprocess

import pytest

from e2e.running import SMALL, Run
from qingting.core.errors import StoreError
from qingting.execution.room import require_room
from qingting.models.resolve import shipped_models
from qingting.planning.build import build
from qingting.spec.load import load_experiment
from qingting.store.lock import hold

CLIENT = "我最近总是睡不好，心里很乱。"
REPLY = "愿意多说一点，这种乱是从什么时候开始的吗？"


@pytest.fixture
def attempt(tmp_path):
    """Run the small experiment with its text changed; return status, complaint lines, workers."""

    def run(old="", new="", *options, work=None):
        spec = tmp_path / "spec.yaml"
        assert not old or old in SMALL
        spec.write_text(SMALL.replace(old, new) if old else SMALL, encoding="utf-8")
        started = Run(spec, work or tmp_path / "work", *options)
        status, _, err = started.finish(120)
        assert "Traceback" not in err, err[-3000:]
        complaints = [line for line in err.splitlines() if line.startswith("qingting: ")]
        return status, complaints, err

    return run


def dialogues(path, n, *, last="assistant"):
    lines = []
    for number in range(n):
        turns = [("来访者", f"{CLIENT}{number}"), ("心理咨询师", f"{REPLY}{number}")]
        turns = turns if last == "assistant" else turns[:1]
        folder = path / f"case_{number}.txt"
        folder.parent.mkdir(exist_ok=True)
        folder.write_text("\n".join(f"{who}：{words}" for who, words in turns), encoding="utf-8")
    return lines


def test_a_missing_experiment_file(tmp_path):
    status, _, err = Run(tmp_path / "absent.yaml", tmp_path / "work").finish(60)
    assert status == 2
    assert err.strip() == f"qingting: {tmp_path}/absent.yaml: no such file."


def test_an_unknown_model(attempt):
    status, complaints, _ = attempt("- qwen2.5-tiny", "- qwen2.5-tiney")
    assert status == 2
    assert len(complaints) == 1
    assert "Did you mean 'qwen2.5-tiny'" in complaints[0]


def test_a_model_that_is_not_on_this_machine(attempt):
    status, complaints, _ = attempt("- qwen2.5-tiny", "- nobody/nothing-7b")
    assert status == 2
    assert "qingting models fetch nobody/nothing-7b" in complaints[0]


def test_a_model_folder_without_weights(attempt, tmp_path):
    shutil.copytree(shipped_models()["qwen2.5-tiny"], tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").unlink()
    status, complaints, _ = attempt("- qwen2.5-tiny", "- ./m")
    assert (status, len(complaints)) == (2, 1)
    assert "no weights" in complaints[0]


def test_a_model_without_chat_template(attempt, tmp_path):
    shutil.copytree(shipped_models()["qwen2.5-tiny"], tmp_path / "m")
    (tmp_path / "m" / "chat_template.jinja").unlink()
    status, complaints, _ = attempt("- qwen2.5-tiny", "- ./m")
    assert (status, len(complaints)) == (2, 1)
    assert "no chat template" in complaints[0]


def test_missing_data(attempt):
    status, complaints, _ = attempt("train: counselling", "train: ./absent.json")
    assert (status, len(complaints)) == (2, 1)
    assert "absent.json: no such file or folder" in complaints[0]


def test_data_without_a_valid_dialogue(attempt, tmp_path):
    dialogues(tmp_path / "data", 3, last="user")
    status, complaints, err = attempt("train: counselling", "train: ./data")
    assert status == 1
    assert len(complaints) == 1
    assert "no usable dialogue among 3" in complaints[0]
    assert "ends_on_client 3" in complaints[0]
    assert "train/" not in err  # nothing heavy was started


def test_a_split_that_would_leave_a_side_empty(attempt, tmp_path):
    dialogues(tmp_path / "data", 3)
    status, complaints, err = attempt("train: counselling", "train: ./data")
    assert status == 1
    assert len(complaints) == 1
    assert "prepare_data failed" in complaints[0]
    assert "train/" not in err


def test_a_recipe_for_hardware_that_is_not_here(attempt):
    status, complaints, _ = attempt(
        "  learning_rate: 2e-3", "  learning_rate: 2e-3\n  attention: flash_attention_2"
    )
    assert status == 2
    assert any("flash_attention_2 needs a CUDA GPU" in line for line in complaints)


def test_a_work_folder_that_cannot_be_written(attempt):
    status, complaints, _ = attempt(work="/sys/qingting-work")
    assert status == 1
    assert len(complaints) == 1
    assert "--work" in complaints[0]


def test_a_work_folder_that_is_a_file(attempt, tmp_path):
    (tmp_path / "work").write_text("mine")
    status, complaints, _ = attempt()
    assert (status, len(complaints)) == (1, 1)
    assert (tmp_path / "work").read_text() == "mine"


def test_two_runs_in_one_work_folder(attempt, tmp_path):
    with hold(tmp_path / "work"):
        status, complaints, _ = attempt()
    assert (status, len(complaints)) == (1, 1)
    assert str(os.getpid()) in complaints[0]


def test_a_disk_without_room_is_said_before_heavy_work(tmp_path):
    spec = tmp_path / "spec.yaml"
    spec.write_text(SMALL, encoding="utf-8")
    (tmp_path / "artifacts").mkdir()
    blueprint = build(load_experiment(spec), base=tmp_path)
    with pytest.raises(StoreError, match="free some room"):
        require_room(blueprint, tmp_path, n_free_bytes=2**20)
    require_room(blueprint, tmp_path, n_free_bytes=2**30)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 72 MB; the check before the run passes and the disk fills up later."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(folder)], capture_output=True
    )
    if made.returncode != 0:
        pytest.skip("mounting a small file system needs rights that this user lacks")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_fills_up_loses_nothing(attempt, small_disk):
    ballast = small_disk / "ballast"
    work = small_disk / "work"
    work.mkdir()
    ballast.write_bytes(b"0" * (12 * 2**20))
    spec_status, complaints, _ = attempt(work=work)
    assert spec_status in (0, 1)
    free = os.statvfs(small_disk)
    with ballast.open("ab") as file:
        file.write(b"0" * (free.f_bavail * free.f_frsize - 64 * 1024))
    for path in sorted((work / "artifacts").iterdir())[:20]:
        (path / "manifest.json").unlink(missing_ok=True)
    status, complaints, _ = attempt(work=work)
    assert status == 1
    assert complaints
    assert any("free some room" in line or "disk is full" in line for line in complaints)
    ballast.unlink()
    assert attempt(work=work)[0] == 0
