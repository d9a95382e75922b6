"""Choose the prompts that every arm answers, from the held-out dialogues."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qingting.core.dialogue import Dialogue
from qingting.stages.base import Context, Summary, read_jsonl, seeded_place, write_jsonl


def run(context: Context) -> Summary:
    """Write ``prompts.jsonl``: id, dialogue, language, kind, messages, reference."""
    test = [Dialogue.from_record(one) for one in read_jsonl(context.inputs["data"] / "test.jsonl")]
    config = context.config
    prompts = choose_prompts(test, n_prompts=config["n_prompts"], seed=config["seed"])
    write_jsonl(context.output / "prompts.jsonl", prompts)
    return {"n_prompts": len(prompts)}


def choose_prompts(
    dialogues: Sequence[Dialogue], *, n_prompts: int, seed: int
) -> list[dict[str, Any]]:
    """Return prompts, each a conversation up to a client turn, with the counsellor's real reply.

    Every dialogue gives one prompt before any gives a second; which turn is decided by a digest
    of seed and id, so that adding a dialogue changes no other prompt.
    """
    order = sorted(dialogues, key=lambda d: seeded_place(seed, d.id))
    turns = {
        d.id: sorted(
            (n for n, message in enumerate(d.messages) if message.role == "assistant"),
            key=lambda n, identity=d.id: seeded_place(seed, f"{identity}#{n}"),  # type: ignore[misc]
        )
        for d in order
    }
    prompts: list[dict[str, Any]] = []
    for depth in range(max((len(places) for places in turns.values()), default=0)):
        for dialogue in order:
            if len(prompts) == n_prompts:
                return prompts
            if depth < len(turns[dialogue.id]):
                prompts.append(_prompt(dialogue, turns[dialogue.id][depth]))
    return prompts


def _prompt(dialogue: Dialogue, at: int) -> dict[str, Any]:
    return {
        "id": f"{dialogue.id}#{at}",
        "dialogue": dialogue.id,
        "language": dialogue.language,
        "kind": dialogue.kind,
        "messages": [
            {"role": role, "content": content} for role, content in dialogue.messages[:at]
        ],
        "reference": dialogue.messages[at].content,
    }
