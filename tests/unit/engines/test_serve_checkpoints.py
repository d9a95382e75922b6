"""What a person names and what is then served."""

import json
from pathlib import Path

import pytest

from qingting.core.errors import ModelError, NotFoundError, SpecificationError
from qingting.engines.serving_checkpoints import find_checkpoint
from qingting.models.resolve import shipped_models

TINY = "qwen2.5-tiny"


def artifact(work: Path, key: str, stage: str, finished: str) -> Path:
    folder = work / "artifacts" / key
    (folder / "model").mkdir(parents=True)
    manifest = {"stage": stage, "finished": finished, "outputs": {}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder / "model"


@pytest.fixture
def work(tmp_path):
    """An experiment that was run twice, the second time with another recipe."""
    folder = tmp_path / "runs" / "small"
    artifact(folder, "a", f"export/{TINY}/lora", "2026-01-01T00:00:00+00:00")
    artifact(folder, "b", f"export/{TINY}/lora", "2026-01-02T00:00:00+00:00")
    artifact(folder, "c", f"generate/{TINY}/lora", "2026-01-03T00:00:00+00:00")
    (folder / "artifacts" / "unfinished" / "model").mkdir(parents=True)
    entry = {"model": TINY, "name": None, "revision": None}
    outcomes = {"models": [{"label": TINY}], "specification": {"models": [entry]}}
    (folder / "results.json").write_text(json.dumps({"outcomes": outcomes}))
    return folder


def test_a_shipped_model_and_a_folder_are_found_by_their_names(tmp_path):
    assert find_checkpoint(TINY) == (shipped_models()[TINY], TINY)
    by_path = find_checkpoint(str(shipped_models()[TINY]))
    assert (by_path.folder, by_path.name) == (shipped_models()[TINY].resolve(), TINY)


@pytest.mark.parametrize("is_one_word", [False, True])
def test_an_arm_is_its_newest_export(work, is_one_word):
    arm = f"{TINY}/lora"
    found = find_checkpoint(f"{work}/{arm}") if is_one_word else find_checkpoint(str(work), arm=arm)
    assert found == (work / "artifacts" / "b" / "model", arm)


def test_an_untuned_arm_is_the_model_that_the_experiment_names(work):
    assert find_checkpoint(str(work), arm=f"{TINY}/base") == (
        shipped_models()[TINY],
        f"{TINY}/base",
    )


def test_a_work_folder_alone_asks_for_an_arm(work):
    with pytest.raises(SpecificationError, match=f"name one of its arms.*{TINY}/lora"):
        find_checkpoint(str(work))


def test_what_is_not_there_is_said_with_what_is_near(work, tmp_path):
    with pytest.raises(NotFoundError, match=f"no arm '{TINY}/lara'. Did you mean '{TINY}/lora'"):
        find_checkpoint(str(work), arm=f"{TINY}/lara")
    with pytest.raises(NotFoundError, match="not the work folder"):
        find_checkpoint(str(tmp_path), arm="x")
    with pytest.raises(NotFoundError, match=f"Did you mean '{TINY}'"):
        find_checkpoint("qwen2.5-tny")
    with pytest.raises(ModelError, match="not on this machine; fetch it with"):
        find_checkpoint("nobody/nothing", base=tmp_path)
    with pytest.raises(ModelError, match="no config"):
        find_checkpoint(str(tmp_path))
