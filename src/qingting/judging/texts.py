"""The texts of a study, read once: they are frozen when it is made and never change."""

from __future__ import annotations

from typing import Any

from qingting.store.judging_tables import Campaign

_TEXTS: dict[str, dict[str, Any]] = {}
_MAX_KEPT = 64


def texts_of(campaign: Campaign) -> dict[str, Any]:
    """Return a study's rubric, consent, pages and hotlines, as its pack had them."""
    if campaign.public_id not in _TEXTS:
        if len(_TEXTS) >= _MAX_KEPT:
            _TEXTS.clear()
        _TEXTS[campaign.public_id] = campaign.pack
    return _TEXTS[campaign.public_id]
