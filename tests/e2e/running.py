"""A small experiment run as a person runs it: the command in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

SMALL = """\
experiment: small
question: Does a short training help two small models?
models:
  - qwen2.5-tiny
  - model: gpt-oss-tiny
    recipe: {lora: {dropout: 0.0, experts: true}}
data: {train: counselling, max_dialogues: 40, validation: 4, test: 8, seed: 3}
recipe:
  learning_rate: 2e-3
  max_steps: 6
  effective_batch: 4
  max_length: 512
  log_every: 2
  validate_every: 3
  save_every: 2
  n_samples: 1
evaluations:
  text: {n_prompts: 6, max_new_tokens: 8, batch_size: 3}
  knowledge: {n_questions: 6, max_new_tokens: 4}
  inference: {batch_sizes: [1, 2], n_new_tokens: 4, n_repeats: 1}
analysis: {n_resamples: 200}
report: {n_examples: 2}
"""


def mind_interrupts() -> None:
    """Take Ctrl-C as a terminal gives it: a shell's background job inherits that it is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Run:
    """One ``qingting run``; everything it starts carries a mark by which it is found again."""

    def __init__(self, spec: Path, work: Path, *options: str, command: str = "run") -> None:
        self.mark = uuid.uuid4().hex
        self.work = work
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "qingting.cli.main",
                command,
                str(spec),
                "--work",
                str(work),
                *options,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "QINGTING_TEST_MARK": self.mark},
            preexec_fn=mind_interrupts,
        )

    def finish(self, timeout_s: float = 300) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=timeout_s)
        return self.process.returncode, out, err

    def pids(self) -> list[int]:
        """Return every process that this run started, itself included, zombies left out."""
        found = []
        needle = f"QINGTING_TEST_MARK={self.mark}".encode()
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    if needle in (folder / "environ").read_bytes():
                        found.append(int(folder.name))
                except (FileNotFoundError, PermissionError, ProcessLookupError):
                    continue
        return found

    def workers(self) -> list[int]:
        return [pid for pid in self.pids() if pid != self.process.pid]

    def kill(self, whom: str) -> None:
        """SIGKILL the runner, its workers, or both."""
        pids = {"runner": [self.process.pid], "workers": self.workers(), "both": self.pids()}[whom]
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def wait_until_gone(self, timeout_s: float = 10) -> list[int]:
        """Return the processes that are still there when the time is up."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if not self.pids():
                return []
            time.sleep(0.05)
        return self.pids()


def outcomes(work: Path) -> str:
    """Return the outcomes of a run in one form that can be compared byte by byte."""
    results = json.loads((work / "results.json").read_text(encoding="utf-8"))
    return json.dumps(results["outcomes"], sort_keys=True, ensure_ascii=False)
