"""Answers to fixed held-out prompts during training, to watch the model learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from qingting.core.dialogue import Dialogue
from qingting.engines.native.decoding import Sampling, decode
from qingting.engines.native.loading import Checkpoint
from qingting.models.templates import Template, TextTemplate

MAX_NEW_TOKENS = 64
"""Enough to see whether the answers make sense, little enough not to slow training down."""


class SamplePrompt(NamedTuple):
    """The beginning of a held-out dialogue, up to its last counsellor turn."""

    id: str
    input_ids: tuple[int, ...]


def sample_prompts(
    template: Template,
    dialogues: Sequence[Dialogue],
    n_messages: Mapping[str, int],
    n_samples: int,
) -> list[SamplePrompt]:
    """Return the prompts of the first ``n_samples`` dialogues that hold a counsellor's turn."""
    prompts: list[SamplePrompt] = []
    for dialogue in dialogues:
        if len(prompts) == n_samples:
            break
        messages = dialogue.messages[: n_messages.get(dialogue.id)]
        turns = [i for i, message in enumerate(messages) if message.role == "assistant" and i]
        if turns:
            chat = template.encode(messages[: turns[-1]], add_generation_prompt=True)
            ids = chat.input_ids
            if isinstance(template, TextTemplate):
                ids = template.tail(ids, n_new_tokens=_n_new_tokens(template))
            prompts.append(SamplePrompt(dialogue.id, tuple(ids)))
    return prompts


def _n_new_tokens(template: Template) -> int:
    """Return how long a sample may be: half of what the model can see, at most."""
    limit = template.max_positions if isinstance(template, TextTemplate) else None
    return MAX_NEW_TOKENS if limit is None else min(MAX_NEW_TOKENS, limit // 2)


def answer_samples(checkpoint: Checkpoint, prompts: Sequence[SamplePrompt]) -> list[str]:
    """Return the model's greedy answer to each prompt."""
    if not prompts:
        return []
    template = checkpoint.template
    answers = decode(
        checkpoint.model,
        [prompt.input_ids for prompt in prompts],
        Sampling(max_new_tokens=_n_new_tokens(template)),
        stop_ids=sorted(template.stop_ids),
    )
    return [template.decode(answer.ids) for answer in answers]
