"""The study of an experiment: where it lives, that it is made once, and when it may be read.

A study is made as a draft and a person opens it. While it is open nothing is read from it but a
snapshot that its owner froze; once it is closed its judgments are final and are frozen as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from qingting.core.errors import DataError, NotFoundError, StoreError, WaitingError
from qingting.domains.judging_pack import JudgingPack
from qingting.judging.answers import Answer
from qingting.judging.campaigns import Created, create_campaign
from qingting.judging.overview import overview_of
from qingting.judging.snapshot import content_digest, freeze
from qingting.judging.tokens import now_ms
from qingting.spec.judging import CampaignSpec
from qingting.store.database import Database, open_database
from qingting.store.judging_tables import Campaign, Snapshot

_ACTOR = "run"


@dataclass(frozen=True)
class StudyPlace:
    """Where the study of an experiment lives.

    ``database`` is a file or an address and may hold a password; ``option`` is what commands are
    told to find it by, without one. ``snapshots`` is the folder that a closed study is frozen into.
    """

    database: str = field(repr=False)
    snapshots: Path
    option: str

    @property
    def shown(self) -> str:
        """Return how messages name the database."""
        return self.option.removeprefix("--database ") or "the judging database"

    @contextmanager
    def opened(self, *, create: bool = False) -> Iterator[Database]:
        """Yield the database.

        Raises:
            StoreError: it is not there, or cannot be opened.
        """
        is_server = "://" in self.database
        if not create and not is_server and not Path(self.database).is_file():
            raise StoreError(
                f"{self.shown}: the database of this run's study is not there; put it back, or "
                "name where it is with --database; another study is made when the artifact of "
                "`judge` is deleted"
            )
        database = open_database(self.database, create=create)
        try:
            yield database
        finally:
            database.close()


def create_once(
    session: Session,
    spec: CampaignSpec,
    pack: JudgingPack,
    answers: Sequence[Answer],
    *,
    at_ms: int,
    rule_file: Path | None = None,
) -> Created:
    """Return the study of these inputs: the one that stands in the database, or a new draft.

    Two studies are the same when all that was fixed in advance is: specification, pack, rule, arms,
    items and answers. Other inputs make another study and leave the first as it is.

    Raises:
        NotFoundError, SpecificationError, DataError: as ``create_campaign`` does.
    """
    with session.begin_nested() as trial:
        made = create_campaign(
            session, spec, pack, answers, at_ms=at_ms, actor=_ACTOR, rule_file=rule_file
        )
        standing = session.scalar(
            select(Campaign)
            .where(
                Campaign.registered_digest == made.campaign.registered_digest,
                Campaign.id != made.campaign.id,
            )
            .order_by(Campaign.id)
        )
        if standing is None:
            return made
        trial.rollback()
    return replace(made, campaign=standing, is_new=False)


def other_studies(session: Session, campaign: Campaign) -> tuple[str, ...]:
    """Return the ids of other studies of that name which raters can still be given work from."""
    return tuple(
        session.scalars(
            select(Campaign.public_id)
            .where(
                Campaign.name == campaign.name,
                Campaign.id != campaign.id,
                Campaign.state.in_(("open", "paused")),
            )
            .order_by(Campaign.id)
        )
    )


def readable_digest(place: StudyPlace, public_id: str) -> str:
    """Return the digest of the snapshot that may be read: a closed study's own, else the latest.

    Raises:
        WaitingError: the study is a draft, or people are at work and nothing is frozen, or what was
            frozen is superseded; says which commands lead on.
        DataError: it was closed without a judgment.
        StoreError: the database is not there, or does not hold the study.
    """
    with place.opened() as database, database.reading() as session:
        campaign = _campaign_of(session, place, public_id)
        if campaign.state == "closed":
            return content_digest(session, campaign)
        newest = session.scalar(
            select(Snapshot.digest)
            .where(Snapshot.campaign_id == campaign.id, Snapshot.superseded_ms.is_(None))
            .order_by(Snapshot.created_ms.desc(), Snapshot.id.desc())
            .limit(1)
        )
        if newest is not None:
            return newest
        n_superseded = session.scalar(
            select(func.count()).select_from(Snapshot).where(Snapshot.campaign_id == campaign.id)
        )
        code = "superseded" if n_superseded else campaign.state
        raise WaitingError(_what_to_do(session, campaign, place, code), code)


def read_folder(place: StudyPlace, public_id: str, digest: str) -> Path:
    """Return the folder of a snapshot; a closed study that is not frozen yet is frozen now.

    Raises:
        DataError: the snapshot is superseded, or the judgments changed since the digest was taken.
        NotFoundError: its folder is on another machine, or gone.
        StoreError: the database is not there, or does not hold the study.
    """
    with place.opened() as database:
        with database.reading() as session:
            campaign = _campaign_of(session, place, public_id)
            known = session.scalar(select(Snapshot).where(Snapshot.digest == digest))
        if known is not None and known.superseded_ms is not None:
            raise DataError(
                f"snapshot {digest[:12]} is superseded: {known.superseded_reason}; freeze again"
            )
        folders = [place.snapshots / digest, *([Path(known.path)] if known is not None else [])]
        for folder in folders:
            if folder.is_dir():
                return folder
        if campaign.state != "closed":
            raise NotFoundError(
                f"{folders[-1]}: the snapshot is not on this machine; copy it to "
                f"{place.snapshots / digest}, or freeze again"
            )
        frozen = freeze(database, campaign.id, into=place.snapshots, at_ms=now_ms(), actor=_ACTOR)
    if frozen.digest != digest:
        raise DataError("the judgments changed while they were read; run again")
    return frozen.folder


def superseded_among(place: StudyPlace, digests: Collection[str]) -> frozenset[str]:
    """Return which snapshots hold judgments of someone who has withdrawn since.

    Raises:
        StoreError: the database is not there, or cannot be opened.
    """
    with place.opened() as database, database.reading() as session:
        return frozenset(
            session.scalars(
                select(Snapshot.digest).where(
                    Snapshot.digest.in_(list(digests)), Snapshot.superseded_ms.is_not(None)
                )
            )
        )


def _campaign_of(session: Session, place: StudyPlace, public_id: str) -> Campaign:
    found = session.scalar(select(Campaign).where(Campaign.public_id == public_id))
    if found is None:
        raise StoreError(
            f"{place.shown}: does not hold study {public_id} of this run; name the database that "
            "does with --database, or have another study made: delete the artifact of `judge`"
        )
    return found


def _what_to_do(session: Session, campaign: Campaign, place: StudyPlace, code: str) -> str:
    """Return one line: how the study stands and which commands lead on."""
    n_studies = session.scalar(select(func.count()).select_from(Campaign)) or 0
    options = f" {place.option}" if place.option else ""
    if n_studies > 1:
        options += f" --study {campaign.public_id}"

    def command(verb: str) -> str:
        return f"`qingting judge {verb}{options}`"

    if code == "superseded":
        return (
            f"study {campaign.name!r}: someone whose judgments the snapshot holds has withdrawn; "
            f"freeze again with {command('freeze')}, or close it with `judge close`, and run again"
        )
    if code == "draft":
        return (
            f"study {campaign.name!r} is a draft: {command('open')} opens it; with the same "
            "options `judge invite` invites raters, `judge serve` serves its pages and `judge "
            "status` shows how it stands; after `judge close` or `judge freeze` run again"
        )
    overview = overview_of(session, campaign, at_ms=now_ms())
    return (
        f"study {campaign.name!r} is {campaign.state}, {overview.n_done} of {overview.n_wanted} "
        f"judgments given: {command('status')} shows more; with the same options `judge invite` "
        "invites raters and `judge serve` serves its pages; after `judge close` or `judge freeze` "
        "run again"
    )
