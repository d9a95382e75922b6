"""The API of study owners: making studies, and judgments in and out.

What touches the server's own files or network stays with the commands on its host: work folders of
runs, rules named by path, endpoints of live conversations, owners' accounts.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal, TypeVar

import orjson
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from qingting.core.columns import columns_of_text
from qingting.core.errors import NotFoundError, Problem, SpecificationError
from qingting.domains.judging_pack import load_judging_pack
from qingting.judging.answers import Answer, answers_of_table, complete_items
from qingting.judging.campaigns import change_state, create_campaign
from qingting.judging.export import table_of, write_table
from qingting.judging.importing.planning import Plan, plan_import
from qingting.judging.importing.reading import source_of_text
from qingting.judging.importing.writing import Imported, consent_of, write_import
from qingting.judging.people import sign_out
from qingting.judging.snapshot import read_snapshot
from qingting.judging.tokens import now_ms
from qingting.spec.judging import CampaignSpec
from qingting.spec.judgment_import import Credential, ImportMapping
from qingting.spec.load import Source, validated
from qingting.stats.decision_rule import DecisionRule
from qingting.store.judging_tables import Snapshot
from qingting.web.auth import load_owner
from qingting.web.pages import language_of
from qingting.web.problems import RefusedError
from qingting.web.routes.api_owner import Owning, Serves
from qingting.web.routes.owner import own_campaign

router = APIRouter(prefix="/api/v1/owner", tags=["owners"])
ModelT = TypeVar("ModelT", bound=BaseModel)
_TOLD = 200
"""Rows that one answer names; the numbers are of all."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class TurnIn(_Strict):
    """One turn of a conversation."""

    role: Literal["user", "assistant"]
    content: str


class AnswerIn(_Strict):
    """What one arm answered to one scenario: ``answer``, or whole ``turns``."""

    arm: str = Field(min_length=1, max_length=200)
    scenario: str = Field(min_length=1, max_length=80)
    language: Literal["zh", "en"] | None = None
    answer: str | None = None
    turns: list[TurnIn] | None = None
    prompt: str | list[TurnIn] | None = Field(
        None, description="What the client wrote, for items that the pack does not hold."
    )
    kind: Literal["counselling", "psychoeducation", "crisis"] | None = None


class StudyIn(_Strict):
    """A study: the keys of its file, and the answers to judge."""

    spec: dict[str, Any] = Field(description="As in the file of a study, `decision` aside.")
    answers: list[AnswerIn]
    rule: dict[str, Any] | None = Field(
        None, description="The rule of the decision, with the keys of its file."
    )
    complete_only: bool = Field(False, description="Leave out items that some arm did not answer.")
    open: bool = Field(False, description="Open the study at once.")


class StudyOut(BaseModel):
    """A new study, counted."""

    id: str
    study: str
    mode: str
    state: str
    registered_digest: str
    n_items: int
    n_units: int
    n_judgments: int
    n_judgments_per_rater: int
    n_hours: float
    n_masked_names: int
    n_items_left_out: int
    warnings: list[str]


class ImportIn(_Strict):
    """Judgments from elsewhere, and how their raters consented: one of the two has to be said."""

    content: str = Field(
        min_length=1,
        description="Text of the file: CSV, TSV, JSON Lines, or an export of Label Studio or "
        "Argilla; its form is recognised.",
    )
    mapping: dict[str, Any] | None = Field(
        None, description="Which column or question is what, with the keys of the mapping file."
    )
    consent_version: str | None = Field(None, max_length=20)
    consent_elsewhere: bool = False
    credential: Credential | None = Field(None, description="Where the file does not tell.")
    skip_bad: bool = Field(False, description="Import the rest where rows cannot be used.")
    dry_run: bool = Field(False, description="Say what would happen; write nothing.")


class RefusedRow(BaseModel):
    """A row that cannot be used: where it stands, and every reason."""

    place: str
    problems: list[str]


class ImportOut(BaseModel):
    """What was imported; ``refused`` names the first rows that cannot be used."""

    format: str
    is_dry_run: bool
    n_rows: int
    n_fit: int
    n_imported: int
    n_raters_new: int
    n_already_there: int
    n_refused: int
    set_aside: dict[str, int]
    refused: list[RefusedRow]


@router.delete("/sessions", status_code=204)
def end(caller: Owning, services: Serves) -> Response:
    """End this session."""
    with services.database.writing() as session:
        sign_out(session, caller.secret)
    return Response(status_code=204)


@router.post("/studies", status_code=201)
def create(body: StudyIn, caller: Owning, services: Serves) -> StudyOut:
    """Make a study from its specification and the answers to judge; all problems are told at once."""
    spec, rule, problems = _specified(body)
    lines = "".join(
        orjson.dumps(one.model_dump(exclude_none=True)).decode() + "\n" for one in body.answers
    )
    answers: tuple[Answer, ...] = ()
    if not body.answers:
        problems.append(Problem("answers", "none; name the answers to judge"))
    else:
        try:
            answers = answers_of_table(columns_of_text(lines, Path("answers")))
        except SpecificationError as error:
            problems += error.problems
    if problems or spec is None:
        raise SpecificationError(problems)
    n_left_out = 0
    if body.complete_only:
        answers, n_left_out = complete_items(answers)
    with services.database.writing() as session:
        actor = f"owner:{load_owner(session, caller).name}"
        made = create_campaign(
            session,
            spec,
            load_judging_pack(spec.domain),
            answers,
            at_ms=now_ms(),
            actor=actor,
            rule=rule,
        )
        if body.open:
            change_state(session, made.campaign, "open", at_ms=now_ms(), actor=actor)
        return StudyOut(
            id=made.campaign.public_id,
            study=made.campaign.name,
            mode=made.campaign.mode,
            state=made.campaign.state,
            registered_digest=made.campaign.registered_digest,
            n_items=made.n_items,
            n_units=made.n_units,
            n_judgments=made.n_judgments,
            n_judgments_per_rater=made.n_judgments_per_rater,
            n_hours=round(made.n_hours, 2),
            n_masked_names=made.n_masked,
            n_items_left_out=n_left_out,
            warnings=list(made.warnings),
        )


