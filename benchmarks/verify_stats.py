"""Simulate what the statistics claim, and write down how often the claim came true.

    OMP_NUM_THREADS=1 python benchmarks/verify_stats.py [--runs 2000] [--seed 1] [--topics NAME …]

Every topic is a module of ``simulations/`` with ``simulate(n_runs, seed)``; its data come from a
generator other than the model that is fitted. The rows go to ``docs/reference/simulations.md``
and, beside it, to a JSON file; a topic that is not run keeps the rows it has. A row misses when
the claim is outside of what its kind allows (see ``allowed``) by more than three standard errors
of the simulation. ``simulations/paired.py`` prints tables of its own, which stand in
``docs/explanation/statistics.md``.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from simulations.row import SimRow

HERE = Path(__file__).resolve().parent
REFERENCE = HERE.parent / "docs" / "reference"
TOPICS = tuple(
    sorted(
        path.stem
        for path in (HERE / "simulations").glob("*.py")
        if "def simulate(" in path.read_text(encoding="utf-8")
    )
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--topics", nargs="*", choices=TOPICS, default=TOPICS)
    arguments = parser.parse_args()
    kept = REFERENCE / "simulations.json"
    topics = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    for topic in arguments.topics:
        began = time.process_time()
        rows = import_module(f"simulations.{topic}").simulate(arguments.runs, arguments.seed)
        topics[topic] = {
            "seed": arguments.seed,
            "cpu_s": round(time.process_time() - began),
            "rows": [asdict(row) for row in rows],
        }
        for row in rows:
            print(topic, *markdown_cells(row), sep=" | ", flush=True)
        # After each topic, so that an interruption loses one at most.
        content = json.dumps(dict(sorted(topics.items())), indent=1, ensure_ascii=False)
        kept.write_text(content + "\n", encoding="utf-8")
        (REFERENCE / "simulations.md").write_text(page(topics), encoding="utf-8")


def allowed(row: SimRow) -> tuple[float, float] | None:
    """Return the shares that the claim allows, or None where the row claims nothing."""
    claim = row.claim
    if claim.startswith("claims nothing") or "claims nothing" in row.method:
        return None
    if claim.startswith("covers at least"):
        return row.nominal, 1.0
    if claim.startswith("covers"):
        return row.nominal - 0.02, row.nominal + 0.02
    if claim.startswith("rejects"):
        return 0.0, row.nominal
    return None


def misses(row: SimRow) -> bool:
    """Return whether the claim failed by more than three standard errors of the simulation."""
    limits = allowed(row)
    if limits is None:
        return False
    slack = 3 * math.sqrt(row.nominal * (1 - row.nominal) / row.n_runs)
    return not limits[0] - slack <= row.observed <= limits[1] + slack


def markdown_cells(row: SimRow) -> tuple[str, ...]:
    outcome = "" if allowed(row) is None else "**misses**" if misses(row) else "holds"
    return (
        row.design,
        row.method,
        row.claim,
        f"{row.nominal:.1%}",
        f"{row.observed:.1%}",
        f"{row.n_runs:,}",
        outcome,
    )


def page(topics: dict) -> str:
    lines = [
        "# What was simulated",
        "",
        "Written by `make verify-stats`; the figures also stand in `simulations.json`. Data are drawn",
        "from generators other than the fitted models. A claim *holds* when the observed share is",
        "within what it allows (intervals: nominal ± 2 points; conservative ones: at least nominal;",
        "tests: at most nominal), give or take three standard errors of the simulation. Rows without",
        "an outcome show what happens without a remedy and claim nothing.",
    ]
    for topic, entry in sorted(topics.items()):
        lines += [
            "",
            f"## {topic.replace('_', ' ').capitalize()}",
            "",
            f"Seed {entry['seed']}, {entry['cpu_s']} CPU seconds.",
            "",
            "| design | method | claim | nominal | observed | runs | |",
            "|---|---|---|--:|--:|--:|---|",
        ]
        lines += ["| " + " | ".join(markdown_cells(SimRow(**r))) + " |" for r in entry["rows"]]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
