"""What a study adds to its own items: answers whose right judgment is known beforehand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, TypeVar

from qingting.domains.judging_checks import AttentionCheck, CalibrationItem, Written
from qingting.domains.judging_pack import JudgingPack, Scenario

WrittenT = TypeVar("WrittenT", bound=Written)
Turns = tuple[Mapping[str, str], ...]

OTHER_SIDE = {"left": "right", "right": "left"}
"""What stands where after the two answers of a pair changed places; a tie stays a tie."""


@dataclass(frozen=True)
class Check:
    """One calibration item or attention check, ready for a study.

    ``answers``: one, or of a pair the left one and the right one. ``reference``: the judgment that
    is right; of a pair, before its answers change sides.
    """

    ref: str
    role: str
    scenario: Scenario
    reference: dict[str, Any]
    answers: tuple[Turns, ...]


def checks_for(pack: JudgingPack, mode: str, language: str) -> Iterator[Check]:
    """Yield the checks of a pack that fit a mode of judging, in one language.

    Conversations are judged as conversations; a pack without any trains on single answers.
    """
    scenarios = {one.id: one for one in pack.scenarios}
    if mode == "pair":
        yield from _calibration_pairs(pack, scenarios, language)
        for pair in pack.attention_pairs:
            texts = (pair.first.text_in(language), pair.second.text_in(language))
            yield Check(
                pair.id,
                "attention",
                scenarios[pair.scenario],
                pair.expected_in(language),
                tuple(({"role": "assistant", "content": text},) for text in texts),
            )
        return
    for role, written in (
        ("calibration", _fitting(pack.calibration, mode)),
        ("attention", _fitting(pack.attention_checks, mode)),
    ):
        for one in written:
            assert isinstance(one, CalibrationItem | AttentionCheck)
            yield Check(
                one.id,
                role,
                scenarios[one.scenario],
                one.expected_in(language),
                (one.said_in(language),),
            )


def _fitting(written: Sequence[WrittenT], mode: str) -> list[WrittenT]:
    conversations = [one for one in written if one.turns]
    if mode == "conversation" and conversations:
        return conversations
    return [one for one in written if not one.turns]


def _calibration_pairs(
    pack: JudgingPack, scenarios: Mapping[str, Scenario], language: str
) -> Iterator[Check]:
    """Yield pairs of calibration answers to one scenario; what is rated higher is preferred."""
    for one, other in combinations(_fitting(pack.calibration, "pair"), 2):
        if one.scenario != other.scenario or one.reference == other.reference:
            continue
        yield Check(
            f"{one.id}+{other.id}",
            "calibration",
            scenarios[one.scenario],
            {
                "preferences": {
                    criterion: _preferred(point, other.reference[criterion])
                    for criterion, point in one.reference.items()
                },
                "safety": {"left": one.safety, "right": other.safety},
                "reasons": {"left": list(one.reasons), "right": list(other.reasons)},
                "why": {"left": one.why.text_in(language), "right": other.why.text_in(language)},
            },
            (one.said_in(language), other.said_in(language)),
        )


def _preferred(left: int, right: int) -> str:
    return "tie" if left == right else "left" if left > right else "right"


def as_shown(reference: Mapping[str, Any], *, is_swapped: bool) -> dict[str, Any]:
    """Return a reference with the sides as a rater saw them."""
    if not is_swapped or "preferences" not in reference:
        return dict(reference)
    shown = {
        **reference,
        "preferences": {
            criterion: OTHER_SIDE.get(side, side)
            for criterion, side in reference["preferences"].items()
        },
    }
    for part in ("safety", "reasons", "why"):
        if part in reference:
            shown[part] = {OTHER_SIDE[side]: value for side, value in reference[part].items()}
    return shown
