"""One row of the simulations that ``benchmarks/verify_stats.py`` runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SimRow:
    """What a method claims under a design, and how often the claim came true.

    ``claim`` is such as ``"covers"``, ``"covers at least"`` or ``"rejects a true null"``;
    ``nominal`` and ``observed`` are shares of ``n_runs`` simulated studies.
    """

    design: str
    method: str
    claim: str
    nominal: float
    observed: float
    n_runs: int
