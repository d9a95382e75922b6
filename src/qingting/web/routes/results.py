"""What the judgments of a snapshot say, for the study's owner: pages and API."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import FileResponse, RedirectResponse
from pydantic import BaseModel
from sqlalchemy import select

from qingting.judging.snapshot import analysis_folder
from qingting.report.file_names import FIGURES, PAGE, WORDS, WORDS_ZH
from qingting.store.judging_tables import Snapshot
from qingting.web.auth import (
    Caller,
    OwnerCaller,
    Services,
    check_csrf,
    load_owner,
    services_of,
)
from qingting.web.forms import Form, text_of
from qingting.web.pages import language_of, page
from qingting.web.problems import RefusedError
from qingting.web.routes.api_owner import Owning
from qingting.web.routes.owner import own_campaign

pages = APIRouter(include_in_schema=False)
api = APIRouter(prefix="/api/v1/owner", tags=["owners"])
Serves = Annotated[Services, Depends(services_of)]

_FILES = {
    "page": (PAGE, "text/html; charset=utf-8"),
    "words": (WORDS, "text/markdown; charset=utf-8"),
    "words-zh": (WORDS_ZH, "text/markdown; charset=utf-8"),
    "figures": (FIGURES, "application/json"),
}
_PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"
"""Of the analysis' own page, which holds its style in itself and runs nothing."""


class AnalysisOut(BaseModel):
    """How far the analysis of a snapshot is; ``figures`` once it is done."""

    state: Literal["none", "computing", "done", "failed"]
    reason: str
    figures: dict[str, Any] | None


def _snapshot(services: Services, caller: Caller, public_id: str, digest: str) -> tuple[Path, str]:
    """Return the folder of a snapshot of this study, and the study's name and state.

    Raises:
        RefusedError: there is none, or it holds data of someone who has withdrawn.
    """
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
        return Path(found.path), campaign.state


@pages.get("/owner/study/{public_id}/snapshots/{digest}/results")
def results_page(
    request: Request, public_id: str, digest: str, caller: OwnerCaller, services: Serves
) -> Response:
    """Show what a snapshot says, or how far its analysis is."""
    snapshot, study_state = _snapshot(services, caller, public_id, digest)
    state, reason = services.results.state_of(snapshot)
    return page(
        request,
        "owner_results.html",
        language=language_of(request),
        csrf_token=caller.csrf_token,
        study=public_id,
        digest=digest,
        state=state,
        reason=reason,
        is_early=study_state != "closed",
    )


@pages.post("/owner/study/{public_id}/snapshots/{digest}/results")
def start(
    request: Request,
    public_id: str,
    digest: str,
    caller: OwnerCaller,
    services: Serves,
    form: Form,
) -> Response:
    """Have a snapshot analysed."""
    check_csrf(request, caller, form_token=text_of(form, "csrf"))
    services.results.start(_snapshot(services, caller, public_id, digest)[0])
    return RedirectResponse(f"/owner/study/{public_id}/snapshots/{digest}/results", 303)


@pages.get("/owner/study/{public_id}/snapshots/{digest}/results/{part}")
def file(
    public_id: str,
    digest: str,
    part: Literal["page", "words", "words-zh", "figures"],
    caller: OwnerCaller,
    services: Serves,
) -> Response:
    """Return a file of the analysis."""
    snapshot, _ = _snapshot(services, caller, public_id, digest)
    name, kind = _FILES[part]
    if services.results.state_of(snapshot)[0] != "done":
        raise RefusedError(404, "not_found")
    headers = {"content-security-policy": _PAGE_POLICY}
    if part != "page":
        headers["content-disposition"] = f'attachment; filename="{name}"'
    return FileResponse(analysis_folder(snapshot) / name, media_type=kind, headers=headers)


@api.post("/studies/{public_id}/snapshots/{digest}/analysis", status_code=202)
def analyse(public_id: str, digest: str, caller: Owning, services: Serves) -> AnalysisOut:
    """Have a snapshot analysed; ask again with GET until it is done."""
    snapshot, _ = _snapshot(services, caller, public_id, digest)
    services.results.start(snapshot)
    return _stand(services, snapshot)


@api.get("/studies/{public_id}/snapshots/{digest}/analysis")
def analysis(public_id: str, digest: str, caller: Owning, services: Serves) -> AnalysisOut:
    """Return what a snapshot says, or how far its analysis is."""
    return _stand(services, _snapshot(services, caller, public_id, digest)[0])


def _stand(services: Services, snapshot: Path) -> AnalysisOut:
    state, reason = services.results.state_of(snapshot)
    figures = None
    if state == "done":
        figures = orjson.loads((analysis_folder(snapshot) / FIGURES).read_bytes())
    return AnalysisOut(state=state, reason=reason, figures=figures)
