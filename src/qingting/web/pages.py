"""Pages: templates rendered in a reader's language, with everything from elsewhere escaped."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from qingting.web.words import words_in

LANGUAGE_COOKIE = "qingting_language"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("qingting.web", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["prose"] = prose
    environment.filters["lines"] = lines
    environment.filters["moment"] = moment
    return environment


def language_of(request: Request, preferred: str | None = None) -> str:
    """Return the language of a page: the rater's, the chosen one, or the browser's."""
    chosen = request.query_params.get("lang") or preferred or request.cookies.get(LANGUAGE_COOKIE)
    if chosen in ("zh", "en"):
        return chosen
    return "zh" if request.headers.get("accept-language", "").lower().startswith("zh") else "en"


def page(
    request: Request,
    template: str,
    *,
    language: str,
    status: int = 200,
    csrf_token: str = "",
    **values: Any,
) -> HTMLResponse:
    """Return a page; ``t`` in the template gives the words of the reader's language."""
    html = (
        _environment()
        .get_template(template)
        .render(
            t=words_in(language),
            language=language,
            html_language="zh-CN" if language == "zh" else "en",
            csrf_token=csrf_token,
            path=request.url.path,
            **values,
        )
    )
    response = HTMLResponse(html, status_code=status)
    if request.query_params.get("lang") in ("zh", "en"):  # chosen on this page, kept for the next
        response.set_cookie(
            LANGUAGE_COOKIE, request.query_params["lang"], path="/", samesite="lax", httponly=True
        )
    return response


def lines(text: str) -> Markup:
    """Return a person's or a model's words as escaped paragraphs; nothing in them is markup."""
    paragraphs = [part for part in re.split(r"\n\s*\n", text.strip()) if part.strip()]
    return Markup("").join(
        Markup("<p>{}</p>").format(Markup("<br>").join(escape(line) for line in part.split("\n")))
        for part in paragraphs
    )


def moment(at_ms: int) -> str:
    """Return a time in UTC, to the minute."""
    return datetime.fromtimestamp(at_ms / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")


def prose(text: str, values: Mapping[str, str] | None = None) -> Markup:
    """Return the project's own texts, a small part of Markdown: headings, lists, emphasis.

    Everything is escaped first; ``{name}`` is filled from ``values``, escaped too.
    """
    blocks = []
    for block in re.split(r"\n\s*\n", text.strip()):
        rows = [row.rstrip() for row in block.split("\n") if row.strip()]
        if not rows:
            continue
        if match := re.match(r"(#{1,3})\s+(.*)", rows[0]):
            level = len(match[1]) + 1
            blocks.append(Markup(f"<h{level}>{{}}</h{level}>").format(_inline(match[2], values)))
            rows = rows[1:]
        if rows and all(re.match(r"[-*]\s+", row) for row in rows):
            items = Markup("").join(
                Markup("<li>{}</li>").format(_inline(re.sub(r"^[-*]\s+", "", row), values))
                for row in rows
            )
            blocks.append(Markup("<ul>{}</ul>").format(items))
        elif rows and all(re.match(r"\d+[.)、]\s*", row) for row in rows):
            items = Markup("").join(
                Markup("<li>{}</li>").format(_inline(re.sub(r"^\d+[.)、]\s*", "", row), values))
                for row in rows
            )
            blocks.append(Markup("<ol>{}</ol>").format(items))
        elif rows:
            blocks.append(Markup("<p>{}</p>").format(_inline(" ".join(rows), values)))
    return Markup("\n").join(blocks)


def _inline(text: str, values: Mapping[str, str] | None) -> Markup:
    for name, value in (values or {}).items():
        text = text.replace("{" + name + "}", value)
    marked = str(escape(text))
    marked = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", marked)
    return Markup(marked)
