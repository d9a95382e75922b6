"""Simulated clients: the same for every arm, written down at once, gone on with after a stop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from qingting.core.errors import DataError
from qingting.domains.judging_pack import load_judging_pack
from qingting.judging.answers import read_answers
from qingting.judging.campaigns import change_state, create_campaign
from qingting.judging.clients import FAREWELL, PlayedClient, ScriptedClient, part_of
from qingting.judging.conversations import hold_all, plan, settings_of
from qingting.judging.desk import next_assignment
from qingting.judging.tasks import task_of
from qingting.spec.judging import CampaignSpec
from qingting.store.judging_tables import Assignment
from unit.judging.sample_pack import AT_MS, new_database, new_rater


class Arm:
    """Answers with the number of the turn; says nothing, or fails, when told to."""

    def __init__(self, name: str, *, silent_at: int | None = None) -> None:
        self.model = name
        self.silent_at = silent_at
        self.asked: list[list[dict[str, str]]] = []
        self.settings: list[dict[str, Any]] = []

    async def acomplete(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int | None = None,
        **options: Any,
    ) -> str:
        self.asked.append([dict(one) for one in messages])
        self.settings.append(
            {"max_tokens": max_tokens, "temperature": temperature, "seed": seed, **options}
        )
        await asyncio.sleep(0)
        n = sum(one["role"] == "user" for one in messages)
        return "  " if n == self.silent_at else f"{self.model} 第{n}次回应。"

    async def aclose(self) -> None: ...


def spec_of(**changes: Any) -> CampaignSpec:
    return CampaignSpec.model_validate(
        {
            "mode": "conversation",
            "languages": ("zh", "en"),
            "scenarios": {"n": 4},
            "conversation": {"min_turns": 2, "max_turns": 3, "repetition_penalty": 1.2},
            **changes,
        }
    )


def held(path: Path, arms: Mapping[str, Arm], client: Any = None, **changes: Any) -> Any:
    spec = spec_of(**changes)
    person = client or ScriptedClient()
    scenarios = load_judging_pack().choose(spec.scenarios, with_client=True)
    return asyncio.run(
        hold_all(
            plan(spec, scenarios, list(arms)),
            person,
            arms,
            settings_of(spec, person),
            into=path,
        )
    )


def test_every_arm_meets_the_same_client_and_is_asked_alike(tmp_path: Path) -> None:
    arms = {"a": Arm("甲"), "b": Arm("乙")}
    result = held(tmp_path / "talks.jsonl", arms)
    assert (result.n_held, result.failures) == (2 * 4 * 2, ())
    said = {
        name: [[m["content"] for m in asked if m["role"] == "user"] for asked in arm.asked]
        for name, arm in arms.items()
    }
    assert sorted(map(tuple, said["a"])) == sorted(map(tuple, said["b"]))
    assert arms["a"].asked[0][0]["role"] == "system"
    expected = {"max_tokens": 256, "temperature": 0.0, "seed": None, "repetition_penalty": 1.2}
    assert all(one == expected for arm in arms.values() for one in arm.settings)
    rows = [json.loads(line) for line in (tmp_path / "talks.jsonl").read_text().splitlines()]
    for row in rows:
        assert [turn["role"] for turn in row["turns"]] == ["assistant", "user"] * 2 + ["assistant"]


def test_a_stopped_file_is_gone_on_with_and_a_torn_line_is_held_again(tmp_path: Path) -> None:
    path = tmp_path / "talks.jsonl"
    held(path, {"a": Arm("甲"), "b": Arm("乙")})
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:5]) + lines[5][:40])  # killed while it wrote the sixth
    result = held(path, {"a": Arm("甲"), "b": Arm("乙")})
    assert (result.n_before, result.n_held) == (5, 11)
    assert sorted(path.read_bytes().splitlines()) == sorted(whole.splitlines())
    assert held(path, {"a": Arm("甲"), "b": Arm("乙")}).n_held == 0


def test_conversations_held_otherwise_are_not_mixed(tmp_path: Path) -> None:
    path = tmp_path / "talks.jsonl"
    held(path, {"a": Arm("甲")})
    before = path.read_bytes()
    with pytest.raises(DataError, match=r"talks\.jsonl:1: was held with other settings"):
        held(path, {"a": Arm("甲")}, max_new_tokens=99)
    path.write_text('{"arm": "a"}\n', encoding="utf-8")
    with pytest.raises(DataError, match="not a conversation of this command"):
        held(path, {"a": Arm("甲")})
    path.write_bytes(before)
    assert held(path, {"a": Arm("甲")}).n_held == 0


def test_an_arm_that_says_nothing_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    result = held(tmp_path / "t.jsonl", {"a": Arm("甲"), "b": Arm("乙", silent_at=2)})
    assert result.n_held == 8 and len(result.failures) == 8
    assert "the arm said nothing in turn 2" in result.failures[0]


def test_a_model_plays_the_profile_and_takes_its_leave(tmp_path: Path) -> None:
    class Player(Arm):
        async def acomplete(self, messages: Any, **settings: Any) -> str:  # type: ignore[override]
            await super().acomplete(messages, **settings)
            n_heard = sum(one["role"] == "user" for one in messages) - 1
            return f"嗯。{FAREWELL}" if n_heard == 1 else FAREWELL

    player = Player("player")
    arm = Arm("甲")
    result = held(tmp_path / "t.jsonl", {"a": arm}, PlayedClient(player, seed=11))
    assert result.failures == ()  # two turns, as many as the study wants
    scenario = load_judging_pack().choose(spec_of().scenarios, with_client=True)[0]
    prompts = {asked[0]["content"] for asked in player.asked}
    assert part_of(scenario, "zh") in prompts and part_of(scenario, "en") in prompts
    assert all(one["seed"] == 11 for one in player.settings)
    # seen from the client's chair: its own words are the assistant's
    roles = [one["role"] for one in player.asked[0]]
    assert roles[:4] == ["system", "user", "assistant", "user"]
    assert all(FAREWELL not in turn["content"] for asked in arm.asked for turn in asked)


def test_a_client_that_leaves_too_early_is_a_failure(tmp_path: Path) -> None:
    class Leaver(Arm):
        async def acomplete(self, messages: Any, **settings: Any) -> str:  # type: ignore[override]
            return FAREWELL

    result = held(tmp_path / "t.jsonl", {"a": Arm("甲")}, PlayedClient(Leaver("x")))
    assert result.n_held == 0
    assert "the client left after 1 turns; the study wants 2" in result.failures[0]


def test_a_study_shows_the_whole_conversation_with_names_masked(tmp_path: Path) -> None:
    path = tmp_path / "talks.jsonl"
    held(path, {"arm-1": Arm("我是通义千问，甲"), "arm-2": Arm("乙")})
    spec = spec_of(raters_per_unit=3)
    with new_database(tmp_path).writing() as session:
        made = create_campaign(
            session, spec, load_judging_pack(), read_answers(path), at_ms=AT_MS, actor="test"
        )
        campaign = made.campaign
        assert (made.n_items, made.n_units) == (8, 16)
        assert made.n_masked == 8 * 3
        change_state(session, campaign, "open", at_ms=AT_MS, actor="test")
        campaign.spec = {
            **campaign.spec,
            "quality": {
                "share_calibration": 0.0,
                "share_repeats": 0.0,
                "share_attention": 0.0,
                "n_training": 0,
            },
        }
        rater = new_rater(session, campaign, has_consented=False)
        rater.consent_version = campaign.consent_version
        rater.consented_ms = AT_MS
        assignment = next_assignment(session, campaign, rater, at_ms=AT_MS)
        assert isinstance(assignment, Assignment)
        task = task_of(session, campaign, assignment, at_ms=AT_MS)
    assert not task.is_live and task.talk is None
    assert [turn["role"] for turn in task.turns] == ["user"]
    roles = [turn["role"] for turn in task.sides[0].turns]
    assert roles == ["assistant", "user", "assistant", "user", "assistant"]
    assert "千问" not in str(task)
