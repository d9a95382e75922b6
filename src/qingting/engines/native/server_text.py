"""From tokens to the words that may be sent: never half a character, never a control token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from tokenizers.decoders import DecodeStream

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_CUT = "�"
"""What decoding makes of bytes that are no character (yet)."""


class TextLayout(NamedTuple):
    """What is needed to read a model's tokens: where answers end, and in which channel they are.

    ``channel`` and ``message`` are the tokens that open a channel's name and its words (GPT-OSS),
    None where a model has no channels. ``trims`` takes white space off both ends of an answer.
    """

    tokenizer: PreTrainedTokenizerBase
    stop_ids: frozenset[int]
    control_ids: frozenset[int] = frozenset()
    channel: int | None = None
    message: int | None = None
    trims: bool = True

    @classmethod
    def of_chat(cls, tokenizer: PreTrainedTokenizerBase, stop_ids: frozenset[int]) -> TextLayout:
        """Return the layout of a chat model's answers."""
        added = tokenizer.added_tokens_decoder.items()
        control = frozenset(i for i, token in added if not str(token).isspace())
        vocabulary = tokenizer.get_vocab()
        channel, message = vocabulary.get("<|channel|>"), vocabulary.get("<|message|>")
        if channel is None or message is None:
            channel = message = None
        return cls(tokenizer, stop_ids, control, channel, message)

    @classmethod
    def of_text(cls, tokenizer: PreTrainedTokenizerBase, stop_ids: frozenset[int]) -> TextLayout:
        """Return the layout of a continuation, whose white space is part of it."""
        return cls(tokenizer, stop_ids, trims=False)


class AnswerText:
    """The words of one answer as its tokens come.

    ``push`` returns what may be sent now; what could still become part of a character, of a stop
    string, or of white space at the end is held back. ``is_over`` once a stop token, a stop string
    or the end of the final channel was met. Together the pieces are what
    ``ChatTemplate.decode`` makes of all tokens, save for a character that the limit cut in two,
    which is left out, and for words that a model says before it opens a channel.
    """

    def __init__(self, layout: TextLayout, stops: Sequence[str] = ()) -> None:
        self._layout = layout
        self._stops = tuple(stops)
        self._decoder = _Decoder(layout.tokenizer)
        self._state = "plain" if layout.channel is None else "begin"
        self._name: list[int] = []
        self._held = ""
        self._has_begun = not layout.trims
        self.n_tokens = 0
        self.is_over = False

    def push(self, token: int) -> str:
        """Return the words that one more token brings, possibly none."""
        self.n_tokens += 1
        if token in self._layout.stop_ids:
            self.is_over = True
            return self._release(self._decoder.rest(), is_last=True)
        if not self._is_spoken(token):
            return self._release(self._decoder.rest(), is_last=True) if self.is_over else ""
        return self._release(self._decoder.push(token), is_last=False)

    def end(self) -> str:
        """Return what was held back when an answer ends at its limit."""
        if self.is_over:
            return ""
        self.is_over = True
        return self._release(self._decoder.rest().rstrip(_CUT), is_last=True)

    def _is_spoken(self, token: int) -> bool:
        """Return whether a token belongs to the answer proper; follows channels as they open."""
        layout = self._layout
        if self._state == "plain":
            return True
        if token == layout.channel and self._state != "final":
            self._state, self._name = "name", []
            return False
        if self._state == "begin":
            self._state = "plain"
            return True
        if self._state == "name":
            if token == layout.message:
                name = str(layout.tokenizer.decode(self._name)).strip()
                self._state = "final" if name.startswith("final") else "aside"
            else:
                self._name.append(token)
            return False
        if self._state == "final" and token in layout.control_ids:
            self.is_over = True
            return False
        return self._state == "final"

    def _release(self, text: str, *, is_last: bool) -> str:
        held = self._held + text
        place = min((at for s in self._stops if (at := held.find(s)) >= 0), default=-1)
        if place >= 0:
            held, is_last, self.is_over = held[:place], True, True
        kept = 0 if is_last else _longest_beginning(held, self._stops)
        ready = held[: len(held) - kept]
        if self._layout.trims:
            ready = ready.rstrip()
        self._held = "" if is_last else held[len(ready) :]
        if not self._has_begun:
            ready = ready.lstrip()
            self._has_begun = bool(ready)
        return ready


def _longest_beginning(text: str, stops: Sequence[str]) -> int:
    """Return the length of the longest end of ``text`` with which a stop string begins."""
    longest = max((len(stop) - 1 for stop in stops), default=0)
    for length in range(min(longest, len(text)), 0, -1):
        if any(stop.startswith(text[-length:]) for stop in stops):
            return length
    return 0


class _Decoder:
    """Decodes token by token what ``tokenizer.decode`` makes of the whole."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._backend = getattr(tokenizer, "backend_tokenizer", None)
        self._stream = DecodeStream(skip_special_tokens=True)
        self._ids: list[int] = []
        self._sent = ""

    def push(self, token: int) -> str:
        self._ids.append(token)
        if self._backend is None:
            return self._again()
        try:
            text = self._stream.step(self._backend, token) or ""
        except Exception:  # tokenizers raises nothing narrower when bytes turn out to be no text
            self._backend = None
            return self._again()
        self._sent += text
        return text

    def rest(self) -> str:
        """Return what the whole decodes to beyond what was returned."""
        whole = self._whole()
        rest = whole[len(self._sent) :] if whole.startswith(self._sent) else ""
        self._sent += rest
        return rest

    def _again(self) -> str:
        """Decode everything anew: slower, and right for every tokenizer."""
        whole = self._whole().rstrip(_CUT)
        if not whole.startswith(self._sent):
            return ""
        rest = whole[len(self._sent) :]
        self._sent = whole
        return rest

    def _whole(self) -> str:
        return str(
            self._tokenizer.decode(
                self._ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        )
