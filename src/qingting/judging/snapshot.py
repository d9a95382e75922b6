"""Immutable snapshots of a study's judgments: what analysis, export and training read.

A snapshot is a folder named by its digest. It holds pseudonyms and no names of raters; comments
are scrubbed of phone numbers, ids and addresses. The live database is never analysed.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from sqlalchemy import select
from sqlalchemy.orm import Session

from qingting.core.canonical import canonical_json, digest_of, digest_of_file
from qingting.core.errors import DataError, NotFoundError, StoreError
from qingting.judging import transcripts
from qingting.judging.audit import note
from qingting.judging.leakage import features_of
from qingting.judging.scrubbing import scrub
from qingting.judging.snapshot_tables import (
    ASSIGNMENTS,
    CONVERSATIONS,
    JUDGMENTS,
    dictionary_page,
    write_parquet,
)
from qingting.store.atomic import storage_errors, sync_file, sync_folder
from qingting.store.database import Database
from qingting.store.judging_tables import (
    Arm,
    Assignment,
    AuditEntry,
    Campaign,
    Exclusion,
    Item,
    Judgment,
    Rater,
    Response,
    Snapshot,
    Unit,
)

FORMAT_VERSION = 1
SUPERSEDED = "SUPERSEDED"
"""The file that marks a snapshot which must not be used any more."""


@dataclass(frozen=True)
class Frozen:
    """A snapshot on disk."""

    digest: str
    folder: Path
    n_judgments: int
    n_raters: int
    is_new: bool


class SnapshotData(NamedTuple):
    """What a snapshot holds, read back."""

    study: dict[str, Any]
    judgments: list[dict[str, Any]]
    assignments: list[dict[str, Any]]
    raters: list[dict[str, Any]]
    references: list[dict[str, Any]]
    conversations: Sequence[dict[str, Any]] = ()
    """Live ones; empty in other studies."""


def freeze(database: Database, campaign_id: int, *, into: Path, at_ms: int, actor: str) -> Frozen:
    """Return a new snapshot of a study in the folder ``into``, or the one with the same content.

    The folder appears whole or not at all.

    Raises:
        DataError: there is no judgment yet.
    """
    with (
        # who withdraws meanwhile waits, and then finds the snapshot to supersede
        database.alone_on(Campaign, campaign_id),
        database.writing(sees_one_moment=True) as session,
    ):
        campaign = session.get_one(Campaign, campaign_id)
        data = gather(session, campaign)
        if not data.judgments:
            raise DataError(f"{campaign.name}: there is no judgment to freeze yet")
        tables = _tables(data)
        digest = _digest(tables)
        folder = into / digest
        known = session.scalar(select(Snapshot).where(Snapshot.digest == digest))
        n_raters = len({row["rater"] for row in data.judgments})
        parts = (data.judgments, data.assignments, data.conversations, data.raters)
        held = sorted({str(row["rater"]) for part in parts for row in part})
        if known is not None and folder.is_dir():
            return Frozen(digest, folder, len(data.judgments), n_raters, False)
        _write(folder, tables, digest=digest)
        if known is None:
            session.add(
                Snapshot(
                    campaign_id=campaign.id,
                    digest=digest,
                    path=str(folder.resolve()),
                    raters=held,
                    created_ms=at_ms,
                )
            )
        note(
            session,
            actor=actor,
            action="freeze",
            subject=digest,
            at_ms=at_ms,
            campaign_id=campaign.id,
        )
    return Frozen(digest, folder, len(data.judgments), n_raters, True)


def content_digest(session: Session, campaign: Campaign) -> str:
    """Return the digest that a snapshot would have if it were frozen now.

    Raises:
        DataError: there is no judgment yet.
    """
    data = gather(session, campaign)
    if not data.judgments:
        raise DataError(f"{campaign.name}: there is no judgment to freeze yet")
    return _digest(_tables(data))


def _digest(tables: Mapping[str, Any]) -> str:
    return digest_of({name: digest_of(rows) for name, rows in tables.items()})


def gather(session: Session, campaign: Campaign) -> SnapshotData:
    """Return a study's judgments and all that is needed to analyse them; no names of raters."""
    arms = _arms(session, campaign)
    raters = {
        one.id: one
        for one in session.scalars(select(Rater).where(Rater.campaign_id == campaign.id))
    }
    shown, n_masked = _shown(session, campaign, arms)
    hotlines = tuple(line["number"] for line in campaign.pack["hotlines"])
    talks = transcripts.transcripts(session, campaign, keep=hotlines)
    judgments: list[dict[str, Any]] = []
    assignments: list[dict[str, Any]] = []
    conversations: list[dict[str, Any]] = []
    for assignment, unit, item, judgment in session.execute(
        select(Assignment, Unit, Item, Judgment)
        .join(Unit, Unit.id == Assignment.unit_id)
        .join(Item, Item.id == Unit.item_id)
        .join(Judgment, Judgment.assignment_id == Assignment.id, isouter=True)
        .where(Unit.campaign_id == campaign.id)
        .order_by(Judgment.submitted_ms, Judgment.id, Assignment.id)
    ):
        shared = _shared(assignment, unit, item, raters, arms)
        assignments.append(
            shared
            | {
                "state": assignment.state,
                "skip_reason": assignment.skip_reason,
                "sequence": assignment.sequence,
            }
        )
        talk, row = talks.get(assignment.id), None
        if judgment is not None:
            row = {"judgment": len(judgments) + 1, "mode": campaign.mode}
            row |= _judgment_row(
                shared,
                assignment,
                unit,
                item,
                judgment,
                shown,
                hotlines=hotlines,
                is_pair=campaign.mode == "pair",
            )
            if talk is not None:
                row |= {
                    "form": [features_of(talk.shown)],
                    "n_format_marks": [n_format_marks(talk.original)],
                }
            judgments.append(row)
        if talk is not None:
            conversations.append(talk.row(row, shared | {"language": item.language}))
            if unit.arm_id is not None:
                n_masked[arms[unit.arm_id]] += talk.n_masked
    study = {
        "spec": campaign.spec,
        "rubric": campaign.pack["rubric"],
        "rule": campaign.rule,
        "registered_digest": campaign.registered_digest,
        "arms": sorted(arms.values()),
        "n_masked": n_masked,
        "state": campaign.state,
    }
    return SnapshotData(
        study,
        judgments,
        assignments,
        _rater_rows(session, raters),
        _references(session, campaign),
        conversations,
    )


