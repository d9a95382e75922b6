"""One row of the table that ``benchmarks/evidence.py`` prints."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One piece of work done by another software and by this package, in one run.

    ``seconds_other`` and ``seconds_ours`` are for orientation; ``ratio`` is what ``bar`` asks
    for. ``agreement`` says how far apart the two results are.
    """

    work: str
    other: str
    seconds_other: float
    seconds_ours: float
    ratio: float
    bar: str
    agreement: str
