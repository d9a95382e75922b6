"""Training, validation and test sets that share no near-duplicates and do not depend on order."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from qingting.core.dialogue import Dialogue
from qingting.core.errors import DataError


@dataclass(frozen=True)
class Split:
    """The three sides, each in an order that the words decide; no dialogue is lost.

    ``n_bound_to_training`` counts dialogues that went to training because their group holds
    one that may not be held out.
    """

    training: tuple[Dialogue, ...]
    validation: tuple[Dialogue, ...]
    test: tuple[Dialogue, ...]
    n_bound_to_training: int = 0


class _Group(NamedTuple):
    key: str
    members: list[tuple[str, Dialogue]]
    may_be_held_out: bool


def _anything(_: Dialogue) -> bool:
    return True


def split(
    dialogues: Sequence[Dialogue],
    *,
    validation: float | int,
    test: float | int,
    seed: int,
    groups: Sequence[int],
    may_be_held_out: Callable[[Dialogue], bool] = _anything,
) -> Split:
    """Return the dialogues on three sides, every group whole on one of them.

    Groups are taken in the order of a digest of the seed and their words: first for the test
    side, then for validation, the rest is for training. A group that would carry a side beyond
    its size is passed by, so a side may come out smaller than asked, never larger. The outcome
    depends on the words and the seed, not on the order or the names of the dialogues.

    Args:
        dialogues: What to split.
        validation: The size of the side: a share below 1 of all dialogues, or their number.
        test: Likewise.
        seed: Another seed gives another split.
        groups: For each dialogue the number of its group of near-duplicates. Dialogues with the
            same words belong together even where their numbers differ.
        may_be_held_out: Says which dialogues may stand outside training. A group with one that
            may not, say because a model was trained on it before, goes to training whole.

    Raises:
        DataError: a size is out of range, or a side that was asked for would be empty.
    """
    if len(groups) != len(dialogues):
        raise DataError(f"{len(groups)} group numbers for {len(dialogues)} dialogues")
    n = len(dialogues)
    n_test, n_validation = _size(test, n, "test"), _size(validation, n, "validation")
    if n_test + n_validation >= n:
        raise DataError(
            f"{n_test} dialogues for test and {n_validation} for validation leave none of {n} "
            "for training: ask for less"
        )
    joined = _joined_groups(dialogues, groups, may_be_held_out)
    joined.sort(key=lambda group: _digest(str(seed), group.key))
    available = [group for group in joined if group.may_be_held_out]
    test_side, available = _take(available, n_test)
    validation_side, _ = _take(available, n_validation)
    held_out = {group.key for group in test_side + validation_side}
    training_side = [group for group in joined if group.key not in held_out]
    for name, asked, side in (
        ("test", n_test, test_side),
        ("validation", n_validation, validation_side),
        ("training", 1, training_side),
    ):
        if asked and not side:
            raise DataError(_why_empty(name, asked, joined))
    return Split(
        training=_in_order(training_side),
        validation=_in_order(validation_side),
        test=_in_order(test_side),
        n_bound_to_training=sum(
            len(group.members) for group in joined if not group.may_be_held_out
        ),
    )


def _size(asked: float | int, n: int, name: str) -> int:
    if isinstance(asked, float) and 0 <= asked < 1:
        return max(round(asked * n), 1 if asked > 0 else 0)
    if not math.isfinite(asked) or asked < 0 or asked != int(asked):
        raise DataError(f"the {name} side: {asked} is neither a share below 1 nor a number")
    return int(asked)


def _joined_groups(
    dialogues: Sequence[Dialogue],
    groups: Sequence[int],
    may_be_held_out: Callable[[Dialogue], bool],
) -> list[_Group]:
    """Return the groups, those that hold the same words as one."""
    digests = [_words_digest(dialogue) for dialogue in dialogues]
    parent: dict[int | str, int | str] = {}

    def root(node: int | str) -> int | str:
        while (above := parent.setdefault(node, node)) != node:
            parent[node] = parent[above]
            node = above
        return node

    for number, digest in zip(groups, digests, strict=True):
        parent[root(number)] = root(digest)
    members: dict[int | str, list[tuple[str, Dialogue]]] = defaultdict(list)
    for digest, dialogue in zip(digests, dialogues, strict=True):
        members[root(digest)].append((digest, dialogue))
    return [
        _Group(
            key=min(digest for digest, _ in found),
            members=found,
            may_be_held_out=all(may_be_held_out(dialogue) for _, dialogue in found),
        )
        for found in members.values()
    ]


def _take(groups: Sequence[_Group], n_dialogues: int) -> tuple[list[_Group], list[_Group]]:
    taken: list[_Group] = []
    rest: list[_Group] = []
    for group in groups:
        if len(group.members) <= n_dialogues:
            taken.append(group)
            n_dialogues -= len(group.members)
        else:
            rest.append(group)
    return taken, rest


def _why_empty(name: str, asked: int, groups: Sequence[_Group]) -> str:
    n_available = sum(len(group.members) for group in groups if group.may_be_held_out)
    smallest = min((len(group.members) for group in groups if group.may_be_held_out), default=0)
    return (
        f"the {name} side would be empty: {asked} dialogues were asked for, {n_available} may be "
        f"held out, and near-duplicates stay together in groups of {smallest} or more; "
        "ask for another size or give more data"
    )


def _in_order(groups: Sequence[_Group]) -> tuple[Dialogue, ...]:
    members = [member for group in groups for member in group.members]
    members.sort(key=lambda member: (member[0], member[1].id))
    return tuple(dialogue for _, dialogue in members)


def _words_digest(dialogue: Dialogue) -> str:
    parts = [part for turn in dialogue.turns for part in (turn.role, turn.content.strip())]
    parts.append(",".join(str(len(part)) for part in parts))
    return _digest(*parts)


def _digest(*parts: str) -> str:
    text = "\n".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).hexdigest()
