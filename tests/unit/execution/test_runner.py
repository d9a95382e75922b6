from qingting.execution.runner import _chain_lengths
from qingting.stages.base import Stage


def stage(identity, *inputs):
    return Stage(id=identity, kind="train", version=1, config={}, inputs={i: i for i in inputs})


def test_the_longest_chain_that_waits_decides_what_runs_first():
    stages = (
        stage("data"),
        stage("base", "data"),
        stage("train", "data"),
        stage("export", "train"),
        stage("report", "base", "export"),
    )
    assert _chain_lengths(stages) == {"data": 3, "base": 1, "train": 2, "export": 1, "report": 0}
