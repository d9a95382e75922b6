"""Secrets that are shown once and kept as hashes."""

from __future__ import annotations

import hashlib
import secrets
import time
from typing import NamedTuple


class Token(NamedTuple):
    """A secret, and what is stored of it."""

    secret: str
    digest: str


def new_token() -> Token:
    """Return a fresh secret of 256 bits, fit for an address."""
    secret = secrets.token_urlsafe(32)
    return Token(secret, digest_of_token(secret))


def digest_of_token(secret: str) -> str:
    """Return the sha256 of a token: enough, because the token itself has 256 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()


def new_public_id() -> str:
    """Return an id of 128 random bits that tells nothing and cannot be guessed."""
    return secrets.token_hex(16)


def now_ms() -> int:
    """Return the time now in milliseconds since 1970."""
    return time.time_ns() // 1_000_000