def _arms(session: Session, campaign: Campaign) -> dict[int, str]:
    rows = session.execute(select(Arm.id, Arm.name).where(Arm.campaign_id == campaign.id))
    return dict(rows.all())


def _shared(
    assignment: Assignment,
    unit: Unit,
    item: Item,
    raters: Mapping[int, Rater],
    arms: Mapping[int, str],
) -> dict[str, Any]:
    first, second = unit.arm_id, unit.other_arm_id
    if assignment.is_swapped and second is not None:
        first, second = second, first
    return {
        "rater": raters[assignment.rater_id].public_id,
        "role": assignment.role,
        "item": item.ref,
        "arm": arms[first] if first is not None else None,
        "other_arm": arms[second] if second is not None else None,
    }


def _judgment_row(
    shared: Mapping[str, Any],
    assignment: Assignment,
    unit: Unit,
    item: Item,
    judgment: Judgment,
    shown: Mapping[tuple[int, int | None], _Shown],
    *,
    hotlines: Sequence[str],
    is_pair: bool,
) -> dict[str, Any]:
    sides: list[int | None] = [unit.arm_id]
    if unit.other_arm_id is not None:
        sides.append(unit.other_arm_id)
        if assignment.is_swapped:
            sides.reverse()
    seen = [shown.get((item.id, arm)) for arm in sides]
    return {
        **shared,
        "language": item.language,
        "kind": item.kind,
        "topic": item.topic,
        "difficulty": item.difficulty,
        "p_chosen": assignment.p_chosen,
        "scores": judgment.scores,
        "safety": judgment.safety,
        "reasons": judgment.reasons,
        "confidence": judgment.confidence,
        "comment": scrub(judgment.comment, keep=hotlines).text if judgment.comment else None,
        "guess": judgment.guess,
        "is_swapped": assignment.is_swapped if is_pair else None,
        "duration_ms": judgment.duration_ms,
        "submitted_ms": judgment.submitted_ms,
        "form": [one.form if one else None for one in seen],
        "n_format_marks": [one.n_format_marks if one else None for one in seen],
    }


