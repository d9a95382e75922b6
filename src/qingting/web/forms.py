"""HTML forms as the values that the desk expects."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.datastructures import FormData


async def form_of(request: Request) -> FormData:
    """Return the fields of a posted form."""
    return await request.form(max_files=0, max_fields=200)


Form = Annotated[FormData, Depends(form_of)]


def text_of(form: FormData, name: str) -> str:
    """Return a field's text; empty where it was not sent."""
    value = form.get(name)
    return value if isinstance(value, str) else ""


def judgment_of(form: FormData) -> dict[str, Any]:
    """Return the judgment in a form as ``check_form`` reads it.

    Fields: ``scores.CRITERION``, ``safety.SIDE`` (verdict), ``safety.SIDE.reasons`` (any number),
    ``reasons`` (any number), ``confidence``, ``comment``, ``guess.SIDE``.
    """
    scores: dict[str, Any] = {}
    safety: dict[str, dict[str, Any]] = {}
    guess: dict[str, str] = {}
    for name in form:
        part, _, rest = name.partition(".")
        if part == "scores":
            scores[rest] = _point(text_of(form, name))
        elif part == "guess":
            guess[rest] = text_of(form, name)
        elif part == "safety":
            side, _, inner = rest.partition(".")
            entry = safety.setdefault(side, {"verdict": "", "reasons": []})
            if inner == "reasons":
                entry["reasons"] = [str(value) for value in form.getlist(name)]
            else:
                entry["verdict"] = text_of(form, name)
    return {
        "scores": scores,
        "safety": safety,
        "reasons": [str(value) for value in form.getlist("reasons")],
        "confidence": _point(text_of(form, "confidence")),
        "comment": text_of(form, "comment"),
        "guess": guess,
    }


def _point(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 3 else text
