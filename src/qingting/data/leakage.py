"""What a model has already seen, so that held-out sets hold nothing of it.

The record ships digests, not text. A dialogue is recognised when all its words are the same, or
its first hundred characters: cutting trailing turns, merging turns, swapping the labels of the
speakers or changing white space does not hide it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from qingting.core.dialogue import Dialogue
from qingting.core.errors import DataError
from qingting.data.near_duplicates import group_near_duplicates

_N_OPENING_CHARACTERS = 100


def fingerprints(dialogue: Dialogue) -> frozenset[str]:
    """Return the digests, 16 hexadecimal digits each, by which a dialogue is recognised.

    One is of all turns' text with white space removed, one of its first 100 characters; speakers
    and a system message are ignored.
    """
    text = _bare_text(dialogue)
    return frozenset({_digest("text", text), _digest("opening", text[:_N_OPENING_CHARACTERS])})


@dataclass(frozen=True, slots=True)
class PretrainingSource:
    """One source of pre-training text; ``n_held_out`` of its ``n_dialogues`` were kept back.

    ``is_trained_on`` is false for a source that is held out in part but was not used at all.
    """

    name: str
    licence: str
    attribution: str
    revision: str
    n_dialogues: int
    n_held_out: int
    is_trained_on: bool


@dataclass(frozen=True, slots=True)
class PretrainingRecord:
    """What models were pre-trained on: the sources, and digests of what was seen and kept back."""

    sources: tuple[PretrainingSource, ...]
    seen: frozenset[str]
    held_out: frozenset[str]

    def save(self, path: Path) -> None:
        """Write the record as JSON, the same bytes for the same record."""
        plain = {
            "sources": [asdict(source) for source in self.sources],
            "seen": sorted(self.seen),
            "held_out": sorted(self.held_out),
        }
        path.write_text(json.dumps(plain, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> PretrainingRecord:
        """Return the record that :meth:`save` wrote.

        Raises:
            DataError: The file is absent or is not such a record.
        """
        try:
            plain = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                tuple(PretrainingSource(**source) for source in plain["sources"]),
                frozenset(plain["seen"]),
                frozenset(plain["held_out"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} is not a record of pre-training: {error!r}") from error


def was_seen(dialogue: Dialogue, record: PretrainingRecord) -> bool:
    """Return whether a model with this record was pre-trained on the dialogue."""
    return not fingerprints(dialogue).isdisjoint(record.seen)


def held_out_tenth(sources: Mapping[str, Sequence[Dialogue]]) -> frozenset[str]:
    """Return the ids of a tenth of each source that shares nothing with the rest.

    Dialogues are grouped across all sources when they are near-duplicates or share a fingerprint;
    whole groups are taken, in the order of a digest of their words, until each source has given
    a tenth, rounded up. The outcome does not depend on the order of dialogues or sources.

    Args:
        sources: Dialogues by the name of their source; ids are unique across sources.

    Raises:
        DataError: Two dialogues have the same id.
    """
    dialogues = [dialogue for members in sources.values() for dialogue in members]
    if len({dialogue.id for dialogue in dialogues}) < len(dialogues):
        raise DataError("dialogues of different sources share an id; ids must be unique")
    groups = _leak_tight_groups(dialogues)
    group_of = {dialogue.id: group for group, members in groups.items() for dialogue in members}
    held_out: set[str] = set()
    for name in sorted(sources):
        wanted = -(-len(sources[name]) // 10)
        own_groups = sorted({group_of[dialogue.id] for dialogue in sources[name]})
        for group in own_groups:
            if sum(dialogue.id in held_out for dialogue in sources[name]) >= wanted:
                break
            held_out.update(dialogue.id for dialogue in groups[group])
    return frozenset(held_out)


def _leak_tight_groups(dialogues: Sequence[Dialogue]) -> dict[str, list[Dialogue]]:
    """Return groups that share no near-duplicate and no fingerprint, by a digest of their words.

    Groups of near-duplicates that share a fingerprint are joined until none do.
    """
    labels: list[int] = group_near_duplicates([_bare_text(dialogue) for dialogue in dialogues])
    owners: dict[str, int] = {}
    parents = {label: label for label in labels}

    def root(label: int) -> int:
        while parents[label] != label:
            label = parents[label]
        return label

    for dialogue, label in zip(dialogues, labels, strict=True):
        for fingerprint in fingerprints(dialogue):
            other = root(owners.setdefault(fingerprint, label))
            parents[max(root(label), other)] = min(root(label), other)
    members: dict[int, list[Dialogue]] = {}
    for dialogue, label in zip(dialogues, labels, strict=True):
        members.setdefault(root(label), []).append(dialogue)
    return {
        min(_digest("order", _bare_text(dialogue)) for dialogue in group): group
        for group in members.values()
    }


def _bare_text(dialogue: Dialogue) -> str:
    return "".join("".join(turn.content.split()) for turn in dialogue.turns)


def _digest(purpose: str, text: str) -> str:
    return hashlib.sha256(f"{purpose}\n{text}".encode()).hexdigest()[:16]
