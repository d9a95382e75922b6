"""Metrics and statistics against other software, side by side in one run.

    OMP_NUM_THREADS=1 python benchmarks/evidence.py [--scale 1.0] [--topics NAME …]

Needs an environment that has this package and the other software (``docs/reference/benchmarks.md``
names it). Each topic is a module ``evidence_NAME.py``. ``--scale`` shrinks the work; the bars are
meant for 1.
"""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

TOPICS = tuple(
    sorted(
        path.stem.removeprefix("evidence_")
        for path in Path(__file__).resolve().parent.glob("evidence_*.py")
        if path.stem != "evidence_row"
    )
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--topics", nargs="*", choices=TOPICS, default=TOPICS)
    arguments = parser.parse_args()
    print("| work | other | other, s | here, s | ratio | bar | agreement |")
    print("|---|---|--:|--:|--:|---|---|")
    for topic in arguments.topics:
        for row in import_module(f"evidence_{topic}").rows(arguments.scale):
            print(
                f"| {row.work} | {row.other} | {row.seconds_other:.3g} | {row.seconds_ours:.3g} "
                f"| **{row.ratio:.3g}** | {row.bar} | {row.agreement} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
