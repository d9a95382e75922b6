"""Two encoders from one tokenizer: one that parses control tokens, one that cannot."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase


class SegmentEncoders(NamedTuple):
    """Encoders of a rendering's segments: ``template`` parses control tokens, ``content`` none."""

    template: Callable[[str], list[int]]
    content: Callable[[str], list[int]]


def segment_encoders(tokenizer: PreTrainedTokenizerBase) -> SegmentEncoders:
    """Return the encoders of template text and of contents.

    Both leave out the tokenizer's post-processing (no second begin-of-sequence token) and its
    dummy prefix space. White-space runs that are added tokens stay one token in contents.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return SegmentEncoders(
            lambda text: list(tokenizer.encode(text, add_special_tokens=False)),
            lambda text: list(
                tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
            ),
        )
    state = json.loads(backend.to_str())
    state.update(post_processor=None, truncation=None, padding=None)
    _without_prefix_space(state)
    with_controls = _tokenizer(state)
    # ``split_special_tokens=True`` of transformers leaves added tokens that are not flagged as
    # special (Qwen's <tool_call>) in force, so the added tokens are taken out; white space stays.
    state["added_tokens"] = [
        token for token in state["added_tokens"] if str(token["content"]).isspace()
    ]
    without_controls = _tokenizer(state)
    return SegmentEncoders(
        lambda text: list(with_controls.encode(text, add_special_tokens=False).ids),
        lambda text: list(without_controls.encode(text, add_special_tokens=False).ids),
    )


def _tokenizer(state: dict[str, Any]) -> Tokenizer:
    from tokenizers import Tokenizer

    return Tokenizer.from_str(json.dumps(state))


def _without_prefix_space(state: dict[str, Any]) -> None:
    """Change a tokenizer's JSON form so that segments get no dummy space in front."""
    for section in ("normalizer", "pre_tokenizer"):
        step = state.get(section)
        if step is None:
            continue
        steps = step.get("normalizers") or step.get("pretokenizers") or [step]
        kept = [part for part in steps if part["type"] != "Prepend"]
        for part in kept:
            if part["type"] == "Metaspace":
                part["prepend_scheme"] = "never"
            elif part["type"] == "ByteLevel" and "add_prefix_space" in part:
                part["add_prefix_space"] = False
        if "normalizers" in step:
            step["normalizers"] = kept
        elif not kept:
            state[section] = None
