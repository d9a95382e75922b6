"""An import held against a study, before anything is written."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from qingting.core.errors import DataError
from qingting.judging.forms import Form, check_form
from qingting.judging.importing.rows import Source
from qingting.judging.importing.understanding import Draft, Misfit, Reader
from qingting.judging.importing.words import say
from qingting.judging.places import arms_in_order
from qingting.judging.problems import JudgingError
from qingting.judging.texts import texts_of
from qingting.spec.judgment_import import ImportMapping
from qingting.store.judging_tables import (
    Arm,
    Assignment,
    AuditEntry,
    Campaign,
    Item,
    Judgment,
    Rater,
    Unit,
)

_UNIT_ROLES = {"calibration": "calibration", "training": "calibration", "attention": "attention"}


@dataclass(frozen=True, slots=True)
class Ready:
    """A judgment that can be written."""

    draft: Draft
    form: Form
    pseudonym: str
    unit_id: int
    is_swapped: bool
    arms_in_order: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What an import would do."""

    source: Source
    identity_source: str
    ready: tuple[Ready, ...]
    n_known: int
    """Rows whose judgment the study holds already."""
    refused: tuple[Misfit, ...]


class _Said(NamedTuple):
    """What one rater said of one unit, to tell whether two judgments are the same."""

    scores: Any
    safety: Any
    reasons: Any
    confidence: int | None
    is_swapped: bool


def plan_import(
    session: Session,
    campaign: Campaign,
    source: Source,
    mapping: ImportMapping,
    *,
    at_ms: int,
    credential: str | None = None,
    language: str = "en",
) -> Plan:
    """Return what importing a source into a study would do; changes nothing.

    Judgments of the main part take places of their units in the order of the file, as far as
    places are free.

    Args:
        credential: of raters whose credential nothing tells.
        language: of the problems.

    Raises:
        SpecificationError: the mapping does not fit.
        DataError: the study takes no judgments from elsewhere.
    """
    if campaign.state == "closed":
        raise DataError(f"{campaign.name}: the study is closed and takes no more judgments")
    if campaign.mode == "conversation" and campaign.spec["conversation"]["source"] == "live":
        raise DataError(f"{campaign.name}: live conversations cannot be judged elsewhere")
    reader = Reader(
        source,
        mapping,
        mode=campaign.mode,
        rubric=texts_of(campaign)["rubric"],
        credential=credential,
        at_ms=at_ms,
        language=language,
    )
    checking = _Checking(
        session,
        campaign,
        identity_source=mapping.source or source.format,
        at_ms=at_ms,
        language=language,
    )
    ready: list[Ready] = []
    refused: list[Misfit] = []
    n_known = 0
    for row in source.rows:
        found = reader.understand(row)
        result = found if isinstance(found, Misfit) else checking.check(found)
        if isinstance(result, Ready):
            ready.append(result)
        elif isinstance(result, Misfit):
            refused.append(result)
        else:
            n_known += 1
    return Plan(source, checking.identity_source, tuple(ready), n_known, tuple(refused))


def pseudonym_of(campaign: Campaign, source: str, identity: str) -> str:
    """Return the pseudonym of a person known elsewhere by a name.

    It follows from the name and the study's secret: importing again finds the same rater, the
    pseudonym alone tells nothing, and one who was erased stays recognisable as that.
    """
    message = "\0".join(("imported rater", source, identity)).encode()
    return hmac.new(campaign.secret.encode(), message, "sha256").hexdigest()[:32]


