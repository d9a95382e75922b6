"""Clients who hold a conversation: played by a script that ships, or by a model from a profile.

Every arm meets the same client: the same opening, and the same script or the same model with the
same profile and seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from qingting.domains.judging_pack import Scenario
from qingting.domains.packs import find_pack
from qingting.spec.judging import CampaignSpec

Turn = Mapping[str, str]
"""``{"role": "user" (the client) | "assistant" (the arm), "content": text}``."""

FAREWELL = "[END]"
"""What a model that plays a client says when there is nothing more to say."""

_MAX_TOKENS = 200

_PART = {
    "zh": """你在一次咨询练习里扮演来访者，对方是咨询师。请始终以来访者的身份说话。

来访者：{age} 岁。{situation}
想要的：{goal}
说话的样子：{style}
下面这些事只在对方问到或谈得足够安心时才慢慢说出来，一次最多说一件：
{facts}

要求：
- 只写来访者这一次要说的话，一到四句，口语，不加引号、动作或旁白。
- 顺着咨询师刚说的话回应：被理解了会多说一点，被说教或被催促了会退缩、敷衍或不高兴。
- 不要替咨询师说话，不要给建议，不要突然好转，也不要说出这份说明。
- 不描述任何伤害自己或他人的方法。
- 如果话已经说完、该告别了，只写 {farewell}。""",
    "en": """You are playing a client in a counselling exercise; the other side is the counsellor. \
Stay the client throughout.

The client: {age} years old. {situation}
What they want: {goal}
How they talk: {style}
These things come out slowly, only when asked about or when it feels safe, one at a time at most:
{facts}

Rules:
- Write only what the client says this time: one to four sentences, spoken language, no quotation \
marks, no actions, no narration.
- Answer what the counsellor has just said. Being understood, you say a little more; lectured or \
rushed, you draw back, give short answers or get annoyed.
- Never speak for the counsellor, give no advice, do not suddenly feel fine, and never mention \
these instructions.
- Describe no method of hurting yourself or anyone else.
- When everything has been said and it is time to go, write only {farewell}.""",
}


class Client(Protocol):
    """Somebody who talks with an arm."""

    @property
    def name(self) -> str:
        """Return what a record says of who played the client: ``script`` or ``model NAME``."""
        ...

    async def say(self, scenario: Scenario, language: str, turns: Sequence[Turn]) -> str | None:
        """Return the client's next words after ``turns``, or None where the conversation ends."""
        ...


class Speaker(Protocol):
    """What answers a list of messages; :class:`~qingting.engines.openai_compatible.ChatEndpoint`."""

    model: str

    async def acomplete(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int | None = None,
        **options: Any,
    ) -> str:
        """Return the words of the answer."""
        ...

    async def aclose(self) -> None:
        """Close what is open."""
        ...


@dataclass(frozen=True)
class ScriptedClient:
    """Says the opening, then the scripted turns in order, whatever the arm answers."""

    name: str = "script"

    async def say(self, scenario: Scenario, language: str, turns: Sequence[Turn]) -> str | None:
        """Return the next line of the script, or None after the last."""
        n_said = sum(turn["role"] == "user" for turn in turns)
        assert scenario.client is not None
        script = (scenario.opening, *scenario.client.scripted_turns)
        return script[n_said].text_in(language) if n_said < len(script) else None


class PlayedClient:
    """Says the opening; from then on a model plays the profile.

    Args:
        speaker: The model.
        temperature: 0 where every run should be the same.
        seed: Sent with every request.
    """

    def __init__(self, speaker: Speaker, *, temperature: float = 0.0, seed: int = 7) -> None:
        self.name = f"model {speaker.model}"
        self._speaker = speaker
        self._temperature = temperature
        self._seed = seed

    async def aclose(self) -> None:
        """Close the model's connections; they belong to one event loop."""
        await self._speaker.aclose()

    async def say(self, scenario: Scenario, language: str, turns: Sequence[Turn]) -> str | None:
        """Return what the model says as the client, or None when it takes its leave."""
        if not turns:
            return scenario.opening.text_in(language)
        # from the client's chair the counsellor is the other one
        other = {"user": "assistant", "assistant": "user"}
        spoken = [{"role": other[turn["role"]], "content": turn["content"]} for turn in turns]
        start = {
            "zh": "（咨询开始，请来访者先说。）",
            "en": "(The session begins; the client speaks first.)",
        }
        said = await self._speaker.acomplete(
            [
                {"role": "system", "content": part_of(scenario, language)},
                {"role": "user", "content": start[language]},
                *spoken,
            ],
            max_tokens=_MAX_TOKENS,
            temperature=self._temperature,
            seed=self._seed,
        )
        words = said.replace(FAREWELL, "").strip()
        return words or None


def part_of(scenario: Scenario, language: str) -> str:
    """Return what a model is told of the client that it plays."""
    client = scenario.client
    assert client is not None
    return _PART[language].format(
        age=client.age,
        situation=client.situation.text_in(language),
        goal=client.goal.text_in(language),
        style=client.style.text_in(language),
        facts="\n".join(f"- {fact.text_in(language)}" for fact in client.facts),
        farewell=FAREWELL,
    )


def system_prompt_of(spec: CampaignSpec) -> str:
    """Return what every arm is told before a conversation."""
    return spec.conversation.system_prompt or find_pack(spec.domain).system_prompt
