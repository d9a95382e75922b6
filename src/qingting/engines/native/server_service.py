"""What the routes of a server share: the model once it is loaded, and the bounds."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, NamedTuple

from qingting.engines.native.batching import Scheduler
from qingting.engines.native.server_answers import FAILURES
from qingting.engines.native.server_requests import ApiError
from qingting.engines.native.server_text import TextLayout
from qingting.engines.serving_protocol import Limits
from qingting.models.templates import Template


class Speech(NamedTuple):
    """How one kind of words becomes tokens, and how its answers are read."""

    template: Template
    layout: TextLayout


class Speeches(NamedTuple):
    """The two kinds; None where a model cannot do that."""

    chat: Speech | None
    text: Speech | None


class Loaded(NamedTuple):
    """A model that is ready to answer."""

    scheduler: Scheduler
    speeches: Speeches
    context: int
    fingerprint: str


class Service:
    """What the routes share: the model once it is loaded, and the bounds."""

    def __init__(self, name: str, limits: Limits, *, instance: str, api_key: str | None) -> None:
        self.name = name
        self.limits = limits
        self.instance = instance
        self.api_key = api_key
        self.created = int(time.time())
        self.state: Literal["loading", "ready", "failed", "ending"] = "loading"
        self.loaded: Loaded | None = None
        self.encoder = ThreadPoolExecutor(1, "encode")

    def require(self) -> Loaded:
        """Return the model.

        Raises:
            ApiError: status 503 while there is none.
        """
        if self.state == "ending":
            raise ApiError(503, FAILURES["shutdown"], code="shutting_down")
        if self.loaded is None:
            raise ApiError(503, f"model {self.name} is {self.state}", code="model_not_ready")
        return self.loaded
