"""How the application is served: its address, limits, and where models answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit


@dataclass(frozen=True)
class WebSettings:
    """Settings of one server process.

    ``public_url`` is what links begin with. Cookies are ``Secure`` unless it is plain http.
    """

    public_url: str
    snapshots: Path
    """Where ``freeze`` writes."""
    requests_per_minute: int = 240
    """Of one session, or of one address for visitors without one."""
    raters_per_address: int = 50
    """Sessions that one address may hold at that pace: an institute, or a proxy that says no more."""
    wrong_sign_ins_per_minute: int = 20
    """Of one address, with an invitation, a link or a password that is wrong."""
    max_body_bytes: int = 1 << 20
    max_conversations: int = 8
    """Answers of models awaited at the same time."""
    answer_timeout_s: float = 60.0

    @property
    def is_https(self) -> bool:
        """Return whether people reach the server over https."""
        return urlsplit(self.public_url).scheme == "https"

    def link(self, path: str) -> str:
        """Return the address of a path as people see it."""
        return self.public_url.rstrip("/") + path
