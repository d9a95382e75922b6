"""The audit log: who did what, without content."""

from __future__ import annotations

from sqlalchemy.orm import Session

from qingting.store.judging_tables import AuditEntry


def note(
    session: Session, *, actor: str, action: str, subject: str, at_ms: int, campaign_id: int | None
) -> None:
    """Add an entry to the audit log, in the transaction of what it tells.

    Args:
        actor: ``owner:NAME``, ``rater:PSEUDONYM``, ``command`` or ``server``.
        subject: the id of what was acted on; never a person's name or words.
    """
    session.add(
        AuditEntry(
            at_ms=at_ms, actor=actor, action=action, subject=subject, campaign_id=campaign_id
        )
    )