class _Shown(NamedTuple):
    """What may tell an answer's arm: of the text as it is shown, and of the marks that it had."""

    form: dict[str, float]
    n_format_marks: int


def _shown(
    session: Session, campaign: Campaign, arms: Mapping[int, str]
) -> tuple[dict[tuple[int, int | None], _Shown], dict[str, int]]:
    """Return the form of the answer per (item, arm), and masked names per arm."""
    found: dict[tuple[int, int | None], _Shown] = {}
    n_masked = dict.fromkeys(sorted(arms.values()), 0)
    for response in session.scalars(
        select(Response)
        .join(Item, Item.id == Response.item_id)
        .where(Item.campaign_id == campaign.id)
        .order_by(Response.id)
    ):
        own = [turn["content"] for turn in response.shown if turn["role"] == "assistant"]
        raw = [turn["content"] for turn in response.original if turn["role"] == "assistant"]
        found[(response.item_id, response.arm_id)] = _Shown(
            features_of("\n".join(own)), sum(map(n_format_marks, raw))
        )
        if response.arm_id is not None:
            n_masked[arms[response.arm_id]] += response.n_masked
    return found, n_masked


def n_format_marks(text: str) -> int:
    """Return how many list, heading and bold marks a text has."""
    n = text.count("**") // 2
    for line in text.splitlines():
        start = line.lstrip()
        n += start.startswith(("#", "- ", "* ", "• ")) or start[:3].rstrip(".)、 ").isdigit()
    return n


def _rater_rows(session: Session, raters: Mapping[int, Rater]) -> list[dict[str, Any]]:
    excluded: dict[int, list[str]] = {}
    for one in session.scalars(select(Exclusion).where(Exclusion.rater_id.in_(list(raters)))):
        excluded.setdefault(one.rater_id, []).append(one.rule)
    imported = set(
        session.scalars(select(AuditEntry.subject).where(AuditEntry.action == "import_rater"))
    )
    return sorted(
        (
            {
                "rater": rater.public_id,
                "credential": rater.credential,
                "role": rater.role,
                "language": rater.language,
                "exclusions": sorted(excluded.get(identity, [])),
                **({"is_imported": True} if rater.public_id in imported else {}),
            }
            for identity, rater in raters.items()
        ),
        key=lambda row: str(row["rater"]),
    )


def _references(session: Session, campaign: Campaign) -> list[dict[str, Any]]:
    items = session.scalars(
        select(Item)
        .where(Item.campaign_id == campaign.id, Item.role != "main")
        .order_by(Item.ref, Item.language)
    )
    return [
        {
            "item": one.ref,
            "language": one.language,
            "role": one.role,
            "reference": one.reference,
        }
        for one in items
    ]


def _tables(data: SnapshotData) -> dict[str, Any]:
    return {
        "study.json": data.study,
        JUDGMENTS: data.judgments,
        ASSIGNMENTS: data.assignments,
        "raters.jsonl": data.raters,
        "references.jsonl": data.references,
        **({CONVERSATIONS: data.conversations} if data.conversations else {}),
    }


