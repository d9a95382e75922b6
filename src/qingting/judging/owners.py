"""Owners of studies: passwords hashed with argon2id, and links that sign in once."""

from __future__ import annotations

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from qingting.core.errors import DataError, NotFoundError
from qingting.judging.tokens import digest_of_token, new_token
from qingting.store.judging_tables import Owner, OwnerLink

MIN_PASSWORD = 12
LINK_MINUTES = 30

_HASHER = PasswordHasher()
_NOBODY = _HASHER.hash(new_token().secret)


def add_owner(session: Session, name: str, *, password: str | None) -> Owner:
    """Return a new owner; without a password one-time links alone sign in.

    Raises:
        DataError: the name is taken, or the password is shorter than 12 characters.
    """
    if not name.strip() or len(name) > 80:
        raise DataError("an owner has a name of 1 to 80 characters")
    if session.scalar(select(Owner.id).where(Owner.name == name)) is not None:
        raise DataError(f"there is an owner {name!r} already")
    if password is not None and len(password) < MIN_PASSWORD:
        raise DataError(f"a password has at least {MIN_PASSWORD} characters")
    owner = Owner(name=name, password_hash=_HASHER.hash(password) if password else None)
    session.add(owner)
    session.flush()
    return owner


def find_owner(session: Session, name: str | None) -> Owner:
    """Return an owner by name; the only one where no name is given.

    Raises:
        NotFoundError: there is none, or several and no name.
    """
    if name is None:
        if session.scalar(select(func.count()).select_from(Owner)) == 1:
            return session.scalars(select(Owner)).one()
        raise NotFoundError("which owner? name one; `qingting judge owner add` makes one")
    found = session.scalar(select(Owner).where(Owner.name == name))
    if found is None:
        raise NotFoundError(f"no owner {name!r}; `qingting judge owner add` makes one")
    return found


def check_password(session: Session, name: str, password: str) -> Owner | None:
    """Return the owner whose password this is, or None; a wrong name takes as long as a right one."""
    owner = session.scalar(select(Owner).where(Owner.name == name))
    known = owner.password_hash if owner is not None and owner.password_hash else _NOBODY
    try:
        _HASHER.verify(known, password)
    except (VerificationError, InvalidHashError):
        return None
    return owner


def new_link(session: Session, owner: Owner, *, at_ms: int) -> str:
    """Return the secret of a link that signs an owner in once, within half an hour."""
    token = new_token()
    session.add(
        OwnerLink(
            token_hash=token.digest,
            owner_id=owner.id,
            expires_ms=at_ms + LINK_MINUTES * 60_000,
        )
    )
    return token.secret


def use_link(session: Session, secret: str, *, at_ms: int) -> Owner | None:
    """Return the owner of a link and spend it, or None where it is unknown, old or spent."""
    used = session.execute(
        update(OwnerLink)
        .where(
            OwnerLink.token_hash == digest_of_token(secret),
            OwnerLink.used_ms.is_(None),
            OwnerLink.expires_ms > at_ms,
        )
        .values(used_ms=at_ms)
    )
    if used.rowcount != 1:  # type: ignore[attr-defined]
        return None
    link = session.get_one(OwnerLink, digest_of_token(secret))
    return session.get_one(Owner, link.owner_id)
