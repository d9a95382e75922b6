"""The tables of a snapshot: what every column means, and judgments as a flat table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qingting.judging import transcripts

JUDGMENTS = "judgments.jsonl"
ASSIGNMENTS = "assignments.jsonl"
CONVERSATIONS = "conversations.jsonl"
"""Live conversations; only in snapshots of studies that have them."""

DICTIONARY: Mapping[str, Mapping[str, str]] = {
    JUDGMENTS: {
        "judgment": "number within the snapshot, in the order of submission",
        "rater": "pseudonym",
        "role": "main; calibration (has reference ratings); attention (has one right answer); "
        "repeat (the same answer again); training (before the study)",
        "mode": "single, pair or conversation",
        "item": "scenario",
        "language": "zh or en",
        "kind": "counselling, psychoeducation or crisis",
        "topic": "topic of the scenario",
        "difficulty": "1 easy to 3 hard",
        "arm": "the arm judged, or the one on the left; null for calibration and attention",
        "other_arm": "pairs: the arm on the right",
        "p_chosen": "probability of the choice: of the pair of arms where pairs are chosen "
        "actively (for weighting), else of the unit among those that fitted equally well",
        "scores": "criterion to 1..5; in pairs to left, tie or right",
        "safety": "side (answer; left, right) to verdict (pass, concern, fail) and reason codes",
        "reasons": "pairs: why one was preferred",
        "confidence": "1 low to 3 high; null where not given",
        "comment": "free text, scrubbed",
        "guess": "side (answer; left, right) to the family of models that the rater thinks wrote it "
        "(no_idea: not recognised); empty where the rater gave none, null where not asked",
        "is_swapped": "pairs: whether what is called left in references and plan stood on the right",
        "duration_ms": "how long the page was open; null where unknown",
        "submitted_ms": "milliseconds since 1970, UTC",
        "form": "what was shown, per side: characters, lines, list_items, exclamations, questions, "
        "emoji (counts), latin_share, half_width_share (of characters)",
        "n_format_marks": "marks of lists, bold and headings in the original, per side",
    },
    ASSIGNMENTS: {
        "rater": "pseudonym",
        "role": "as in judgments",
        "item": "scenario",
        "arm": "arm, or the one on the left",
        "other_arm": "the arm on the right",
        "state": "done, skipped, expired, withdrawn or leased (open)",
        "skip_reason": "code",
        "sequence": "place in the rater's own order",
    },
    CONVERSATIONS: transcripts.FIELDS,
    "raters.jsonl": {
        "rater": "pseudonym",
        "credential": "licensed, trainee, researcher or lay, as the owner stated",
        "role": "rater or expert",
        "language": "zh or en",
        "exclusions": "by_hand:REASON where the owner left the rater out, by_hand_late:REASON "
        "where that was after the first snapshot",
        "is_imported": "true where the rater judged elsewhere; absent otherwise",
    },
    "references.jsonl": {
        "item": "calibration item or attention check",
        "language": "zh or en",
        "reference": "the expected scores or ranges, the safety verdict, and why",
    },
    "study.json": {
        "spec": "the study as it was registered",
        "rubric": "criteria and anchors",
        "rule": "the preregistered rule of the decision, or null",
        "registered_digest": "sha256 of what was fixed before the first judgment",
        "arms": "names of the arms",
        "n_masked": "names of models masked in the answers, per arm",
        "state": "draft, open, paused or closed when it was frozen",
    },
}


def write_parquet(path: Path, judgments: Sequence[Mapping[str, Any]]) -> None:
    """Write judgments as a flat table: a column per criterion and per side of the safety gate."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [flat_row(row) for row in judgments]
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: [row.get(name) for row in rows] for name in names}
    pq.write_table(pa.table(columns), path)


def flat_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a judgment as scalars: ``score_*``, ``safety_*``, ``safety_reasons_*``."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if name == "scores":
            flat |= {f"score_{criterion}": score for criterion, score in value.items()}
        elif name == "safety":
            for side, gate in value.items():
                flat[f"safety_{side}"] = gate["verdict"]
                flat[f"safety_reasons_{side}"] = ";".join(gate["reasons"])
        elif name == "guess":
            for side in ("answer", "left", "right"):
                flat[f"guess_{side}"] = value.get(side) if value else None
        elif name == "reasons":
            flat["reasons"] = ";".join(value)
        elif name == "n_format_marks":
            flat[name] = value[0] if value else None
            flat[f"other_{name}"] = value[1] if len(value) > 1 else None
        elif name == "form":
            for prefix, form in zip(("form_", "other_form_"), value, strict=False):
                flat |= {f"{prefix}{feature}": one for feature, one in (form or {}).items()}
        else:
            flat[name] = value
    return flat


def dictionary_page() -> str:
    """Return the data dictionary as Markdown."""
    parts = ["# Data dictionary\n"]
    for name, columns in DICTIONARY.items():
        parts.append(f"\n## {name}\n\n| field | meaning |\n|---|---|\n")
        parts += [f"| {field} | {meaning} |\n" for field, meaning in columns.items()]
    parts.append(
        "\n`judgments.parquet` holds judgments.jsonl as a flat table: `score_*` per criterion, "
        "`safety_*`, `safety_reasons_*` and `guess_*` per side, `form_*`, and `other_*` for "
        "the right side of a pair.\n"
    )
    return "".join(parts)
