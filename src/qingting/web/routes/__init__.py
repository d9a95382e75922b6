"""The routes: pages of raters, pages of owners, and the API that does all that they do."""

from __future__ import annotations

from fastapi import APIRouter


def all_routers() -> tuple[APIRouter, ...]:
    """Return every router of the application."""
    from qingting.web.routes import api_owner, api_rater, owner, rater, talk

    return (
        rater.router,
        talk.pages,
        api_rater.router,
        talk.api,
        owner.router,
        api_owner.router,
    )
