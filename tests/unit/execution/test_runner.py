from qingting.execution.runner import _chain_lengths, _ranks
from qingting.stages.base import Stage


def stage(identity, *inputs, **sources):
    return Stage(
        id=identity,
        kind="train",
        version=1,
        config={},
        inputs={i: i for i in inputs},
        sources=sources,
    )


def test_the_longest_chain_that_waits_decides_what_runs_first():
    stages = (
        stage("data"),
        stage("base", "data"),
        stage("train", "data"),
        stage("export", "train"),
        stage("report", "base", "export"),
    )
    assert _chain_lengths(stages) == {"data": 3, "base": 1, "train": 2, "export": 1, "report": 0}


def test_of_arms_that_as_much_waits_for_the_largest_model_trains_first(tmp_path):
    for name, size in (("small", 10), ("large", 1000), ("middle", 100)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(bytes(size))
    arms = [stage(name, "data", model=tmp_path / name) for name in ("small", "large", "middle")]
    exports = [stage(f"export {arm.id}", arm.id) for arm in arms]
    ranks = _ranks([stage("data"), *arms, *exports])
    assert sorted(ranks, key=ranks.__getitem__)[:5] == [
        "data",
        *("large", "middle", "small"),
        "export small",
    ]


def test_a_source_that_cannot_be_read_only_goes_last(tmp_path):
    (tmp_path / "model.bin").write_bytes(bytes(5))
    arms = [
        stage("gone", "data", model=tmp_path / "nothing"),
        stage("file", "data", model=tmp_path),
    ]
    ranks = _ranks([stage("data"), *arms])
    assert ranks["file"] < ranks["gone"]
