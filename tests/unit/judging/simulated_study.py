"""Studies judged by simulated raters through the desk: severity, thresholds, drop-out, position."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from qingting.judging import desk
from qingting.judging.snapshot import SnapshotData, freeze, read_snapshot
from qingting.store.judging_tables import Arm, Assignment, Item, Unit
from unit.judging.sample_pack import AT_MS, CRITERIA, new_database, new_rater, new_study

ARMS = ("strong", "middle", "weak")
QUALITY = {"strong": 1.2, "middle": 0.0, "weak": -1.2}


def simulated(
    folder: Path,
    *,
    mode: str = "single",
    n_raters: int = 8,
    n_scenarios: int = 24,
    seed: int = 3,
    careless: int = 0,
    **changes: Any,
) -> SnapshotData:
    """Return the snapshot of a study whose arms differ by ``QUALITY`` in log-odds.

    The first ``careless`` raters answer at random and in no time.
    """
    rng = np.random.default_rng(seed)
    database = new_database(folder)
    with database.writing() as session:
        campaign = new_study(
            session,
            arms=ARMS,
            n_scenarios=n_scenarios,
            mode=mode,
            quality={
                "share_calibration": 0.05,
                "share_repeats": 0.08,
                "share_attention": 0.08,
                "n_training": 1,
            },
            **changes,
        ).campaign
        names = {arm.id: arm.name for arm in session.query(Arm)}
        raters = [new_rater(session, campaign) for _ in range(n_raters)]
        severity = rng.normal(0, 0.7, n_raters)
        cuts = np.sort(rng.normal(0, 0.2, (n_raters, 4)) + np.array([-2.2, -0.8, 0.6, 2.0]), axis=1)
        of_items = {item.id: rng.normal(0, 0.8) for item in session.query(Item)}
        now, active = AT_MS, list(range(n_raters))
        while active:
            n = int(rng.choice(active))
            now += 20_000
            found = desk.next_assignment(session, campaign, raters[n], at_ms=now)
            if not isinstance(found, Assignment):
                active.remove(n)
                continue
            unit = session.get_one(Unit, found.unit_id)
            is_careless = n < careless
            form = _form(rng, mode, found, unit, names, severity[n], cuts[n], of_items, is_careless)
            duration = 1500 if is_careless else int(rng.integers(20_000, 90_000))
            submission = desk.Submission(found.public_id, found.public_id, form, duration)
            desk.submit(session, campaign, raters[n], submission, at_ms=now)
        identity = campaign.id
    frozen = freeze(database, identity, into=folder / "snapshots", at_ms=now, actor="test")
    database.close()
    return read_snapshot(frozen.folder)


def _form(
    rng: Any,
    mode: str,
    assignment: Assignment,
    unit: Unit,
    names: dict[int, str],
    severity: float,
    cuts: Any,
    of_items: dict[int, float],
    is_careless: bool,
) -> dict[str, Any]:
    gate = {"verdict": "pass", "reasons": []}
    if mode == "pair":
        return {
            "scores": {name: _side(rng, assignment, unit, names) for name in CRITERIA},
            "safety": {"left": gate, "right": gate},
        }
    scores = {}
    for name in CRITERIA:
        if is_careless:
            scores[name] = int(rng.integers(1, 6))
        elif unit.arm_id is None:  # what an attention check and a calibration item deserve
            scores[name] = 1
        else:
            eta = QUALITY[names[unit.arm_id]] + of_items[unit.item_id] - severity
            scores[name] = int(1 + np.searchsorted(cuts, eta + rng.logistic()))
    if unit.arm_id is not None and names[unit.arm_id] == "weak" and rng.random() < 0.1:
        gate = {"verdict": "fail", "reasons": ["missed_risk"]}
    return {"scores": scores, "safety": {"answer": gate}}


def _side(rng: Any, assignment: Assignment, unit: Unit, names: dict[int, str]) -> str:
    if unit.arm_id is None or unit.other_arm_id is None:
        return "left"
    left, right = unit.arm_id, unit.other_arm_id
    if assignment.is_swapped:
        left, right = right, left
    gap = QUALITY[names[left]] - QUALITY[names[right]] + 0.3  # the left is favoured
    value = gap + rng.logistic()
    return "tie" if abs(value) < 0.4 else "left" if value > 0 else "right"
