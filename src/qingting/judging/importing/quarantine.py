"""What a quarantine file says of a row that cannot be used."""

from __future__ import annotations

import json
from typing import Any

from qingting.judging.importing.understanding import Misfit


def quarantine_entry(misfit: Misfit) -> dict[str, Any]:
    """Return place, problems and the row as it was, as text.

    The text may hold people's words and names: it goes into no log and no report.
    """
    raw = misfit.row.raw
    text = raw if isinstance(raw, str) else json.dumps(raw, ensure_ascii=False, default=str)
    return {
        "place": misfit.row.place,
        "problems": list(misfit.problems),
        "raw": text.encode("utf-8", "replace").decode(),
    }
