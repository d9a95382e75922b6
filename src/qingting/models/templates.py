"""How words become tokens for a task: a chat template, or plain text between its control tokens.

A text travels as a :class:`Dialogue` of one speaker whose messages are its sentences, so that
cutting, scheduling, packing and scoring serve texts as they serve dialogues. The sentences follow
one another without anything between them: together they are the text, character by character.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from qingting.core.dialogue import Message
from qingting.core.errors import ModelError
from qingting.models.chat import ChatTemplate, EncodedChat, until_stop, words_of
from qingting.models.segment_encoders import segment_encoders
from qingting.spec.experiment import Task

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

METHOD_VERSION = "1"
"""Version of the encoding of plain texts; it enters :meth:`TextTemplate.signature`."""


class Template(Protocol):
    """What engines ask of a layout; :class:`ChatTemplate` and :class:`TextTemplate` have it."""

    pad_id: int
    stop_ids: frozenset[int]
    deviations: tuple[str, ...]

    def encode(
        self, messages: Sequence[Message], *, add_generation_prompt: bool = False
    ) -> EncodedChat:
        """Return messages as tokens with what is learned and what is content."""

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of an answer, without control tokens."""

    def signature(self) -> str:
        """Return a digest of everything that decides the encoding."""


class TextTemplate:
    """Plain text as a model reads it: start token, words, end token.

    Words are encoded by a copy of the tokenizer that knows no control tokens, so that a text which
    spells ``[SEP]`` or ``<|endoftext|>`` stays text. An encoder puts its ``cls`` and ``sep``
    tokens around a text. A language model begins with its begin-of-sequence token, or else with
    its end-of-sequence token as GPT-2 does, and learns to end with the latter; where it classifies
    it reads the text alone, whose last token the classifier looks at.

    Args:
        tokenizer: The model's own.
        task: What the texts are laid out for.
        stop_ids: Further tokens that end a continuation.
        max_positions: How many tokens the model can see, or None where nobody said.
        place: What messages call the tokenizer.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        task: Task,
        stop_ids: Sequence[int] = (),
        max_positions: int | None = None,
        place: str = "tokenizer",
    ) -> None:
        self.tokenizer = tokenizer
        self.max_positions = max_positions
        self.deviations: tuple[str, ...] = ()
        _, self._encode_content = segment_encoders(tokenizer)
        bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
        cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
        self.start_ids: tuple[int, ...]
        self.end_ids: tuple[int, ...]
        if task == "classification" and cls is not None and sep is not None:
            self.start_ids, self.end_ids = (cls,), (sep,)
        elif task == "classification":
            self.start_ids, self.end_ids = (() if bos is None else (bos,)), ()
        elif eos is None:
            raise ModelError(
                f"{place} has no token that ends a text: name an eos_token in its "
                "tokenizer_config.json, or use the model with task: classification."
            )
        else:
            self.start_ids, self.end_ids = (eos if bos is None else bos,), (eos,)
        self._task = task
        self.stop_ids = frozenset({*stop_ids, *self.end_ids})
        pad = tokenizer.pad_token_id
        first = next(iter((*self.end_ids, *self.start_ids)), 0)
        self.pad_id: int = pad if pad is not None else eos if eos is not None else first

    @classmethod
    def load(cls, folder: Path, task: Task) -> TextTemplate:
        """Return the layout of a local model folder.

        Raises:
            ModelError: The folder holds no tokenizer that loads without remote code.
        """
        from transformers import AutoTokenizer

        folder = Path(folder)
        if not folder.is_dir():
            raise ModelError(f"{folder} is not a folder: give the local folder of a model.")
        try:
            tokenizer = AutoTokenizer.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False
            )
        except (OSError, ValueError, KeyError, ImportError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
            raise ModelError(f"{folder}: the tokenizer cannot be loaded ({reason})") from error
        stops = _settings(folder / "generation_config.json").get("eos_token_id")
        return cls(
            tokenizer,
            task=task,
            stop_ids=[stops] if isinstance(stops, int) else stops or (),
            max_positions=max_positions(_settings(folder / "config.json")),
            place=str(folder),
        )

    def encode(
        self, messages: Sequence[Message], *, add_generation_prompt: bool = False
    ) -> EncodedChat:
        """Return sentences as one text; with ``add_generation_prompt`` it is left open.

        ``message_ends[i]`` is the length of a text that ends after message ``i``.
        """
        ids = list(self.start_ids)
        ends = []
        for message in messages:
            ids += self._encode_content(message.content)
            ends.append(len(ids) + len(self.end_ids))
        end = () if add_generation_prompt else self.end_ids
        n_start, n_content = len(self.start_ids), len(ids) - len(self.start_ids)
        is_content = [*[False] * n_start, *[True] * n_content, *[False] * len(end)]
        is_target = [*[False] * n_start, *[True] * (n_content + len(end))]
        return EncodedChat([*ids, *end], is_target, ends, is_content)

    def cut(self, ids: Sequence[int], length: int) -> list[int]:
        """Return at most ``length`` tokens of an encoded text: its beginning, and its end token."""
        if len(ids) <= length:
            return list(ids)
        return [*ids[: length - len(self.end_ids)], *self.end_ids]

    def tail(self, ids: Sequence[int], *, n_new_tokens: int) -> list[int]:
        """Return the end of an open text, begun anew, that leaves room for a continuation.

        Raises:
            ModelError: the continuation alone fills what the model can see.
        """
        if self.max_positions is None or len(ids) + n_new_tokens <= self.max_positions:
            return list(ids)
        room = self.max_positions - n_new_tokens - len(self.start_ids)
        if room < 1:
            raise ModelError(
                f"{n_new_tokens} new tokens leave no room for a beginning: the model sees "
                f"{self.max_positions} tokens; ask for fewer."
            )
        return [*self.start_ids, *ids[-room:]]

    def decode(self, ids: Sequence[int]) -> str:
        """Return a continuation up to the first stop token, without control tokens."""
        return words_of(self.tokenizer, until_stop(ids, self.stop_ids))

    def signature(self) -> str:
        """Return a digest of control tokens and method."""
        parts = {
            "method": METHOD_VERSION,
            "task": self._task,
            "start": self.start_ids,
            "end": self.end_ids,
            "stop": sorted(self.stop_ids),
            "pad": self.pad_id,
        }
        canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def load_template(folder: Path, task: Task) -> ChatTemplate | TextTemplate:
    """Return how a model folder lays out words for a task."""
    return ChatTemplate.load(folder) if task == "dialogue" else TextTemplate.load(folder, task)


def max_positions(config: dict[str, Any]) -> int | None:
    """Return how many tokens a model's configuration lets it see, or None where it does not say."""
    for name in ("n_positions", "max_position_embeddings"):
        value = config.get(name)
        if isinstance(value, int):
            # RoBERTa counts positions from the padding id on, so two of its rows are never used
            is_offset = config.get("model_type") in _OFFSET_POSITIONS
            return value - config.get("pad_token_id", 1) - 1 if is_offset else value
    return None


_OFFSET_POSITIONS = frozenset({"roberta", "xlm-roberta", "camembert", "xlm-roberta-xl"})


def _settings(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}
