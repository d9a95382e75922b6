"""The application: routes, guards and the way every problem is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

from anyio import to_thread
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from qingting import __version__
from qingting.core.errors import DataError, NotFoundError, QingtingError, SpecificationError
from qingting.judging.problems import JudgingError
from qingting.store.database import Database
from qingting.web.auth import Services, cookie_name
from qingting.web.guards import Guards
from qingting.web.limits import Limits, RateLimit
from qingting.web.pages import language_of, page
from qingting.web.problems import RefusedError, status_of
from qingting.web.results import Results
from qingting.web.settings import WebSettings
from qingting.web.talks import Talks
from qingting.web.words import words_in

_THREADS = 4
"""Of one server: they share one interpreter, and more of them only jostle for it."""


def create_app(
    database: Database,
    settings: WebSettings,
    *,
    limits: Limits | None = None,
    transport: Any = None,
) -> FastAPI:
    """Return the application over an open database.

    Args:
        limits: Shared by the processes of one server; None: this process is the server.
        transport: Stands in for the network between the server and the arms, in tests.
    """
    from qingting.web.routes import all_routers

    app = FastAPI(
        lifespan=_with_few_threads,
        title="Qingting judging",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
    )
    limits = limits or Limits.of_one_process()
    app.state.services = Services(
        database,
        settings,
        RateLimit(settings.wrong_sign_ins_per_minute, buckets=limits.wrong_sign_ins),
        Talks(database, settings, transport=transport),
        Results(),
    )
    for router in all_routers():
        app.include_router(router)
    static = str(files("qingting.web") / "static")
    app.mount("/static", StaticFiles(directory=static), name="static")
    requests = RateLimit(settings.requests_per_minute, buckets=limits.requests)
    of_address = settings.requests_per_minute * settings.raters_per_address
    app.add_middleware(
        Guards,
        settings=settings,
        cookie=cookie_name(settings),
        limit=requests,
        address_limit=RateLimit(of_address, buckets=limits.requests),
    )
    _tell_problems(app)
    return app


@asynccontextmanager
async def _with_few_threads(app: FastAPI) -> AsyncIterator[None]:
    to_thread.current_default_thread_limiter().total_tokens = _THREADS
    yield
    await app.state.services.talks.close()
    app.state.services.results.close()


def _tell_problems(app: FastAPI) -> None:
    @app.exception_handler(JudgingError)
    def _judging(request: Request, error: JudgingError) -> Response:
        language = error.language if error.fields else language_of(request, error.language)
        return _answer(
            request, status_of(error), error.code, error.in_words(language), fields=error.fields
        )

    @app.exception_handler(RefusedError)
    def _refused(request: Request, error: RefusedError) -> Response:
        if error.code == "sign_in_owner" and not _is_api(request):
            return RedirectResponse("/owner/sign-in", status_code=303)
        words = words_in(language_of(request))
        headers = {"retry-after": str(error.retry_after_s)} if error.retry_after_s else {}
        return _answer(request, error.status, error.code, words(error.code), headers=headers)

    @app.exception_handler(QingtingError)
    def _expected(request: Request, error: QingtingError) -> Response:
        status = 404 if isinstance(error, NotFoundError) else 422
        if not isinstance(error, NotFoundError | SpecificationError | DataError):
            status = 500
        if isinstance(error, SpecificationError):
            return _answer(request, status, "unusable", _first(error), fields=_by_place(error))
        return _answer(request, status, "unusable", str(error))

    @app.exception_handler(RequestValidationError)
    def _invalid(request: Request, error: RequestValidationError) -> Response:
        fields = {
            ".".join(str(part) for part in one["loc"]): str(one["msg"]) for one in error.errors()
        }
        message = words_in(language_of(request))("malformed")
        return _answer(request, 422, "malformed", message, fields=fields)

    @app.exception_handler(HTTPException)
    def _http(request: Request, error: HTTPException) -> Response:
        code = {404: "not_found", 405: "not_allowed"}.get(error.status_code, "malformed")
        words = words_in(language_of(request))
        return _answer(request, error.status_code, code, words(code), headers=error.headers)


_TOLD = 200
"""Problems that one answer tells."""


def _first(error: SpecificationError) -> str:
    n_more = len(error.problems) - 1
    return str(error.problems[0]) + (f" (and {n_more} more)" if n_more > 0 else "")


def _by_place(error: SpecificationError) -> dict[str, str]:
    """Return the problems that say where they stand, by place."""
    fields: dict[str, list[str]] = {}
    for one in error.problems[:_TOLD]:
        if one.place:
            fields.setdefault(one.place, []).append(one.message)
    return {place: "; ".join(messages) for place, messages in fields.items()}


def _is_api(request: Request) -> bool:
    return request.url.path.startswith("/api/")


def _answer(
    request: Request,
    status: int,
    code: str,
    message: str,
    *,
    fields: dict[str, str] | None = None,
    headers: Any = None,
) -> Response:
    if _is_api(request):
        body: dict[str, Any] = {"error": {"code": code, "message": message}}
        if fields:
            body["error"]["fields"] = fields
        return JSONResponse(body, status_code=status, headers=headers)
    response = page(
        request,
        "problem.html",
        language=language_of(request),
        status=status,
        message=message,
        title_key="problem",
    )
    response.headers.update(headers or {})
    return response
