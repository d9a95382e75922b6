"""How long a run with nothing to do takes, also beside 100 GB of weights.

Runs a small experiment once, on a copy of a small model whose folder also holds a sparse file of
100 GB that looks like a shard of weights. Its digest is put into the memory of digests beforehand
(reading 100 GB once is the price of the first run); what is timed is the second run, as a whole
process, five times, beside the same command on the same model without that file.

    python benchmarks/nothing_to_do.py [--ballast-gb 100]
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from qingting.models.resolve import shipped_models
from qingting.store.digests import DigestMemory

SPEC = """\
experiment: nothing-to-do
models: [./model]
data: {train: counselling, max_dialogues: 40, validation: 4, test: 8}
recipe: {max_steps: 2, effective_batch: 4, max_length: 512, n_samples: 0}
evaluations:
  text: {n_prompts: 2, max_new_tokens: 4}
  knowledge: {n_questions: 4}
  inference: null
analysis: {n_resamples: 200}
"""


def prepare(folder: Path, *, ballast_gb: float) -> Path:
    """Return the experiment file of a fresh folder that holds a model and, if asked, ballast."""
    folder.mkdir()
    (folder / "spec.yaml").write_text(SPEC, encoding="utf-8")
    shutil.copytree(shipped_models()["qwen2.5-tiny"], folder / "model")
    work = folder / "work"
    work.mkdir()
    if ballast_gb:
        ballast = folder / "model" / "ballast.bin.part"
        with ballast.open("wb") as file:
            file.truncate(int(ballast_gb * 1e9))
        memory = DigestMemory(work / "digests.json")
        memory.remember(ballast, "0" * 64)
        memory.save()
    return folder / "spec.yaml"


def run(spec: Path) -> float:
    """Return the wall time of one run, in seconds."""
    command = [sys.executable, "-m", "qingting.cli.main", "run", str(spec)]
    began = time.perf_counter()
    subprocess.run(
        [*command, "--work", str(spec.parent / "work")],
        check=True,
        capture_output=True,
        env={**os.environ},
    )
    return time.perf_counter() - began


def main() -> int:
    """Print first run, and median, smallest and largest of five runs with nothing to do."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ballast-gb", type=float, default=100.0)
    options = parser.parse_args()
    print(
        f"{'weights beside the model':28} {'first run':>10} {'nothing to do: median':>22} {'min':>6} {'max':>6}"
    )
    with tempfile.TemporaryDirectory() as name:
        for label, ballast_gb in (
            ("none", 0.0),
            (f"{options.ballast_gb:g} GB", options.ballast_gb),
        ):
            spec = prepare(Path(name) / f"{ballast_gb:g}", ballast_gb=ballast_gb)
            first = run(spec)
            again = [run(spec) for _ in range(5)]
            print(
                f"{label:28} {first:9.1f}s {statistics.median(again):21.2f}s "
                f"{min(again):5.2f}s {max(again):5.2f}s"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
