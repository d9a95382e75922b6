"""A stage may launch several jobs in one attempt: training starts again with less memory."""

import json
from importlib.resources import files
from pathlib import Path

import pytest

from qingting.core.errors import ModelError
from qingting.engines.launch import Launcher
from qingting.engines.protocol import MeasureJob, Runtime

TINY = Path(str(files("qingting.models"))) / "tiny" / "qwen2.5-tiny"


@pytest.fixture(scope="module")
def launcher():
    made = Launcher()
    made.warm()
    yield made
    made.close()


def test_a_job_does_not_inherit_the_failure_of_the_one_before_it(launcher, tmp_path):
    (tmp_path / "output").mkdir()
    words = [{"role": "user", "content": "你好"}, {"role": "assistant", "content": "请说"}]
    dialogues = tmp_path / "dialogues.jsonl"
    dialogues.write_text(json.dumps({"id": "one", "messages": words}) + "\n")

    def measure(checkpoint):
        return launcher.run(
            "native",
            MeasureJob(
                output=str(tmp_path / "output"),
                state=str(tmp_path),
                runtime=Runtime(),
                checkpoint=str(checkpoint),
                dialogues=(str(dialogues),),
            ),
            attempt=tmp_path,
            listener=lambda event: None,
        )

    with pytest.raises(ModelError, match="not a folder"):
        measure(tmp_path / "absent")
    assert measure(TINY).result["n_dialogues"] == 1
