"""What the application refuses, with the status of the answer."""

from __future__ import annotations

from qingting.core.errors import QingtingError
from qingting.judging.problems import JudgingError

STATUS: dict[str, int] = {
    "invitation_unknown": 404,
    "invitation_expired": 410,
    "assignment_unknown": 404,
    "assignment_taken": 409,
    "assignment_done": 409,
    "item_withdrawn": 410,
    "key_reused": 409,
    "nothing_to_undo": 409,
    "undo_too_late": 409,
    "not_open": 409,
    "no_consent": 403,
    "consent_outdated": 409,
    "withdrawn": 410,
    "invalid": 422,
    "conversation_short": 409,
    "conversation_over": 409,
    "conversation_waits": 409,
    "not_a_conversation": 409,
    "conversation_busy": 503,
    "model_silent": 502,
}


class RefusedError(QingtingError):
    """A request that is not served: ``status`` and ``code``; the page says it in words."""

    def __init__(self, status: int, code: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.status, self.code)


def status_of(error: JudgingError) -> int:
    """Return the status with which a problem of a rater is answered."""
    return STATUS[error.code]