class _Checking:
    """A study as it stands, and what of it the rows before have used up."""

    def __init__(
        self,
        session: Session,
        campaign: Campaign,
        *,
        identity_source: str,
        at_ms: int,
        language: str,
    ) -> None:
        self.campaign = campaign
        self.identity_source = identity_source
        self.language = language
        self.arms = dict(
            session.execute(select(Arm.name, Arm.id).where(Arm.campaign_id == campaign.id)).all()
        )
        self.items: dict[tuple[str, str, str], Item] = {
            (one.ref, one.language, one.role): one
            for one in session.scalars(select(Item).where(Item.campaign_id == campaign.id))
        }
        self.units: dict[tuple[int, frozenset[int]], Unit] = {
            (one.item_id, frozenset(arms_in_order(one, is_swapped=False))): one
            for one in session.scalars(select(Unit).where(Unit.campaign_id == campaign.id))
        }
        self.free = {one.id: one.n_wanted - one.n_taken for one in self.units.values()}
        for unit_id, n_late in _late_leases(session, campaign, at_ms=at_ms):
            self.free[unit_id] += n_late
        self.credentials: dict[str, str] = dict(
            session.execute(
                select(Rater.public_id, Rater.credential).where(Rater.campaign_id == campaign.id)
            ).all()
        )
        self.erased = set(
            session.scalars(
                select(AuditEntry.subject).where(
                    AuditEntry.campaign_id == campaign.id, AuditEntry.action == "erase"
                )
            )
        )
        self.said = _said_before(session, campaign)
        self.seen: dict[tuple[str, str, int], str] = {}

    def check(self, draft: Draft) -> Ready | Misfit | None:
        """Return a judgment that can be written, why not, or None where it is there already."""
        problems: list[str] = []
        form = self._form(draft, problems)
        unit = self._unit(draft, problems)
        pseudonym = self._pseudonym(draft, problems)
        if problems or form is None or unit is None:
            return Misfit(draft.row, tuple(problems))
        left = self.arms[draft.arm] if draft.arm is not None and unit.arm_id is not None else None
        is_swapped = draft.is_swapped if left is None else left != unit.arm_id
        key = (pseudonym, draft.role, unit.id)
        if key in self.seen:
            return self._misfit(draft, "twice", self.seen[key])
        self.seen[key] = draft.row.place
        said = _Said(form.scores, form.safety, form.reasons, form.confidence, is_swapped)
        if key in self.said:
            return None if self.said[key] == said else self._misfit(draft, "judged", "")
        if draft.role == "main":
            if self.free[unit.id] < 1:
                what = ", ".join(one for one in (draft.item, draft.arm, draft.other_arm) if one)
                return self._misfit(draft, "full", what, n=unit.n_wanted)
            self.free[unit.id] -= 1
        order = arms_in_order(unit, is_swapped=is_swapped)
        return Ready(draft, form, pseudonym, unit.id, is_swapped, order)

    def _misfit(self, draft: Draft, code: str, value: str, *, n: int = 0) -> Misfit:
        return Misfit(draft.row, (say(code, self.language, value=value, n=n),))

    def _form(self, draft: Draft, problems: list[str]) -> Form | None:
        try:
            return check_form(
                draft.raw,
                mode=self.campaign.mode,
                rubric=texts_of(self.campaign)["rubric"],
                language=self.language,
                asks_guess=draft.was_asked_guess,
            )
        except JudgingError as error:
            problems += error.fields.values()
            return None

    def _pseudonym(self, draft: Draft, problems: list[str]) -> str:
        if draft.rater in self.credentials:  # an export of this very study names pseudonyms
            pseudonym = draft.rater
        else:
            pseudonym = pseudonym_of(self.campaign, self.identity_source, draft.rater)
        if pseudonym in self.erased or draft.rater in self.erased:
            problems.append(say("erased", self.language))
        known = self.credentials.get(pseudonym, draft.credential)
        if known != draft.credential:
            problems.append(say("other_credential", self.language, value=known))
        return pseudonym

    def _unit(self, draft: Draft, problems: list[str]) -> Unit | None:
        def wrong(code: str, value: str, known: list[str] | None = None) -> None:
            problems.append(say(code, self.language, value=value, known=known or ()))

        role = _UNIT_ROLES.get(draft.role, "main")
        arms: list[str] = []
        if role == "main":
            arms = [one for one in (draft.arm, draft.other_arm) if one is not None]
            for one in arms:
                if one not in self.arms:
                    wrong("unknown_arm", one, list(self.arms))
        item = self._item(draft, role, wrong)
        if item is None or any(one not in self.arms for one in arms):
            return None
        if item.withdrawn_ms is not None:
            wrong("withdrawn", draft.item)
            return None
        unit = self.units.get((item.id, frozenset(self.arms[one] for one in arms)))
        if unit is None or len(set(arms)) < len(arms):
            wrong("no_unit", ", ".join((draft.item, item.language, *arms)))
            return None
        return unit

    def _item(self, draft: Draft, role: str, wrong: Any) -> Item | None:
        languages = (draft.language,) if draft.language else self.campaign.spec["languages"]
        found = [
            item
            for language in languages
            if (item := self.items.get((draft.item, language, role))) is not None
        ]
        if len(found) == 1:
            return found[0]
        if found:
            wrong("no_language", draft.item)
        else:
            known = [ref for ref, _, of_role in self.items if of_role == role]
            shown = draft.item if draft.language is None else f"{draft.item} ({draft.language})"
            wrong("unknown_item", draft.item if draft.item not in known else shown, known)
        return None


def _late_leases(session: Session, campaign: Campaign, *, at_ms: int) -> list[tuple[int, int]]:
    """Return how many places of each unit leases hold that have run out."""
    rows = session.execute(
        select(Assignment.unit_id, func.count())
        .join(Unit, Unit.id == Assignment.unit_id)
        .where(
            Unit.campaign_id == campaign.id,
            Assignment.role == "main",
            Assignment.state == "leased",
            Assignment.expires_ms <= at_ms,
        )
        .group_by(Assignment.unit_id)
    )
    return [(unit, n) for unit, n in rows]


def _said_before(session: Session, campaign: Campaign) -> Mapping[tuple[str, str, int], _Said]:
    rows = session.execute(
        select(
            Rater.public_id,
            Assignment.role,
            Assignment.unit_id,
            Judgment.scores,
            Judgment.safety,
            Judgment.reasons,
            Judgment.confidence,
            Assignment.is_swapped,
        )
        .join(Assignment, Assignment.id == Judgment.assignment_id)
        .join(Rater, Rater.id == Judgment.rater_id)
        .where(Rater.campaign_id == campaign.id)
    )
    return {(rater, role, unit): _Said(*said) for rater, role, unit, *said in rows}
