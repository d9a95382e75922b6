"""Scenarios as prompts: the same for every arm, in every language of the study."""

from __future__ import annotations

from pathlib import Path

from qingting.domains.judging_pack import load_judging_pack
from qingting.domains.packs import find_pack
from qingting.stages import prepare_scenarios
from qingting.stages.base import Context, Stage, read_jsonl


def prepared(tmp_path: Path, **config: object) -> list[dict]:
    stage = Stage(
        id="prepare_scenarios",
        kind="prepare_scenarios",
        version=1,
        config={
            "scenarios": {"kinds": ["crisis"], "topics": None, "n": 4, "seed": 7},
            "languages": ["zh", "en"],
            "system_prompt": "请倾听。",
            **config,
        },
        sources={"pack": find_pack("counselling").folder / "judging"},
    )
    context = Context(
        stage=stage,
        inputs={},
        source_digests={},
        failures={},
        output=tmp_path,
        state=tmp_path,
        emit=lambda *_, **__: None,
        launch=lambda *_: None,  # type: ignore[arg-type, return-value]
    )
    summary = prepare_scenarios.run(context)
    rows = list(read_jsonl(tmp_path / "prompts.jsonl"))
    assert summary["n_prompts"] == len(rows)
    return rows


def test_every_scenario_is_asked_in_every_language_with_the_same_system_prompt(tmp_path: Path):
    rows = prepared(tmp_path)
    scenarios = {one.id: one for one in load_judging_pack().scenarios}
    assert len(rows) == 8 and len({row["scenario"] for row in rows}) == 4
    for row in rows:
        assert row["kind"] == "crisis"
        assert row["id"] == f"{row['scenario']}@{row['language']}"
        system, client = row["messages"]
        assert system == {"role": "system", "content": "请倾听。"}
        said = scenarios[row["scenario"]].opening.text_in(row["language"])
        assert client == {"role": "user", "content": said}


def test_without_a_system_prompt_there_is_none(tmp_path: Path):
    rows = prepared(tmp_path, system_prompt=None, languages=["zh"])
    assert [len(row["messages"]) for row in rows] == [1] * 4
