"""A changed source under an old version would serve stale results from the cache."""

import importlib.util
import json
from pathlib import Path

import pytest

from qingting.stages.base import STAGES, VERSIONS

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def script():
    path = ROOT / "scripts" / "record_stage_sources.py"
    spec = importlib.util.spec_from_file_location("record_stage_sources", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_stage_has_a_version():
    assert set(VERSIONS) == set(STAGES)


def test_no_source_changed_without_a_new_version(script):
    recorded = json.loads(script.RECORD.read_text())
    changed = [kind for kind, entry in script.current().items() if recorded.get(kind) != entry]
    assert not changed, (
        f"{', '.join(changed)}: raise VERSIONS in src/qingting/stages/base.py and run "
        "scripts/record_stage_sources.py"
    )


def test_a_stage_counts_the_engine_code_it_runs(script):
    reached = {path.name for path in script._closure("train")}
    assert {"train.py", "training.py", "batches.py", "loss.py", "chat.py"} <= reached


def test_comments_do_not_count_and_code_does(script, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "SOURCE", tmp_path)
    path = tmp_path / "one.py"
    path.write_text("# why\n\nX = 1\n")
    before = script._digest([path])
    path.write_text("X = 1\n# because\n")
    assert script._digest([path]) == before
    path.write_text("X = 2\n")
    assert script._digest([path]) != before
