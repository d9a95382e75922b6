"""Read, check and divide texts, with labels or without; near-duplicates stay on one side."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from qingting.core.dialogue import Dialogue
from qingting.core.errors import DataError
from qingting.data.leakage import PretrainingRecord, was_seen
from qingting.data.near_duplicates import group_near_duplicates
from qingting.data.split import split
from qingting.data.texts import TextColumns, read_texts, text_files, text_of
from qingting.stages.base import Context, Summary, seeded_place, write_jsonl

_N_PROBES = {"classification": 256, "generation": 16}


def run(context: Context) -> Summary:
    """Write ``train``, ``validation``, ``test`` and ``probes`` as JSON Lines of dialogues.

    ``quarantine.jsonl`` holds texts that stand under more than one label and were left out.
    """
    config = context.config
    sources = context.stage.sources
    paths = text_files([path for role, path in sources.items() if role.startswith("train")])
    files = [
        read_texts(
            path,
            labelled=config["task"] == "classification",
            columns=TextColumns(config["text_column"], config["label_column"]),
            labels=config["labels"] or (),
        )
        for path in paths
    ]
    read = _numbered([text for file in files for text in file.texts])
    kept, contradicting = _without_contradictions(read)
    write_jsonl(context.output / "quarantine.jsonl", [text.to_record() for text in contradicting])
    distinct = _without_copies(kept)
    chosen, n_other_language = _chosen(distinct, config)
    labels = _labels(chosen, config, context)
    record = sources.get("pretraining")
    seen = _seen(chosen, PretrainingRecord.load(record)) if record is not None else frozenset()
    groups = group_near_duplicates([text_of(text) for text in chosen])
    sides = _divided(chosen, groups, seen, config)
    _require_labels(sides, labels)
    for side, members in sides.items():
        write_jsonl(context.output / f"{side}.jsonl", [text.to_record() for text in members])
    probes = islice(sides["validation"], _N_PROBES[config["task"]])
    write_jsonl(context.output / "probes.jsonl", [text.to_record() for text in probes])
    return {
        "labels": labels,
        "data": {
            "sources": [path.name for path in paths],
            "formats": sorted({file.form for file in files}),
            "n_dialogues": len(read),
            "n_strictly_valid": len(kept),
            "n_turns": len(read),
            "n_unlabelled_lines": 0,
            "defects": {"contradicting_labels": len(contradicting)} if contradicting else {},
            "repairs": {},
            "n_quarantined": len(contradicting),
            "n_usable": len(chosen),
            "n_duplicates_dropped": len(kept) - len(distinct),
            "n_other_language": n_other_language,
            "n_not_sampled": len(distinct) - n_other_language - len(chosen),
            "n_near_duplicate_groups": sum(n > 1 for n in Counter(groups).values()),
            "n_seen_in_pretraining": len(seen),
            **{f"n_{side}": len(members) for side, members in sides.items()},
            "languages": dict(sorted(Counter(str(text.language) for text in chosen).items())),
            "kinds": dict(sorted(Counter(text.kind for text in chosen if text.kind).items())),
            "system_prompt": None,
        },
    }


def _divided(
    texts: Sequence[Dialogue], groups: Sequence[int], seen: frozenset[str], config: Any
) -> dict[str, list[Dialogue]]:
    """Return the three sides, with every label in proportion on each.

    A group of near-duplicates goes with the label of its first text, whole to one side.
    """
    first: dict[int, str] = {}
    for text, group in zip(texts, groups, strict=True):
        first.setdefault(group, text.kind or "")
    strata: defaultdict[str, list[int]] = defaultdict(list)
    for place, group in enumerate(groups):
        strata[first[group]].append(place)
    sides: dict[str, list[Dialogue]] = {"train": [], "validation": [], "test": []}
    n_of = {label: len(places) for label, places in strata.items()}
    sizes = {side: _sizes(config[side], n_of) for side in ("validation", "test")}
    for label, places in sorted(strata.items()):
        try:
            part = split(
                [texts[place] for place in places],
                validation=sizes["validation"][label],
                test=sizes["test"][label],
                seed=config["seed"],
                groups=[groups[place] for place in places],
                may_be_held_out=lambda text: text.id not in seen,
            )
        except DataError as error:
            where = f"texts labelled {label!r}: " if label else ""
            raise DataError(f"{where}{error}".replace("dialogues", "texts")) from None
        sides["train"] += part.training
        sides["validation"] += part.validation
        sides["test"] += part.test
    for members in sides.values():
        members.sort(key=lambda text: seeded_place(config["seed"], text.id))
    return sides


def _sizes(asked: float | int, n_of: dict[str, int]) -> dict[str, float | int]:
    """Return what each label gives to a side: the share asked for, or its part of the number."""
    if isinstance(asked, float):
        return dict.fromkeys(n_of, asked)
    total = sum(n_of.values())
    exact = {label: asked * n / total for label, n in n_of.items()}
    sizes: dict[str, float | int] = {label: int(share) for label, share in exact.items()}
    left = sorted(exact, key=lambda label: (int(exact[label]) - exact[label], label))
    for label in left[: asked - int(sum(sizes.values()))]:
        sizes[label] += 1
    return sizes


def _numbered(texts: Sequence[Dialogue]) -> list[Dialogue]:
    """Return the texts with distinct ids: one that two files share is numbered."""
    number: Counter[str] = Counter()
    distinct = []
    for text in texts:
        number[text.id] += 1
        n = number[text.id]
        distinct.append(text if n == 1 else replace(text, id=f"{text.id}~{n}"))
    return distinct


def _without_contradictions(texts: Sequence[Dialogue]) -> tuple[list[Dialogue], list[Dialogue]]:
    """Return the texts that stand under one label, and those that stand under several."""
    labels: defaultdict[str, set[str | None]] = defaultdict(set)
    for text in texts:
        labels[text_of(text)].add(text.kind)
    kept = [text for text in texts if len(labels[text_of(text)]) == 1]
    return kept, [text for text in texts if len(labels[text_of(text)]) > 1]


def _without_copies(texts: Sequence[Dialogue]) -> list[Dialogue]:
    kept: dict[str, Dialogue] = {}
    for text in texts:
        kept.setdefault(text_of(text), text)
    return list(kept.values())


def _chosen(texts: Sequence[Dialogue], config: Any) -> tuple[list[Dialogue], int]:
    """Return the texts of the experiment's language, sampled, and how many had another language."""
    wanted = [text for text in texts if config["language"] in (None, text.language)]
    n_other = len(texts) - len(wanted)
    if config["max_dialogues"] is not None:
        wanted = sorted(wanted, key=lambda text: seeded_place(config["seed"], text.id))
        wanted = sorted(wanted[: config["max_dialogues"]], key=lambda text: text.id)
    if not wanted:
        raise DataError(f"no text is left in language {config['language']!r}: see data.language")
    return wanted, n_other


def _labels(texts: Sequence[Dialogue], config: Any, context: Context) -> list[str]:
    if config["task"] != "classification":
        return []
    found = sorted({str(text.kind) for text in texts})
    if len(found) < 2:
        names = ", ".join(p.name for r, p in context.stage.sources.items() if r.startswith("train"))
        raise DataError(
            f"{names}: all {len(texts)} texts are labelled {found[0]!r}; sorting needs two labels "
            "or more"
        )
    return list(config["labels"] or found)


def _require_labels(sides: dict[str, list[Dialogue]], labels: Sequence[str]) -> None:
    """Refuse a division in which a label could not be learned or not be tested."""
    for side in ("train", "test"):
        absent = sorted(set(labels) - {text.kind for text in sides[side]})
        if absent:
            raise DataError(
                f"no text labelled {absent[0]!r} is on the {side} side: give more of them, ask for "
                "another share, or take another data.seed"
            )


def _seen(texts: Sequence[Dialogue], record: PretrainingRecord) -> frozenset[str]:
    return frozenset(text.id for text in texts if was_seen(text, record))