def _write(folder: Path, tables: Mapping[str, Any], *, digest: str) -> None:
    attempt = folder.with_name(f".{folder.name}.part")
    with storage_errors(folder):
        shutil.rmtree(attempt, ignore_errors=True)
        attempt.mkdir(parents=True)
        for name, rows in tables.items():
            path = attempt / name
            if name.endswith(".json"):
                path.write_bytes(canonical_json(rows) + b"\n")
            else:
                path.write_bytes(b"".join(canonical_json(row) + b"\n" for row in rows))
        write_parquet(attempt / "judgments.parquet", tables[JUDGMENTS])
        (attempt / "DICTIONARY.md").write_text(dictionary_page(), encoding="utf-8")
        files = {path.name: digest_of_file(path) for path in sorted(attempt.iterdir())}
        manifest = {"format_version": FORMAT_VERSION, "digest": digest, "files": files}
        (attempt / "manifest.json").write_bytes(orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
        for path in attempt.iterdir():
            sync_file(path)
        sync_folder(attempt)
        shutil.rmtree(folder, ignore_errors=True)
        attempt.rename(folder)
        sync_folder(folder.parent)


def read_snapshot(folder: Path) -> SnapshotData:
    """Return what a snapshot holds, after checking every digest in its manifest.

    Raises:
        DataError: the snapshot is superseded: someone whose judgments it holds has withdrawn.
        NotFoundError: the folder is no snapshot.
        StoreError: a file was changed since, or the form is of a later version.
    """
    if (folder / SUPERSEDED).exists():
        why = (folder / SUPERSEDED).read_text(encoding="utf-8").strip()
        raise DataError(f"{folder}: superseded, {why}; freeze again")
    manifest = _manifest(folder)
    for name, digest in manifest["files"].items():
        if not (folder / name).is_file() or digest_of_file(folder / name) != digest:
            raise StoreError(f"{folder / name}: changed since it was frozen; freeze again")

    def rows(name: str) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in (folder / name).read_bytes().splitlines()]

    return SnapshotData(
        orjson.loads((folder / "study.json").read_bytes()),
        rows(JUDGMENTS),
        rows(ASSIGNMENTS),
        rows("raters.jsonl"),
        rows("references.jsonl"),
        rows(CONVERSATIONS) if CONVERSATIONS in manifest["files"] else [],
    )


def analysis_folder(snapshot: Path) -> Path:
    """Return where the analysis of a snapshot is kept, beside it."""
    return snapshot.with_name(f"{snapshot.name}.analysis")


def mark_superseded(database: Database) -> int:
    """Mark the folders of superseded snapshots, so that they are refused where no database is.

    What was computed from them beside them is removed.

    Returns how many were marked now. Call after an erasure is committed; calling again is harmless.
    """
    n_marked = 0
    with database.reading() as session:
        for one in session.scalars(select(Snapshot).where(Snapshot.superseded_ms.is_not(None))):
            folder = Path(one.path)
            shutil.rmtree(analysis_folder(folder), ignore_errors=True)
            if folder.is_dir() and not (folder / SUPERSEDED).exists():
                (folder / SUPERSEDED).write_text(f"{one.superseded_reason}\n", encoding="utf-8")
                n_marked += 1
    return n_marked


def digest_in(snapshot: Path) -> str:
    """Return the digest of a snapshot, whatever its folder is called.

    Raises:
        NotFoundError, StoreError: the folder is no snapshot.
    """
    return str(_manifest(snapshot)["digest"])


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = orjson.loads((folder / "manifest.json").read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(f"{folder}: no snapshot; `qingting judge freeze` makes one") from None
    except orjson.JSONDecodeError:
        raise StoreError(f"{folder / 'manifest.json'}: damaged; freeze again") from None
    if found.get("format_version") != FORMAT_VERSION:
        raise StoreError(f"{folder}: a snapshot of another version of qingting; freeze again")
    return found


def refuse_superseded(database: Database, digest: str) -> None:
    """Raise where a snapshot holds data of someone who has withdrawn since.

    Raises:
        DataError: says since when and why; freeze again.
    """
    with database.reading() as session:
        found = session.scalar(select(Snapshot).where(Snapshot.digest == digest))
    if found is not None and found.superseded_ms is not None:
        raise DataError(
            f"snapshot {digest[:12]} is superseded: {found.superseded_reason}; freeze again"
        )
