"""Chat prompts in a model's own template, built so that a person's words stay words.

A chat template is a small program that mixes control tokens with what people wrote. Rendered to
one string and then encoded, ``<|im_end|>`` typed by a client ends the client's turn. Here the
template is rendered with *sentinels* in place of the contents; the text between the sentinels is
the template's own and is encoded with its control tokens, the contents are encoded by a copy of
the tokenizer that knows no control tokens at all.

The sentinels make the rendering depend on the sequence of roles alone, so one rendering (a
:class:`_Skeleton`) serves every conversation of the same shape and encoding is fast.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from qingting.core.dialogue import Message, Role
from qingting.core.errors import ModelError
from qingting.models.segment_encoders import segment_encoders

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

METHOD_VERSION = "1"
"""Version of the encoding below; it enters :meth:`ChatTemplate.signature`."""

RENDERING_DATE = datetime(2024, 7, 26)
"""The day that templates which print one are told, so that results do not change by the day."""

SYSTEM_FOLDED = "system prompt folded into the first client turn"
STOP_APPENDED = "end-of-turn token appended to counsellor turns"
HISTORY_END_NOT_TRAINED = "end of an earlier counsellor turn is context, not a target"

_SENTINEL = "\ue000{}\ue001"
_EDGE = "\x0b"  # white space that no template writes: gone from the rendering where it was trimmed
_SENTINEL_PATTERN = re.compile(f"({_EDGE}?)\ue000(\\d+)\ue001({_EDGE}?)")
_FOLD_SEPARATOR = "\n\n"


class EncodedChat(NamedTuple):
    """A conversation as token ids.

    ``target_mask[t]`` is true where the counsellor is trained to produce token ``t``: everything
    after the generation prompt of a counsellor turn, up to and including its end-of-turn token.
    ``message_ends[i]`` is the number of tokens that render ``messages[:i + 1]``, a prefix of
    ``input_ids``. ``content_mask[t]`` is true where token ``t`` is part of a counsellor's words:
    a target that neither the template nor the end of the turn put there.
    """

    input_ids: list[int]
    target_mask: list[bool]
    message_ends: list[int]
    content_mask: list[bool]


class _Piece(NamedTuple):
    """A run of the rendering: template text (``ids``) or the content of one message."""

    ids: tuple[int, ...]
    content_index: int | None
    trim_left: bool
    trim_right: bool
    is_target: bool
    ends_messages: tuple[int, ...]


class _Cuts(NamedTuple):
    """Offsets into a rendering: where messages end and where counsellor turns are produced."""

    message_ends: dict[int, list[int]]
    target_starts: frozenset[int]


def until_stop(ids: Sequence[int], stop_ids: Collection[int]) -> list[int]:
    """Return the tokens before the first one that stops an answer."""
    end = next((place for place, one in enumerate(ids) if one in stop_ids), len(ids))
    return list(ids[:end])


def words_of(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    """Return the text of tokens, without control tokens and without white space at its ends."""
    text = tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return str(text).strip()


class ChatTemplate:
    """A tokenizer with its chat template; encodes conversations segment by segment.

    Differences from rendering and encoding one string, each on purpose: contents never merge with
    template text into one token, a tokenizer's dummy prefix space is not added to each segment,
    and dates are pinned to :data:`RENDERING_DATE`. Deviations that depend on the model stand in
    :attr:`deviations`.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        extra_stop_ids: Sequence[int] = (),
        place: str = "tokenizer",
    ) -> None:
        self.tokenizer = tokenizer
        self._place = place
        try:
            self._template_text: str = tokenizer.get_chat_template()
        except ValueError as error:
            raise ModelError(
                f"{place} has no chat template: add the file chat_template.jinja of the model's "
                "chat version to the folder, or choose a chat model."
            ) from error
        self._encode_template, self._encode_content = segment_encoders(tokenizer)
        added = {i: x for i, x in tokenizer.added_tokens_decoder.items() if not str(x).isspace()}
        self._control_ids = frozenset(added)
        texts = sorted((str(token) for token in added.values()), key=len, reverse=True)
        self._control_pattern = re.compile(f"({'|'.join(map(re.escape, texts)) or '(?!)'})")
        self._segments: dict[str, tuple[int, ...]] = {}
        self._skeletons: dict[tuple[tuple[Role, ...], bool], tuple[_Piece, ...]] = {}
        self._folds_system = not self._keeps_system_role()
        deviations = [SYSTEM_FOLDED] if self._folds_system else []
        self._end_id, self.stop_ids = self._find_stop_ids(extra_stop_ids, deviations)
        self.pad_id: int = (
            tokenizer.pad_token_id if tokenizer.pad_token_id is not None else self._end_id
        )
        self.deviations: tuple[str, ...] = tuple(deviations)

    @classmethod
    def load(cls, folder: Path) -> ChatTemplate:
        """Return the template of a local model or tokenizer folder.

        Raises:
            ModelError: The folder holds no tokenizer that loads without remote code, or no usable
                chat template.
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
            raise ModelError(
                f"{folder} holds no tokenizer that loads without remote code ({reason}): "
                "convert the model with `qingting models convert`, or add its tokenizer.json."
            ) from error
        return cls(tokenizer, extra_stop_ids=_configured_stop_ids(folder), place=str(folder))

    def encode(
        self, messages: Sequence[Message], *, add_generation_prompt: bool = False
    ) -> EncodedChat:
        """Return the token ids of a conversation.

        Args:
            messages: At most one system message, and that first; then turns as the template
                accepts them.
            add_generation_prompt: End with the tokens after which the counsellor answers; they
                equal those that stand at the same position in training.

        Raises:
            ModelError: The template refuses these roles, or does not render a conversation as a
                continuation of its beginning.
        """
        roles = tuple(message.role for message in messages)
        key = (roles, add_generation_prompt)
        skeleton = self._skeletons.get(key)
        if skeleton is None:
            skeleton = self._skeletons[key] = self._build_skeleton(roles, add_generation_prompt)
        input_ids: list[int] = []
        target_mask: list[bool] = []
        content_mask: list[bool] = []
        message_ends = [0] * len(messages)
        for piece in skeleton:
            ids: Sequence[int] = piece.ids
            if piece.content_index is not None:
                text = messages[piece.content_index].content
                text = text.lstrip() if piece.trim_left else text
                text = text.rstrip() if piece.trim_right else text
                ids = self._content_ids(text)
            input_ids.extend(ids)
            target_mask.extend([piece.is_target] * len(ids))
            is_content = piece.is_target and piece.content_index is not None
            content_mask.extend([is_content] * len(ids))
            for index in piece.ends_messages:
                message_ends[index] = len(input_ids)
        return EncodedChat(input_ids, target_mask, message_ends, content_mask)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of an answer: up to the first stop token, without control tokens.

        White space at both ends is removed. Where the model speaks in channels (GPT-OSS) only the
        final one is the answer; an answer that never reached it is the empty string.
        """
        answer = self._final_channel(until_stop(ids, self.stop_ids))
        return words_of(self.tokenizer, answer)

    def signature(self) -> str:
        """Return a digest of template text, special tokens and method, for use in cache keys."""
        parts = {
            "method": METHOD_VERSION,
            "template": self._template_text,
            "date": RENDERING_DATE.date().isoformat(),
            "special": {
                name: str(token) for name, token in self.tokenizer.special_tokens_map.items()
            },
            "added": {
                str(index): [str(token), token.special]
                for index, token in self.tokenizer.added_tokens_decoder.items()
            },
            "stop": sorted(self.stop_ids),
        }
        canonical = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    # -- rendering -----------------------------------------------------------------------------

    def _render(self, roles: Sequence[Role], *, generation_prompt: bool) -> str:
        """Return the template's text for ``roles`` with a sentinel for each content."""
        conversation = [
            {"role": role, "content": _EDGE + _SENTINEL.format(index) + _EDGE}
            for index, role in enumerate(roles)
        ]
        if self._folds_system and roles and roles[0] == "system":
            if len(roles) == 1:
                return ""
            folded = _FOLD_SEPARATOR.join(turn["content"] for turn in conversation[:2])
            conversation = [{"role": roles[1], "content": folded}, *conversation[2:]]
        return self._render_raw(conversation, generation_prompt=generation_prompt)

    def _render_raw(self, conversation: list[dict[str, str]], *, generation_prompt: bool) -> str:
        from jinja2 import TemplateError

        try:
            text = self.tokenizer.apply_chat_template(
                conversation,
                tokenize=False,
                add_generation_prompt=generation_prompt,
                strftime_now=RENDERING_DATE.strftime,
            )
        except (TemplateError, ValueError, TypeError, KeyError) as error:
            roles = ", ".join(message["role"] for message in conversation) or "no turns"
            raise ModelError(
                f"the chat template of {self._place} refuses the roles {roles}: {error}"
            ) from error
        return str(text)

    def _keeps_system_role(self) -> bool:
        """Return whether a system message is rendered once, first, and stays where it is."""
        self._folds_system = False
        roles: list[Role] = ["system", "user", "assistant", "user"]
        try:
            whole = self._render(roles, generation_prompt=False)
            begin = self._render(roles[:2], generation_prompt=True)
        except ModelError:
            return False
        found = [int(match[2]) for match in _SENTINEL_PATTERN.finditer(whole)]
        return found == list(range(4)) and whole.startswith(begin)

    def _build_skeleton(
        self, roles: tuple[Role, ...], add_generation_prompt: bool
    ) -> tuple[_Piece, ...]:
        whole = self._render(roles, generation_prompt=add_generation_prompt)
        found = [int(match[2]) for match in _SENTINEL_PATTERN.finditer(whole)]
        if found != list(range(len(roles))):
            raise ModelError(
                f"the chat template of {self._place} does not render each turn once and in order; "
                f"roles: {', '.join(roles)}."
            )
        cuts = self._find_cuts(roles, whole)
        return self._assemble(roles, whole, cuts)

    def _find_cuts(self, roles: tuple[Role, ...], whole: str) -> _Cuts:
        """Return where in ``whole`` messages end and targets begin, checking prefixes."""
        message_ends: dict[int, list[int]] = {}
        target_starts = set()
        for index, role in enumerate(roles):
            if role == "assistant":
                prompt = self._render(roles[:index], generation_prompt=True)
                if not whole.startswith(prompt):
                    raise self._not_a_prefix(roles[:index])
                target_starts.add(len(prompt))
            end = self._end_of_prefix(roles[: index + 1], whole)
            message_ends.setdefault(end, []).append(index)
        inside = list(_SENTINEL_PATTERN.finditer(whole))
        for end in (*message_ends, *target_starts):
            if any(match.start() < end < match.end() for match in inside):
                raise self._not_a_prefix(roles)
        return _Cuts(message_ends, frozenset(target_starts))

    def _end_of_prefix(self, roles: tuple[Role, ...], whole: str) -> int:
        """Return how much of ``whole`` renders its first messages.

        Some templates end the last turn otherwise than the same turn in the history (GPT-OSS
        writes ``<|return|>`` and ``<|end|>``); with a generation prompt behind it they write what
        the history shows, so that rendering is tried next. A system message that has no rendering
        of its own ends where its words do.
        """
        if roles == ("system",):
            prefix = "" if self._folds_system else self._render_or_nothing(roles)
            if prefix and whole.startswith(prefix):
                return len(prefix)
            match = _SENTINEL_PATTERN.search(whole)
            end = match.end() if match else 0
            separated = self._folds_system and whole.startswith(_FOLD_SEPARATOR, end)
            return end + len(_FOLD_SEPARATOR) if separated else end
        prefix = self._render(roles, generation_prompt=False)
        if whole.startswith(prefix):
            return len(prefix)
        prompted = self._render(roles, generation_prompt=True)
        prefix = prompted.removesuffix(self._generation_prompt())
        if roles[-1] != "assistant" or prefix == prompted or not whole.startswith(prefix):
            raise self._not_a_prefix(roles)
        return len(prefix)

    def _render_or_nothing(self, roles: Sequence[Role]) -> str:
        """Return the rendering, or nothing where a template refuses an unbegun conversation."""
        try:
            return self._render(roles, generation_prompt=False)
        except ModelError:
            return ""

    def _generation_prompt(self) -> str:
        asked = self._render(["user"], generation_prompt=True)
        return asked.removeprefix(self._render(["user"], generation_prompt=False))

    def _not_a_prefix(self, roles: Sequence[Role]) -> ModelError:
        return ModelError(
            f"the chat template of {self._place} does not render {', '.join(roles)} as the "
            "beginning of the longer conversation, so training and answering would see different "
            "prompts; give the folder a chat_template.jinja that leaves earlier turns unchanged."
        )

    # -- from rendering to tokens --------------------------------------------------------------

    def _assemble(self, roles: tuple[Role, ...], whole: str, cuts: _Cuts) -> tuple[_Piece, ...]:
        """Return the pieces of a rendering, split at contents, message ends and target starts."""
        contents = {match.start(): match for match in _SENTINEL_PATTERN.finditer(whole)}
        spans = {edge for match in contents.values() for edge in match.span()}
        offsets = sorted({0, len(whole)} | spans | {*cuts.message_ends} | cuts.target_starts)
        pieces: list[_Piece] = []
        producing = False
        for start, end in pairwise(offsets):
            producing = producing or start in cuts.target_starts
            ends = tuple(cuts.message_ends.get(end, ()))
            match = contents.get(start)
            if match is None:
                ids = self._segment_ids(whole[start:end])
                pieces.append(_Piece(ids, None, False, False, producing, ends))
            else:
                trims = not match[1], not match[3]
                pieces.append(_Piece((), int(match[2]), *trims, producing, ends))
                producing = False
        for index, role in enumerate(roles):
            if role == "assistant":
                self._close_turn(pieces, index)
        return tuple(pieces)

    def _close_turn(self, pieces: list[_Piece], index: int) -> None:
        """Make the end-of-turn token of counsellor turn ``index`` a target; add it if missing."""
        at = next(i for i, piece in enumerate(pieces) if piece.content_index == index)
        content = pieces[at]
        following = pieces[at + 1] if at + 1 < len(pieces) else None
        if index in content.ends_messages:  # the template ends the turn in nothing
            end_ids: tuple[int, ...] = (self._end_id,)
            if following and following.ids and following.ids[0] in self.stop_ids:
                end_ids = following.ids[:1]  # the token that opens the next turn ends this one
                pieces[at + 1] = following._replace(ids=following.ids[1:])
            pieces[at] = content._replace(ends_messages=())
            pieces.insert(at + 1, _Piece(end_ids, None, False, False, True, content.ends_messages))
            return
        if following is None:
            return
        stop = next((i for i, x in enumerate(following.ids) if x in self.stop_ids), None)
        if stop is not None:
            end = following._replace(ids=following.ids[: stop + 1], is_target=True)
            rest = following._replace(ids=following.ids[stop + 1 :])
            pieces[at + 1 : at + 2] = [end._replace(ends_messages=()), rest]
        elif self._control_ids.isdisjoint(following.ids):
            pieces.insert(at + 1, _Piece((self._end_id,), None, False, False, True, ()))

    def _find_stop_ids(
        self, extra_stop_ids: Sequence[int], deviations: list[str]
    ) -> tuple[int, frozenset[int]]:
        """Return the token that ends a counsellor turn, and all tokens that end an answer.

        The first is the control token that the template writes after the last counsellor turn;
        where it writes none, the control token that opens the turn after it (ChatGLM3 stops at
        ``<|user|>``); failing that, the tokenizer's end-of-sequence token.
        """
        eos = self.tokenizer.eos_token_id
        stops = {*extra_stop_ids} | ({eos} if eos is not None else set())
        last = self._first_control(self._after_answer(["user", "assistant"]))
        opens_next = self._first_control(self._after_answer(["user", "assistant", "user"]))
        end_id = last if last is not None else opens_next if opens_next is not None else eos
        if end_id is None:
            raise ModelError(
                f"{self._place} has no token that ends an answer: name an eos_token in its "
                "tokenizer_config.json."
            )
        stops.add(end_id)
        if last is None:
            deviations.append(STOP_APPENDED)
        elif opens_next not in stops:
            deviations.append(HISTORY_END_NOT_TRAINED)
        return end_id, frozenset(stops)

    def _after_answer(self, roles: list[Role]) -> str:
        """Return the template text between the first answer and the words after it."""
        pieces = _SENTINEL_PATTERN.split(self._render(roles, generation_prompt=False))
        return pieces[8]  # text, (edge, index, edge), text, (edge, index, edge), text …

    def _first_control(self, text: str) -> int | None:
        return next((x for x in self._segment_ids(text) if x in self._control_ids), None)

    def _segment_ids(self, text: str) -> tuple[int, ...]:
        ids = self._segments.get(text)
        if ids is None:
            ids = self._segments[text] = tuple(self._encode_template(text))
        return ids

    def _content_ids(self, text: str) -> list[int]:
        """Return the ids of a content, none of them a control token."""
        ids = self._encode_content(text)
        if self._control_ids.isdisjoint(ids):
            return ids
        # The vocabulary proper spells a control token (SentencePiece does): break its spelling.
        broken = [half for part in self._control_pattern.split(text) for half in _halves(part)]
        ids = [token_id for part in broken for token_id in self._encode_content(part)]
        if not self._control_ids.isdisjoint(ids):
            raise ModelError(
                f"the tokenizer of {self._place} turns ordinary text into control tokens: use "
                "its fast tokenizer (tokenizer.json)."
            )
        return ids

    def _final_channel(self, ids: list[int]) -> list[int]:
        """Return the ids of the last message on the final channel, or all where there are none."""
        vocabulary = self.tokenizer.get_vocab()
        channel, message = vocabulary.get(_CHANNEL), vocabulary.get(_MESSAGE)
        if channel is None or message is None or channel not in ids:
            return ids
        start = len(ids) - 1 - ids[::-1].index(channel)
        if message not in ids[start:]:
            return []
        body = ids.index(message, start) + 1
        name = str(self.tokenizer.decode(ids[start + 1 : body - 1]))
        if not name.strip().startswith("final"):
            return []
        answer = ids[body:]
        stop = next((i for i, x in enumerate(answer) if x in self._control_ids), len(answer))
        return answer[:stop]


_CHANNEL, _MESSAGE = "<|channel|>", "<|message|>"


def _halves(text: str) -> tuple[str, ...]:
    return (text[:1], text[1:]) if len(text) > 1 else (text,)


def _configured_stop_ids(folder: Path) -> list[int]:
    """Return the end tokens that generation_config.json names."""
    path = folder / "generation_config.json"
    if not path.is_file():
        return []
    try:
        value = json.loads(path.read_text(encoding="utf-8")).get("eos_token_id")
    except (ValueError, AttributeError) as error:
        raise ModelError(f"{path} is not a JSON object: {error}") from error
    return [value] if isinstance(value, int) else list(value or [])
