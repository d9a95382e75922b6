"""What a server process is told when it starts; its events come back as JSON Lines."""

from __future__ import annotations

from pydantic import Field

from qingting.engines.protocol import Runtime
from qingting.spec.base import Frozen


class Limits(Frozen):
    """Bounds of a server; everything that a client could make grow has one."""

    n_slots: int = Field(8, ge=1, le=256, description="Answers written at once.")
    n_waiting: int = Field(64, ge=0, le=10_000, description="Requests that wait for a slot.")
    context: int = Field(4096, ge=2, description="Tokens of prompt and answer, if the model can.")
    max_new_tokens: int = Field(1024, ge=1, description="Tokens of one answer.")
    max_body_bytes: int = Field(1 << 20, ge=1024, description="Bytes of one request.")
    drain_s: float = Field(5.0, ge=0, description="Seconds that answers get to end at the end.")


class ServerJob(Frozen):
    """One server process: what it serves and where; the socket is inherited."""

    checkpoint: str
    model: str = Field(description="The name that clients ask for.")
    runtime: Runtime
    limits: Limits
    socket: int = Field(description="Descriptor of the listening socket.")
    log: str
    instance: str = Field(description="Told by /health: proves that this process answers.")
    api_key: str | None = None
