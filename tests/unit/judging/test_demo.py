"""The demonstration: simulated raters of known quality and severity, found again by the analysis."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scipy.stats import binom

from qingting.cli.judge_demo import make_demo
from qingting.judging.answers import Answer, Run
from qingting.store.database import open_database

ARMS = ("llama-tiny/base", "llama-tiny/lora", "qwen-tiny/base", "qwen-tiny/lora")


def answers(arms: tuple[str, ...] = ARMS) -> tuple[Answer, ...]:
    return tuple(
        Answer(
            arm,
            f"item{n}",
            language,
            ({"role": "assistant", "content": f"我在听。({n} {arm})"},),
            ({"role": "user", "content": "睡不好" if language == "zh" else "I cannot sleep"},),
        )
        for arm in arms
        for n in range(12)
        for language in ("zh", "en")
    )


@pytest.fixture(scope="module", params=["single", "pair"])
def record(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp(request.param)
    database = open_database(folder / "judging.db", create=True)
    run = Run(answers(), {"languages": ["zh", "en"]})
    made = make_demo(database, run, folder, mode=request.param, seed=5, url="http://127.0.0.1:1")
    database.close()
    return made


def test_every_difference_that_was_set_lies_within_the_simultaneous_intervals(record: Any) -> None:
    # The six intervals hold together in at least 95 of 100 studies (Bonferroni), and the study
    # of a seed is always the same one.
    assert len(record["truth"]) == 6
    assert [row for row in record["truth"] if not row["is_within"]] == []
    # Intervals that hold anything prove nothing: 3 log-odds wide at most, around the right side.
    for row in record["truth"]:
        assert row["high"] - row["low"] < 3
        if abs(row["was_set"]) > 1:
            assert ((row["low"] + row["high"]) / 2 > 0) == (row["was_set"] > 0)


def test_severities_that_were_set_are_found(record: Any) -> None:
    if record["mode"] == "pair":
        assert record["severity"] == []  # a preference has no severity
        return
    assert len(record["severity"]) == 12
    near = [abs(s["was_set"] - s["found"]) <= 2 * s["standard_error"] for s in record["severity"]]
    # Each lies within two standard errors with probability of about 0.95; that fewer than 8 of 12
    # do has then a chance below 1 in 5,000.
    assert binom.cdf(7, 12, 0.95) < 1 / 5000
    assert sum(near) >= 8


def test_the_demonstration_shows_all_of_a_study(record: Any) -> None:
    assert record["n_raters"] == 12
    assert set(record["rater_links"]) == {"zh", "en"}
    assert Path(record["snapshot"]).is_dir()
    page = Path(record["analysis"]).read_text(encoding="utf-8")
    assert "4 experts and 8 other raters" in page
    assert "recognised the model" in page
    for suffix in ("zh.md", "html", "json"):
        assert Path(record["analysis"]).with_suffix(f".{suffix}").is_file()
