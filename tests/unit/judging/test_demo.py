"""The demonstration: simulated raters of known quality, found again by the analysis."""

from __future__ import annotations

from pathlib import Path

import pytest

from qingting.cli.judge_demo import _make
from qingting.judging.answers import Answer, Run
from qingting.store.database import open_database

ARMS = ("a/base", "a/lora", "b/base", "b/lora")


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
        for n in range(8)
        for language in ("zh", "en")
    )


@pytest.mark.parametrize("mode", ["single", "pair"])
def test_the_demonstration_shows_all_of_a_study(tmp_path: Path, mode: str) -> None:
    database = open_database(tmp_path / "judging.db", create=True)
    run = Run(answers(), {"mode": mode, "languages": ["zh", "en"]})
    record = _make(database, run, tmp_path, seed=5, url="http://127.0.0.1:1")
    database.close()
    assert record["n_raters"] == 12
    assert set(record["rater_links"]) == {"zh", "en"}
    assert Path(record["analysis"]).is_file() and Path(record["snapshot"]).is_dir()
    if mode == "single":
        within = [row["is_within"] for row in record["truth"]]
        assert len(within) == 6 and sum(within) >= 4
        # tuned arms were set above their bases, and are found above
        for row in record["truth"]:
            if abs(row["was_set"]) > 1:
                assert (row["estimate"] > 0) == (row["was_set"] > 0)
