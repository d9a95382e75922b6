"""SIGKILL anywhere: nothing finished is repeated, and the outcomes are the same bytes."""

import json
import random
import shutil
import time

import pytest

from e2e.running import Run, outcomes

WHOM = ("runner", "workers", "both")


def kill_once(spec, work, rng):
    """Start a run and kill it at a random moment; return whether it was still going.

    One time in three the moment is between the writing of a stage's files and their renaming:
    the manifest stands in the attempt's folder for a moment only.
    """
    whom = rng.choice(WHOM)
    at_rename = rng.random() < 1 / 3
    run = Run(spec, work)
    if at_rename:
        n_seen, target = 0, rng.randint(1, 6)
        while run.process.poll() is None and n_seen < target:
            n_seen += any((work / "attempts").glob("*/output/manifest.json"))
            time.sleep(0.0005)
    else:
        deadline = time.monotonic() + rng.uniform(0.5, 14)
        while run.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
    was_going = run.process.poll() is None
    run.kill(whom)
    run.finish(600)  # where only workers died, it goes on to its end
    assert run.wait_until_gone() == []
    return was_going


def finished_keys(work):
    return {p.parent.name for p in (work / "artifacts").glob("*/manifest.json")}


def survive(spec, work, reference, *, n_kills, seed):
    rng = random.Random(seed)
    n_killed = 0
    for _ in range(n_kills):
        n_killed += kill_once(spec, work, rng)
        if (work / "results.json").exists():
            shutil.rmtree(work)  # it came to its end: the next kill needs work to interrupt
    kept = finished_keys(work)
    status, out, err = Run(spec, work, "--json").finish()
    assert status == 0, err
    said = json.loads(out)
    planned = json.loads(Run(spec, work, "--json", command="plan").finish()[1])["stages"]
    # every stage of this plan that was finished before is taken, none is done again
    assert said["n_cached"] == len(kept & {stage["key"] for stage in planned})
    assert outcomes(work) == outcomes(reference)
    return n_killed


def test_a_few_kills_change_nothing(small_spec, finished, tmp_path):
    assert survive(small_spec, tmp_path / "work", finished, n_kills=4, seed=20) >= 2


@pytest.mark.slow
@pytest.mark.timeout(5400)
@pytest.mark.parametrize("seed", range(5))
def test_fifty_kills_change_nothing(small_spec, finished, tmp_path, seed):
    survive(small_spec, tmp_path / "work", finished, n_kills=10, seed=seed)
