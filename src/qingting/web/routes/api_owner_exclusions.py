"""The API of study owners: who is left out, by registered rules and by hand."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from qingting.judging import hand_exclusion
from qingting.judging.exclusion import apply_rules, checks_of
from qingting.judging.snapshot import gather
from qingting.judging.tokens import now_ms
from qingting.spec.judging import CampaignSpec
from qingting.store.judging_tables import Campaign, Rater
from qingting.web.auth import load_owner
from qingting.web.problems import RefusedError
from qingting.web.routes.api_owner import Owning, Serves
from qingting.web.routes.owner import own_campaign

router = APIRouter(prefix="/api/v1/owner", tags=["owners"])


class ByRule(BaseModel):
    """A rater whom a registered rule leaves out as the judgments stand now."""

    rater: str
    rule: str
    reason: str


class ByHand(BaseModel):
    """A rater whom the owner left out; ``is_late``: after the first snapshot."""

    rater: str
    reason: str
    is_late: bool
    decided_ms: int


class ExclusionsOut(BaseModel):
    """Who is left out, by the registered rules and by hand."""

    by_rule: list[ByRule]
    by_hand: list[ByHand]


class ExclusionIn(BaseModel):
    """Whom to leave out by hand, and why."""

    model_config = ConfigDict(extra="forbid", strict=True)

    rater: str = Field(max_length=32)
    reason: Literal["conflict_of_interest", "not_eligible", "technical_fault", "breach_of_protocol"]


@router.get("/studies/{public_id}/exclusions")
def exclusions(public_id: str, caller: Owning, services: Serves) -> ExclusionsOut:
    """Return whom the registered rules leave out as judgments stand now, and whom the owner did."""
    with services.database.reading() as session:
        load_owner(session, caller)
        campaign = own_campaign(session, public_id)
        data = gather(session, campaign)
        rules = CampaignSpec.model_validate(campaign.spec, strict=False).exclusion
        by_rule = apply_rules(checks_of(data.judgments, data.references), rules)
        return ExclusionsOut(
            by_rule=[ByRule(rater=one.rater, rule=one.rule, reason=one.reason) for one in by_rule],
            by_hand=[_by_hand(one) for one in hand_exclusion.excluded_by_hand(session, campaign)],
        )


def _by_hand(one: hand_exclusion.HandExclusion) -> ByHand:
    return ByHand(
        rater=one.rater, reason=one.reason, is_late=one.is_late, decided_ms=one.decided_ms
    )


@router.post("/studies/{public_id}/exclusions", status_code=201)
def exclude(public_id: str, body: ExclusionIn, caller: Owning, services: Serves) -> ByHand:
    """Leave a rater out by hand; snapshots and analysis say so from now on."""
    with services.database.writing() as session:
        owner, campaign = load_owner(session, caller), own_campaign(session, public_id)
        rater = _rater(session, campaign, body.rater)
        actor = f"owner:{owner.name}"
        return _by_hand(
            hand_exclusion.exclude(
                session, campaign, rater, body.reason, at_ms=now_ms(), actor=actor
            )
        )


@router.delete("/studies/{public_id}/exclusions/{rater}", status_code=204)
def readmit(public_id: str, rater: str, caller: Owning, services: Serves) -> Response:
    """Take back an exclusion by hand; a registered rule cannot be taken back."""
    with services.database.writing() as session:
        owner, campaign = load_owner(session, caller), own_campaign(session, public_id)
        found = _rater(session, campaign, rater)
        actor = f"owner:{owner.name}"
        hand_exclusion.readmit(session, campaign, found, at_ms=now_ms(), actor=actor)
    return Response(status_code=204)


def _rater(session: Session, campaign: Campaign, pseudonym: str) -> Rater:
    found = session.scalar(
        select(Rater).where(Rater.public_id == pseudonym, Rater.campaign_id == campaign.id)
    )
    if found is None:
        raise RefusedError(404, "not_found")
    return found
