"""Conversations of simulated clients with every arm, written down one by one as they end.

A file of conversations is a table of answers (see :mod:`qingting.judging.answers`): a study of mode
``conversation`` is made from it. What is written is kept: the same call goes on where it stopped.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from qingting.core.canonical import digest_of
from qingting.core.errors import DataError, QingtingError
from qingting.domains.judging_pack import Scenario
from qingting.judging.clients import Client, Speaker, Turn, system_prompt_of
from qingting.spec.judging import CampaignSpec
from qingting.store.atomic import storage_errors


class Planned(NamedTuple):
    """One conversation that is to be held."""

    arm: str
    scenario: Scenario
    language: str

    @property
    def key(self) -> tuple[str, str, str]:
        """Return what names it in a file."""
        return self.arm, self.scenario.id, self.language


@dataclass(frozen=True)
class Settings:
    """How conversations are held; the same for every arm."""

    system_prompt: str
    min_turns: int
    max_turns: int
    max_new_tokens: int
    temperature: float
    repetition_penalty: float | None
    client: str

    @property
    def options(self) -> dict[str, Any]:
        """Return what goes with every request to an arm."""
        extra = {"repetition_penalty": self.repetition_penalty}
        return {
            "max_tokens": self.max_new_tokens,
            "temperature": self.temperature,
            **({} if self.repetition_penalty is None else extra),
        }

    @property
    def digest(self) -> str:
        """Return what marks conversations that were held alike."""
        return digest_of({name: getattr(self, name) for name in self.__dataclass_fields__})


@dataclass(frozen=True)
class Held:
    """What came of it: how many were there before, held now, and what failed, in words."""

    n_before: int
    n_held: int
    failures: tuple[str, ...]


def settings_of(spec: CampaignSpec, client: Client) -> Settings:
    """Return how a study's conversations are held."""
    talk = spec.conversation
    return Settings(
        system_prompt_of(spec),
        talk.min_turns,
        talk.max_turns,
        spec.max_new_tokens,
        talk.temperature,
        talk.repetition_penalty,
        client.name,
    )


async def hold(
    client: Client, arm: Speaker, scenario: Scenario, language: str, settings: Settings
) -> tuple[Turn, ...]:
    """Return a whole conversation; it begins with the client and ends with the arm.

    Raises:
        DataError: the arm said nothing, or the client left before ``min_turns``.
        EndpointError: no answer came.
    """
    turns: list[Turn] = []
    for n_said in range(settings.max_turns):
        words = await client.say(scenario, language, turns)
        if words is None:
            if n_said < settings.min_turns:
                raise DataError(
                    f"the client left after {n_said} turns; the study wants {settings.min_turns}"
                )
            break
        turns.append({"role": "user", "content": words})
        answer = await arm.acomplete(
            [{"role": "system", "content": settings.system_prompt}, *turns], **settings.options
        )
        if not answer.strip():
            raise DataError(f"the arm said nothing in turn {n_said + 1}")
        turns.append({"role": "assistant", "content": answer.strip()})
    return tuple(turns)


def plan(spec: CampaignSpec, scenarios: Sequence[Scenario], arms: Sequence[str]) -> list[Planned]:
    """Return the conversations of a study: every arm with every client in every language."""
    return [
        Planned(arm, scenario, language)
        for arm in arms
        for scenario in scenarios
        for language in spec.languages
    ]


def read_held(path: Path, settings: Settings) -> frozenset[tuple[str, str, str]]:
    """Return which conversations a file holds already; a line that broke off is cut away.

    Raises:
        DataError: it holds conversations that were held otherwise, or something else.
    """
    if not path.exists():
        return frozenset()
    data = path.read_bytes()
    whole, _, rest = data.rpartition(b"\n")
    held = set()
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            row = orjson.loads(line)
            held.add((row["arm"], row["scenario"], row["language"]))
            digest = row["held_with"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            raise DataError(
                f"{path}:{number}: not a conversation of this command; name another file with --out"
            ) from None
        if digest != settings.digest:
            raise DataError(
                f"{path}:{number}: was held with other settings (prompt, client, turns or "
                "temperature); name another file with --out"
            )
    if rest:
        with storage_errors(path):
            os.truncate(path, len(data) - len(rest))
    return frozenset(held)


async def hold_all(
    planned: Sequence[Planned],
    client: Client,
    arms: Mapping[str, Speaker],
    settings: Settings,
    *,
    into: Path,
    n_at_once: int = 4,
    tell: Callable[[int, int], None] = lambda done, of: None,
) -> Held:
    """Hold what is planned and not yet held; each conversation is on disk before the next is told.

    A conversation that fails is named and left out; the others go on.

    Args:
        into: JSON Lines file; a table of answers.
        tell: called with how many are done, and of how many.
    """
    before = read_held(into, settings)
    left = [one for one in planned if one.key not in before]
    n_before = len(planned) - len(left)
    failures: list[str] = []
    n_held = 0
    gate = asyncio.Semaphore(n_at_once)
    with storage_errors(into):
        into.parent.mkdir(parents=True, exist_ok=True)
        file = into.open("ab")

    async def one_of(one: Planned) -> None:
        nonlocal n_held
        async with gate:
            try:
                turns = await hold(client, arms[one.arm], one.scenario, one.language, settings)
            except QingtingError as error:
                failures.append(f"{one.arm}, {one.scenario.id} ({one.language}): {error}")
                return
        with storage_errors(into):
            file.write(orjson.dumps(_row(one, turns, settings)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        n_held += 1
        tell(n_before + n_held, len(planned))

    with file:
        async with asyncio.TaskGroup() as group:
            for one in left:
                group.create_task(one_of(one))
    return Held(n_before, n_held, tuple(failures))


def _row(one: Planned, turns: Sequence[Turn], settings: Settings) -> dict[str, object]:
    return {
        "arm": one.arm,
        "scenario": one.scenario.id,
        "language": one.language,
        # the opening belongs to the scenario: a study shows it by itself
        "turns": list(turns[1:]),
        "client": settings.client,
        "held_with": settings.digest,
    }
