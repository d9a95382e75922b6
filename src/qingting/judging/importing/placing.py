"""Where every part of a judgment stands: by a mapping, or by its usual names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qingting.core.errors import Problem, SpecificationError, did_you_mean
from qingting.spec.judgment_import import ImportMapping

_KNOWN: Mapping[str, tuple[str, ...]] = {
    "item": ("item", "scenario", "prompt_id"),
    "arm": ("arm", "model", "model_a", "left"),
    "other_arm": ("other_arm", "model_b", "right"),
    "language": ("language", "lang"),
    "rater": ("rater", "annotator", "user_id"),
    "credential": ("credential",),
    "role": ("role",),
    "was_asked_guess": ("was_asked_guess",),
    "is_swapped": ("is_swapped",),
    "reasons": ("reasons",),
    "confidence": ("confidence",),
    "comment": ("comment",),
    "duration_ms": ("duration_ms",),
    "duration_s": ("duration_s", "lead_time"),
    "submitted": ("submitted", "submitted_ms", "submitted_at", "created_at"),
    "p_chosen": ("p_chosen",),
}
_LABELS = (
    "scores",
    "safety",
    "safety_reasons",
    "reasons",
    "guess",
    "confidence",
    "item",
    "arm",
    "language",
    "credential",
    "role",
)


def places_of(
    file: str,
    mapping: ImportMapping,
    names: Sequence[str],
    told: set[str],
    criteria: Sequence[str],
    sides: Sequence[str],
    is_pair: bool,
) -> dict[str, str]:
    """Return where every part stands.

    Args:
        file: to name in problems.
        names: of columns, fields and questions.
        told: parts that the format itself tells.

    Raises:
        SpecificationError: the mapping names what is not there, or what is needed is nowhere.
    """
    by_lower: dict[str, str] = {}
    for name in names:
        by_lower.setdefault(name.strip().lower(), name)
    found: dict[str, str] = {}
    problems: list[Problem] = []

    def find(part: str, mapped: str | None, known: Sequence[str], *, needed: bool) -> None:
        if mapped is not None:
            if mapped in names:
                found[part] = mapped
            else:
                words = f"no column, field or question {mapped!r}.{did_you_mean(mapped, names)}"
                problems.append(Problem(f"mapping {part}", words))
            return
        place = next((by_lower[name.lower()] for name in known if name.lower() in by_lower), None)
        if place is not None:
            found[part] = place
        elif needed:
            listed = ", ".join(names[:40]) or "nothing"
            words = f"nothing holds it (usual names: {', '.join(known)}); found {listed}"
            problems.append(Problem(f"{file}: {part}", f"{words}. Name it in the mapping"))

    for part, known in _KNOWN.items():
        needed = part in ("item", "arm", "rater") or (part == "other_arm" and is_pair)
        if part == "other_arm" and not is_pair:
            continue
        given = getattr(mapping, part)
        if given is None and part in told:
            continue  # the format itself tells it
        find(part, given, known, needed=needed)
    for group, known_keys in (
        ("scores", criteria),
        ("safety", sides),
        ("safety_reasons", sides),
        ("guess", sides),
        ("labels", (*criteria, *_LABELS)),
    ):
        for key in getattr(mapping, group):
            if key not in known_keys:
                near = did_you_mean(key, known_keys)
                words = f"unknown.{near} Known: {', '.join(known_keys)}"
                problems.append(Problem(f"mapping {group}.{key}", words))
    for criterion in criteria:
        known = (f"score_{criterion}", criterion)
        find(f"scores.{criterion}", mapping.scores.get(criterion), known, needed=True)
    for side in sides:
        find(f"safety.{side}", mapping.safety.get(side), (f"safety_{side}",), needed=True)
        known = (f"safety_reasons_{side}",)
        given = mapping.safety_reasons.get(side)
        find(f"safety_reasons.{side}", given, known, needed=False)
        find(f"guess.{side}", mapping.guess.get(side), (f"guess_{side}",), needed=False)
    if problems:
        raise SpecificationError(problems)
    return found
