"""SentencePiece BPE → a fast tokenizer with the same ids.

The steps of SentencePiece (its normalizer.cc and bpe_model.cc) become steps of ``tokenizers``:

- The dummy prefix is a ``Prepend`` in the normaliser. ``Metaspace`` adds none where the text begins
  with a space, and SentencePiece does.
- Merges are ordered by the score of the piece they make, never by its id.
- User-defined pieces are found leftmost and longest *in the normalised text*. Where normalising
  changes nothing but spaces, added tokens do the same; elsewhere, and for pieces of white space, a
  pre-tokenizer cuts them out of the normalised text and the model takes each whole.
- Everything is checked at the end on probes against SentencePiece itself; where the ids differ the
  conversion refuses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any, NamedTuple

from qingting.core.errors import ModelError
from qingting.models.convert.sentencepiece_model import (
    BYTE,
    NORMAL,
    UNUSED,
    USER_DEFINED,
    SentencePieceModel,
)
from qingting.models.convert.source import line_of

if TYPE_CHECKING:
    from sentencepiece import SentencePieceProcessor
    from tokenizers import Tokenizer

SPACE = "▁"
_EVERY_LEADING_SPACE = 1 << 20
_FIRST_SHIELD = 0x10F000


class AddedPiece(NamedTuple):
    """A token found in the text before anything else: id, spelling, and how it is matched."""

    id: int
    content: str
    single_word: bool = False
    lstrip: bool = False
    rstrip: bool = False
    special: bool = True


def fast_tokenizer(
    model: SentencePieceModel,
    *,
    added: Sequence[AddedPiece] = (),
    before_text: Sequence[str] = (),
    place: str = "tokenizer.model",
) -> Tokenizer:
    """Return the fast tokenizer that gives the same ids as a SentencePiece model.

    Args:
        model: The SentencePiece model.
        added: Control tokens of the model's own tokenizer class. One whose id is that of a piece
            renames the piece; those after the last piece must follow without gaps.
        before_text: Contents of control tokens that encoding writes in front of the text.
        place: What to call the model in an error.

    Raises:
        ModelError: The model has a feature that no fast tokenizer reproduces, or the probes differ.
    """
    _refuse_what_differs(model, place)
    from tokenizers import processors

    names = _names(model, added, place)
    plain = _assemble(model, [piece.text for piece in model.pieces], (), place)
    _probe(model, plain, place)
    tokenizer = _assemble(model, names, added, place)
    if before_text:
        ids = [(text, tokenizer.token_to_id(text)) for text in before_text]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=" ".join(before_text) + " $A",
            pair=" ".join(before_text) + " $A $B",
            special_tokens=ids,
        )
    return tokenizer


def _refuse_what_differs(model: SentencePieceModel, place: str) -> None:
    if model.model_type != "BPE":
        raise ModelError(f"{place}: a {model.model_type} model; the converted families use BPE")
    if model.whitespace_as_suffix or not model.escape_whitespaces:
        raise ModelError(
            f"{place}: white space as suffix, or not escaped, has no fast tokenizer that gives "
            "the same ids"
        )
    if model.ids_of_kind(UNUSED):
        raise ModelError(
            f"{place}: has unused pieces, which SentencePiece takes apart again and no fast "
            "tokenizer does"
        )
    if model.byte_fallback and len(model.ids_of_kind(BYTE)) != 256:
        raise ModelError(f"{place}: byte fallback without all 256 bytes; fetch the file again")


def _names(model: SentencePieceModel, added: Sequence[AddedPiece], place: str) -> list[str]:
    """Return the spelling of every id below the number of pieces, renamed pieces included."""
    names = [piece.text for piece in model.pieces]
    taken = {name: i for i, name in enumerate(names)}
    expected = len(names)
    for token in sorted(added, key=lambda token: token.id):
        other = taken.get(token.content, token.id)
        if other != token.id:
            raise ModelError(
                f"{place}: {token.content!r} is to be id {token.id} but is already id {other}"
            )
        if token.id < len(names):
            names[token.id] = token.content
        elif token.id != expected:
            raise ModelError(
                f"{place}: added token {token.content!r} has id {token.id}; {expected} comes next"
            )
        else:
            expected += 1
    return names


def _assemble(
    model: SentencePieceModel, names: Sequence[str], added: Sequence[AddedPiece], place: str
) -> Tokenizer:
    from tokenizers import AddedToken, Tokenizer, decoders, models

    renamed = {i for i, piece in enumerate(model.pieces) if names[i] != piece.text}
    as_added, as_cut = _user_defined(model, renamed)
    vocabulary = {name: i for i, name in enumerate(names)}
    tokenizer = Tokenizer(
        models.BPE(
            vocab=vocabulary,
            merges=list(merges(model)),
            unk_token=names[model.unknown_id],
            fuse_unk=True,
            byte_fallback=model.byte_fallback,
            ignore_merges=bool(as_cut),
        )
    )
    if as_cut:
        by_merging = _by_merging(model, vocabulary)
        _check_reachable(model, vocabulary, by_merging, place)
        tokenizer.pre_tokenizer = _cutter(as_cut, _reserved(model), by_merging)
    normalizer = _normalizer(model)
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    steps: list[Any] = [
        decoders.Replace(SPACE, " "),
        decoders.ByteFallback(),
        decoders.Fuse(),
    ]
    if model.remove_extra_whitespaces:
        steps.append(decoders.Strip(" ", _EVERY_LEADING_SPACE, 0))
    elif model.add_dummy_prefix:
        steps.append(decoders.Strip(" ", 1, 0))
    tokenizer.decoder = decoders.Sequence(steps)
    tokens = [*added, *(AddedPiece(vocabulary[text], text, special=False) for text in as_added)]
    for token in sorted(tokens, key=lambda token: token.id):
        tokenizer.add_tokens(
            [
                AddedToken(
                    token.content,
                    single_word=token.single_word,
                    lstrip=token.lstrip,
                    rstrip=token.rstrip,
                    normalized=False,
                    special=token.special,
                )
            ]
        )
        if tokenizer.token_to_id(token.content) != token.id:
            raise ModelError(f"{place}: {token.content!r} did not get its id {token.id}")
    return tokenizer


def merges(model: SentencePieceModel) -> Iterator[tuple[str, str]]:
    """Yield the merges of a BPE model, those that make the piece of the highest score first."""
    normal = {piece.text: i for i, piece in enumerate(model.pieces) if piece.kind == NORMAL}
    made = sorted(
        (text for text in normal if len(text) > 1), key=lambda x: -model.pieces[normal[x]].score
    )
    for text in made:
        for cut in range(1, len(text)):
            left, right = text[:cut], text[cut:]
            if left in normal and right in normal:
                yield left, right


# -- white space and the character map ------------------------------------------------------------


def _normalizer(model: SentencePieceModel) -> Any:
    from tokenizers import Regex, normalizers

    steps: list[Any] = []
    if model.charsmap:
        mapping = normalizers.Precompiled(model.charsmap)
        shields = _shields(model, mapping)
        steps += [normalizers.Replace(text, shield) for text, shield in shields]
        # The library looks at whole grapheme clusters and takes the shortest entry; composing
        # first, and parting CR from LF, leaves it clusters on which that is right.
        steps += [normalizers.Replace("\r\n", "\n\n"), normalizers.NFC(), mapping]
        steps += [normalizers.Replace(shield, text) for text, shield in shields]
    if model.remove_extra_whitespaces:
        steps.append(normalizers.Replace(Regex(r"\A +"), ""))
        steps.append(normalizers.Replace(Regex(r"[ ▁]+\z"), ""))
        for shortest, longest in _kept_runs(model):
            run = Regex(rf"(?<! ) {{{shortest},{longest}}}(?! )")
            steps.append(normalizers.Replace(run, " " * shortest))
    if model.add_dummy_prefix:
        steps.append(normalizers.Prepend(SPACE))
    steps.append(normalizers.Replace(" ", SPACE))
    return normalizers.Sequence(steps)


def _kept_runs(model: SentencePieceModel) -> list[tuple[int, int | str]]:
    """Return, for runs of spaces from ``(shortest, longest)`` characters, that shortest is kept.

    Removing extra spaces leaves one, or as many as the longest user-defined piece of bare spaces
    that fits: that is matched first and kept whole.
    """
    texts = [model.pieces[i].text for i in model.ids_of_kind(USER_DEFINED)]
    kept = sorted({1, *(len(text) for text in texts if not text.strip(" "))})
    return [(n, after - 1) for n, after in pairwise(kept)] + [(kept[-1], "")]


def _shields(model: SentencePieceModel, mapping: Any) -> list[tuple[str, str]]:
    """Return user-defined pieces that the character map would change, each with a stand-in.

    SentencePiece leaves user-defined pieces as they are when it maps characters. The stand-ins are
    private-use characters that no character map knows.
    """
    texts = [model.pieces[i].text for i in model.ids_of_kind(USER_DEFINED)]
    changed = [x for x in texts if " " not in x and mapping.normalize_str(x) != x]
    longest_first = sorted(changed, key=len, reverse=True)
    return [(text, chr(_FIRST_SHIELD + i)) for i, text in enumerate(longest_first)]


# -- user-defined pieces --------------------------------------------------------------------------


def _user_defined(model: SentencePieceModel, renamed: set[int]) -> tuple[list[str], list[str]]:
    """Return the user-defined pieces to add as tokens, and those to cut out of normalised text."""
    # A piece spelled with a bare space never matches: spaces are escaped before the search.
    texts = [
        model.pieces[i].text
        for i in model.ids_of_kind(USER_DEFINED)
        if i not in renamed and " " not in model.pieces[i].text
    ]
    spaced = [text for text in texts if SPACE in text]
    only_spaces_change = not (
        model.charsmap or model.remove_extra_whitespaces or model.add_dummy_prefix
    )
    if only_spaces_change and all(set(text) == {SPACE} for text in spaced):
        return [text for text in texts if SPACE not in text], spaced
    return [], texts


def _cutter(texts: Sequence[str], reserved: Sequence[str], by_merging: Tokenizer) -> Any:
    """Return the pre-tokenizer that sets user-defined pieces apart, for the model to take whole.

    Text that spells a reserved piece (``<unk>``, ``<0x0A>``) and would be taken whole as well is
    cut where merging leaves a boundary anyway.
    """
    from tokenizers import Regex, pre_tokenizers

    longest_first = sorted(texts, key=len, reverse=True)
    steps = [pre_tokenizers.Split(Regex("|".join(map(_escaped, longest_first))), "isolated")]
    if reserved:
        beginnings = []
        for text, encoding in zip(reserved, by_merging.encode_batch(list(reserved)), strict=True):
            cut = encoding.offsets[0][1]
            beginnings.append(rf"{_escaped(text[:cut])}(?={_escaped(text[cut:])}\z)")
        steps.append(pre_tokenizers.Split(Regex(rf"\A(?:{'|'.join(beginnings)})"), "isolated"))
    return pre_tokenizers.Sequence(steps)


def _reserved(model: SentencePieceModel) -> list[str]:
    return [p.text for p in model.pieces if p.kind not in (NORMAL, USER_DEFINED)]


def _escaped(text: str) -> str:
    return "".join(re.sub(r"([\\.^$|?*+()\[\]{}\-])", r"\\\1", char) for char in text)


def _by_merging(model: SentencePieceModel, vocabulary: Mapping[str, int]) -> Tokenizer:
    from tokenizers import Tokenizer, models

    unknown = next(text for text, i in vocabulary.items() if i == model.unknown_id)
    return Tokenizer(
        models.BPE(vocab=dict(vocabulary), merges=list(merges(model)), unk_token=unknown)
    )


def _check_reachable(
    model: SentencePieceModel, vocabulary: Mapping[str, int], by_merging: Tokenizer, place: str
) -> None:
    """Refuse where taking a whole piece at once would differ from merging its characters."""
    normal = [piece.text for piece in model.pieces if piece.kind == NORMAL]
    for text, encoding in zip(normal, by_merging.encode_batch(normal), strict=True):
        if encoding.ids != [vocabulary[text]]:
            raise ModelError(
                f"{place}: user-defined pieces of white space, or with a dummy prefix, together "
                f"with the piece {text!r} that merging never makes: no fast tokenizer gives the "
                "same ids"
            )


# -- probes ---------------------------------------------------------------------------------------

_SCRAPS = (
    *("", " ", "  ", "   ", "\n", "\t", "\r\n", "a", "I'm", "hello world", "3.14", "...", "😀"),
    *("你好", "世界", "，", "（", "ｆｕｌｌ", "é", "é", "ế", "각", "ﬁ", "①", "½"),
    *("▁", "▁▁", "x", "\u3000", "\u00a0", "\u200b", "aaaa", "  b", "c  ", "日本語テスト"),
)


def _probe(model: SentencePieceModel, tokenizer: Tokenizer, place: str) -> None:
    """Refuse where probes get other ids than SentencePiece gives them."""
    original = _original(model, place)
    texts = list(_probes(model))
    encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
    for text, encoding in zip(texts, encodings, strict=True):
        expected = original.encode(text)
        if encoding.ids != expected:
            raise ModelError(
                f"{place}: no fast tokenizer was found that gives the ids of SentencePiece: "
                f"{text!r} became {encoding.ids[:12]}, not {expected[:12]}"
            )


def _original(model: SentencePieceModel, place: str) -> SentencePieceProcessor:
    """Return SentencePiece's own reading of a model, which checks more than ours does."""
    from sentencepiece import SentencePieceProcessor

    try:
        return SentencePieceProcessor(model_proto=model.proto)
    except RuntimeError as error:
        raise ModelError(
            f"{place}: damaged: SentencePiece cannot load it ({line_of(error)}); fetch it again"
        ) from None


def _probes(model: SentencePieceModel) -> Iterator[str]:
    import random

    yield from _SCRAPS
    yield from (first + second for first, second in product(_SCRAPS, _SCRAPS))
    rng = random.Random(7)
    kinds = (NORMAL, USER_DEFINED)
    words = [
        piece.text.replace(SPACE, " ")
        for piece in model.pieces
        if piece.kind in kinds and "\0" not in piece.text
    ]
    for _ in range(1000):
        n = rng.randrange(1, 12)
        yield "".join(rng.choice(words if rng.random() < 0.8 else _SCRAPS) for _ in range(n))
