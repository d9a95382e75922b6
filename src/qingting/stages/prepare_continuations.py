"""Cut held-out texts in two: a beginning that every arm goes on with, and how it went on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qingting.core.dialogue import Dialogue
from qingting.core.errors import DataError
from qingting.data.texts import text_of
from qingting.stages.base import Context, Summary, read_jsonl, seeded_place, write_jsonl

_SHORTEST = 16
"""Characters that a text needs to be worth cutting."""
_WORD_LOOK_BACK = 24


def run(context: Context) -> Summary:
    """Write ``prompts.jsonl``: id, dialogue, language, kind, messages, reference."""
    config = context.config
    test = [Dialogue.from_record(one) for one in read_jsonl(context.inputs["data"] / "test.jsonl")]
    prompts = choose_beginnings(
        test,
        n_prompts=config["n_prompts"],
        n_characters=config["prompt_characters"],
        seed=config["seed"],
    )
    if not prompts:
        raise DataError(
            f"none of {len(test)} held-out texts has {_SHORTEST} characters: too short to go on with"
        )
    write_jsonl(context.output / "prompts.jsonl", prompts)
    return {"n_prompts": len(prompts)}


def choose_beginnings(
    texts: Sequence[Dialogue], *, n_prompts: int, n_characters: int, seed: int
) -> list[dict[str, Any]]:
    """Return at most one prompt a text: its first ``n_characters``, half of it at most.

    Which texts are taken is decided by a digest of seed and id. A cut does not fall inside a
    word of letters that spaces part.
    """
    order = sorted(texts, key=lambda text: seeded_place(seed, text.id))
    prompts: list[dict[str, Any]] = []
    for text in order:
        words = text_of(text)
        if len(prompts) < n_prompts and len(words) >= _SHORTEST:
            at = _word_start(words, min(n_characters, len(words) // 2))
            prompts.append(
                {
                    "id": f"{text.id}#{at}",
                    "dialogue": text.id,
                    "language": text.language,
                    "kind": text.kind,
                    "messages": [{"role": "user", "content": words[:at]}],
                    "reference": words[at:].strip(),
                }
            )
    return prompts


def _word_start(words: str, at: int) -> int:
    """Return the last place up to ``at`` where a word ends, or ``at`` where none is near."""
    for place in range(at, max(1, at - _WORD_LOOK_BACK), -1):
        if words[place].isspace():
            return place
    return at