def _specified(body: StudyIn) -> tuple[CampaignSpec | None, DecisionRule | None, list[Problem]]:
    problems: list[Problem] = []
    values = dict(body.spec)
    if values.pop("decision", None) is not None:
        problems.append(
            Problem("spec.decision", "names a file of the server; send the rule itself as `rule`")
        )
    spec = _checked("spec", values, CampaignSpec, problems)
    rule = _checked("rule", body.rule, DecisionRule, problems) if body.rule is not None else None
    if spec is not None:
        if spec.mode == "conversation" and spec.conversation.source == "live":
            words = "live conversations are made on the server's host: qingting judge create"
            problems.append(Problem("spec.conversation.source", words))
        try:
            load_judging_pack(spec.domain)
        except NotFoundError as error:
            problems.append(Problem("spec.domain", str(error)))
    return spec, rule, problems


def _checked(
    part: str, values: dict[str, Any], model: type[ModelT], problems: list[Problem]
) -> ModelT | None:
    """Return a part of the body as a model; what is wrong is added by key path."""
    try:
        return validated(Source("", values, {}), model)
    except SpecificationError as error:
        problems += [
            Problem(f"{part}.{one.place}" if one.place else part, one.message)
            for one in error.problems
        ]
        return None


@router.post("/studies/{public_id}/judgments:import")
def import_judgments(
    request: Request, public_id: str, body: ImportIn, caller: Owning, services: Serves
) -> ImportOut:
    """Import judgments made elsewhere; importing the same again adds nothing.

    While a row cannot be used nothing is written, unless ``skip_bad`` says so.
    """
    problems: list[Problem] = []
    mapping = _checked("mapping", body.mapping or {}, ImportMapping, problems)
    if mapping is None:
        raise SpecificationError(problems)
    database = services.database
    with database.reading() if body.dry_run else database.writing() as session:
        owner, campaign = load_owner(session, caller), own_campaign(session, public_id)
        if not body.dry_run:  # a second import of the same study waits
            session.refresh(campaign, with_for_update=True)
        consent = consent_of(
            campaign, version=body.consent_version, is_elsewhere=body.consent_elsewhere
        )
        plan = plan_import(
            session,
            campaign,
            source_of_text(body.content, name="content"),
            mapping,
            at_ms=now_ms(),
            credential=body.credential,
            language=language_of(request),
        )
        if body.dry_run:
            return _import_out(plan, Imported(0, 0), is_dry=True)
        if plan.refused and not body.skip_bad:
            raise SpecificationError(
                [Problem(one.row.place, "; ".join(one.problems)) for one in plan.refused]
            )
        actor = f"owner:{owner.name}"
        written = write_import(
            session, campaign, plan, consent=consent, at_ms=now_ms(), actor=actor
        )
        return _import_out(plan, written, is_dry=False)


def _import_out(plan: Plan, written: Imported, *, is_dry: bool) -> ImportOut:
    return ImportOut(
        format=plan.source.format,
        is_dry_run=is_dry,
        n_rows=len(plan.source.rows),
        n_fit=len(plan.ready),
        n_imported=written.n_judgments,
        n_raters_new=written.n_raters_new,
        n_already_there=plan.n_known,
        n_refused=len(plan.refused),
        set_aside=dict(plan.source.set_aside),
        refused=[
            RefusedRow(place=one.row.place, problems=list(one.problems))
            for one in plan.refused[:_TOLD]
        ],
    )


_MEDIA: dict[str, str] = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}


@router.get("/studies/{public_id}/snapshots/{digest}/judgments")
def export(
    public_id: str,
    digest: str,
    caller: Owning,
    services: Serves,
    ending: Annotated[Literal["csv", "jsonl", "parquet"], Query(description="Its form.")] = "csv",
) -> Response:
    """Return the judgments of a snapshot as one table; one that is superseded is refused."""
    with services.database.reading() as session:
        load_owner(session, caller)
        campaign = own_campaign(session, public_id)
        found = session.scalar(
            select(Snapshot).where(Snapshot.digest == digest, Snapshot.campaign_id == campaign.id)
        )
        if found is None:
            raise RefusedError(404, "not_found")
        if found.superseded_ms is not None:
            raise RefusedError(410, "snapshot_superseded")
        rows = table_of(read_snapshot(Path(found.path)))
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"judgments.{ending}"
        write_table(path, rows)
        return Response(
            path.read_bytes(),
            media_type=_MEDIA[ending],
            headers={"content-disposition": f'attachment; filename="judgments.{ending}"'},
        )
