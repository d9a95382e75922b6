"""The launcher against real worker processes."""

import os
import signal

import pytest

from qingting.core.errors import EngineError, ModelError
from qingting.engines.launch import Launcher
from qingting.engines.protocol import MeasureJob, Runtime
from qingting.models.resolve import shipped_models


@pytest.fixture
def launcher():
    made = Launcher()
    made.warm()
    yield made
    made.close()


def job(tmp_path, checkpoint):
    for name in ("output", "state"):
        (tmp_path / name).mkdir()
    return MeasureJob(
        output=str(tmp_path / "output"),
        state=str(tmp_path / "state"),
        runtime=Runtime(),
        checkpoint=str(checkpoint),
        dialogues=(),
    )


def run(launcher, tmp_path, checkpoint):
    made = job(tmp_path, checkpoint)
    return launcher.run("native", made, attempt=tmp_path, listener=lambda event: None)


def test_a_fork_server_that_died_is_started_again(launcher, tmp_path):
    os.kill(launcher._server.process.pid, signal.SIGKILL)
    launcher._server.process.wait()
    outcome = run(launcher, tmp_path, shipped_models()["qwen2.5-tiny"])
    assert outcome.result["n_dialogues"] == 0
    assert outcome.peak_memory_bytes > 2**20


def test_a_failure_comes_back_as_the_error_it_was(launcher, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="empty"):
        run(launcher, tmp_path, tmp_path / "empty")


def test_a_closed_launcher_starts_nothing(tmp_path):
    launcher = Launcher()
    launcher.close()
    with pytest.raises(EngineError):
        run(launcher, tmp_path, shipped_models()["qwen2.5-tiny"])
