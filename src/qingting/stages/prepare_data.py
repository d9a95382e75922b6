"""Read, check, repair and divide the dialogues.

What a model was pre-trained on is never held out: a near-duplicate group that holds a dialogue
seen in the pre-training of a small model goes to training as a whole.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from qingting.core.dialogue import Dialogue, Message
from qingting.core.errors import DataError
from qingting.data.check import CheckReport, check
from qingting.data.leakage import PretrainingRecord, was_seen
from qingting.data.near_duplicates import group_near_duplicates
from qingting.data.quarantine import quarantine_file
from qingting.data.reading import read_dialogues
from qingting.data.repair import Repair
from qingting.data.split import split
from qingting.stages.base import Context, Summary, seeded_place, write_json, write_jsonl

_N_PROBES = 16
_CJK = re.compile(r"[\u3400-\u9fff]")


def run(context: Context) -> Summary:
    """Write ``train``, ``validation``, ``test`` and ``probes`` as JSON Lines.

    ``check.json`` holds what the check found, ``quarantine.jsonl`` every row that was not used.
    """
    config = context.config
    paths = [path for role, path in context.stage.sources.items() if role.startswith("train")]
    context.emit("note", message="checking the data")
    reports, n_quarantined = _check(context, paths)
    write_json(context.output / "check.json", [report.to_record() for report in reports])
    dialogues = _read(paths, _repairs(config))
    dialogues, n_duplicates = _without_copies(dialogues)
    record = _pretraining(context)
    seen = frozenset(d.id for d in dialogues if record is not None and was_seen(d, record))
    prepared = [_prepared(d, config) for d in dialogues]
    if config["language"] is not None:
        prepared = [d for d in prepared if d.language == config["language"]]
    n_other_language = len(dialogues) - len(prepared)
    n_in_language = len(prepared)
    if config["max_dialogues"] is not None:
        prepared = sorted(prepared, key=lambda d: seeded_place(config["seed"], d.id))
        prepared = sorted(islice(prepared, config["max_dialogues"]), key=lambda d: d.id)
    if not prepared:
        raise DataError(_nothing_usable(paths, reports, config))
    groups = group_near_duplicates(["\n".join(m.content for m in d.turns) for d in prepared])
    divided = split(
        prepared,
        validation=config["validation"],
        test=config["test"],
        seed=config["seed"],
        groups=groups,
        may_be_held_out=_holdable(seen),
    )
    sides = {"train": divided.training, "validation": divided.validation, "test": divided.test}
    for side, members in sides.items():
        write_jsonl(context.output / f"{side}.jsonl", [d.to_record() for d in members])
    write_jsonl(
        context.output / "probes.jsonl",
        [d.to_record() for d in islice(divided.validation, _N_PROBES)],
    )
    found = _sum_of(reports)
    return {
        "data": {
            **found,
            "sources": [path.name for path in paths],
            "repairs": _repairs_made(reports),
            "n_quarantined": n_quarantined,
            "n_usable": len(prepared),
            "n_duplicates_dropped": n_duplicates,
            "n_other_language": n_other_language,
            "n_not_sampled": n_in_language - len(prepared),
            "n_near_duplicate_groups": sum(n > 1 for n in Counter(groups).values()),
            "n_seen_in_pretraining": len(seen),
            **{f"n_{side}": len(members) for side, members in sides.items()},
            "languages": dict(sorted(Counter(str(d.language) for d in prepared).items())),
            "kinds": dict(sorted(Counter(d.kind or "unlabelled" for d in prepared).items())),
            "system_prompt": config["system_prompt"],
        },
    }


def _repairs(config: Any) -> frozenset[Repair]:
    return frozenset(Repair(name) for name in config["repairs"])


def _check(context: Context, paths: Sequence[Path]) -> tuple[list[CheckReport], int]:
    """Return what each source holds, and how many rows went to the quarantine file."""
    place = context.output / "quarantine.jsonl"
    with quarantine_file(place, force=False, always=True) as quarantine:
        reports = [
            check(path, repairs=_repairs(context.config), on_quarantine=quarantine)
            for path in paths
        ]
        return reports, quarantine.n_records


def _read(paths: Sequence[Path], repairs: frozenset[Repair]) -> list[Dialogue]:
    """Return the usable dialogues of all sources; an id that two sources share is numbered."""
    dialogues = [d for path in paths for d in read_dialogues(path, repairs=repairs)]
    number: Counter[str] = Counter()
    distinct = []
    for dialogue in dialogues:
        number[dialogue.id] += 1
        if number[dialogue.id] > 1:
            dialogue = replace(dialogue, id=f"{dialogue.id}~{number[dialogue.id]}")
        distinct.append(dialogue)
    return distinct


def _without_copies(dialogues: Sequence[Dialogue]) -> tuple[list[Dialogue], int]:
    """Drop dialogues that say the same words as an earlier one; return how many were dropped."""
    kept: dict[tuple[tuple[str, str], ...], Dialogue] = {}
    for dialogue in dialogues:
        words = tuple((message.role, message.content.strip()) for message in dialogue.turns)
        kept.setdefault(words, dialogue)
    return list(kept.values()), len(dialogues) - len(kept)


def _pretraining(context: Context) -> PretrainingRecord | None:
    path = context.stage.sources.get("pretraining")
    return PretrainingRecord.load(path) if path is not None else None


def _holdable(seen: frozenset[str]) -> Callable[[Dialogue], bool]:
    return lambda dialogue: dialogue.id not in seen


def _prepared(dialogue: Dialogue, config: Any) -> Dialogue:
    """Return a dialogue with the experiment's system prompt and a language.

    Outer white space of a turn goes: some templates trim it and some would train on it.
    """
    messages = dialogue.messages if config["keep_system_messages"] else dialogue.turns
    messages = tuple(m._replace(content=m.content.strip()) for m in messages)
    prompt = config["system_prompt"]
    if prompt is not None and (not messages or messages[0].role != "system"):
        messages = (Message("system", prompt), *messages)
    return replace(dialogue, messages=messages, language=dialogue.language or language_of(dialogue))


def language_of(dialogue: Dialogue) -> str:
    """Return ``zh`` where a fifth of the letters are Chinese characters, else ``en``."""
    text = "".join(message.content for message in dialogue.turns)
    n_letters = sum(character.isalpha() for character in text)
    return "zh" if len(_CJK.findall(text)) * 5 >= n_letters else "en"


def _sum_of(reports: Sequence[CheckReport]) -> dict[str, Any]:
    records = [report.to_record() for report in reports]
    totals = {
        name: sum(record[name] for record in records)
        for name in ("n_dialogues", "n_strictly_valid", "n_turns", "n_unlabelled_lines")
    }
    defects: Counter[str] = Counter()
    for record in records:
        defects.update(record["defects"])
    formats = sorted({str(record["format"]) for record in records})
    return {**totals, "defects": dict(sorted(defects.items())), "formats": formats}


def _repairs_made(reports: Sequence[CheckReport]) -> dict[str, int]:
    made: Counter[str] = Counter()
    for report in reports:
        made.update({str(repair): n for repair, n in report.repairs.items()})
    return dict(sorted(made.items()))


def _nothing_usable(paths: Sequence[Path], reports: Sequence[CheckReport], config: Any) -> str:
    found = _sum_of(reports)
    shown = ", ".join(f"{name} {n}" for name, n in found["defects"].items() if n) or "none"
    language = f" in language {config['language']!r}" if config["language"] else ""
    return (
        f"{', '.join(map(str, paths))}: no usable dialogue{language} among {found['n_dialogues']} "
        f"(defects: {shown}); `qingting data check` shows the places, data.repairs can mend some"
    )
