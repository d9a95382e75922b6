"""The routes: pages of raters, pages of owners, and the API that does all that they do."""

from __future__ import annotations

from fastapi import APIRouter


def all_routers() -> tuple[APIRouter, ...]:
    """Return every router of the application."""
    from qingting.web.routes import (
        api_owner,
        api_owner_exclusions,
        api_owner_studies,
        api_rater,
        owner,
        rater,
        results,
        talk,
    )

    return (
        rater.router,
        talk.pages,
        api_rater.router,
        talk.api,
        owner.router,
        api_owner.router,
        api_owner_studies.router,
        api_owner_exclusions.router,
        results.pages,
        results.api,
    )
