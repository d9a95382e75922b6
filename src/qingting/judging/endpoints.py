"""Where arms answer in live conversations, from ``ARM=URL[#MODEL]``."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from qingting.core.errors import Problem, SpecificationError

KEY_VARIABLE = "QINGTING_ENDPOINT_KEY"
"""The variable that holds the key of endpoints which ask for one; keys are never stored."""


def parse_endpoint(text: str, *, option: str) -> dict[str, str]:
    """Return ``{"base_url", "model"}`` of ``URL#MODEL``.

    Raises:
        SpecificationError: it is not of the form, or holds a key.
    """
    url, _, model = text.partition("#")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc or not model:
        raise SpecificationError([Problem(option, f"{text!r} is not http(s)://HOST[…]#MODEL")])
    if parts.username or parts.password:
        raise SpecificationError([Problem(option, f"keys go into {KEY_VARIABLE}, not the address")])
    return {"base_url": url, "model": model}


def parse_endpoints(texts: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return arm to ``{"base_url", "model"}``.

    Raises:
        SpecificationError: everything that is not of the form, at once.
    """
    endpoints: dict[str, dict[str, str]] = {}
    problems: list[Problem] = []
    for text in texts:
        arm, _, rest = text.partition("=")
        url, _, model = rest.partition("#")
        parts = urlsplit(url)
        if not arm or parts.scheme not in ("http", "https") or not parts.netloc:
            problems.append(Problem("--endpoint", f"{text!r} is not ARM=http(s)://HOST[…]#MODEL"))
        elif parts.username or parts.password:
            problems.append(Problem("--endpoint", f"keys go into {KEY_VARIABLE}, not the address"))
        elif arm in endpoints:
            problems.append(Problem("--endpoint", f"{arm} is named twice"))
        else:
            endpoints[arm] = {"base_url": url, "model": model or arm}
    if problems:
        raise SpecificationError(problems)
    return endpoints
