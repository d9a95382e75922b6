"""``judge import`` and ``judge export``: judgments in, judgments out, the same analysis."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from sqlalchemy import func, select
from typer.testing import CliRunner

from qingting.cli.judge import app
from qingting.judging.analysis import analyse
from qingting.judging.snapshot import SnapshotData, read_snapshot
from qingting.report.judging_files import analysis_record
from qingting.report.judging_words import study_markdown
from qingting.store.database import open_database
from qingting.store.judging_tables import Judgment, Rater, RaterIdentity
from unit.judging.foreign_exports import (
    LABEL_STUDIO_MAPPING,
    annotation,
    as_csv,
    person,
    single_results,
    table_row,
    task,
)
from unit.judging.sample_pack import new_database, new_study
from unit.judging.simulated_study import ARMS, simulated


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "judging").mkdir()
    database = new_database(tmp_path / "judging")
    with database.writing() as session:
        new_study(session, name="autumn")
    database.close()
    return tmp_path


def run(*words: str) -> Any:
    return CliRunner().invoke(app, list(words))


def n_judgments() -> int:
    database = open_database("judging/judging.db")
    with database.reading() as session:
        n = session.scalar(select(func.count()).select_from(Judgment))
    database.close()
    return int(n or 0)


def test_a_file_is_imported_once(folder: Path) -> None:
    Path("j.csv").write_text(as_csv([table_row(), table_row("ben")]), "utf-8")
    words = ("import", "j.csv", "--study", "autumn", "--consent-version", "1", "--json")
    dry = json.loads(run(*words, "--dry-run").stdout)
    assert (dry["n_fit"], dry["n_imported"], dry["is_dry_run"]) == (2, 0, True)
    assert n_judgments() == 0
    record = json.loads(run(*words).stdout)
    assert (record["format"], record["n_imported"], record["n_raters_new"]) == ("table", 2, 2)
    again = json.loads(run(*words).stdout)
    assert (again["n_already_there"], again["n_imported"]) == (2, 0)
    assert n_judgments() == 2


def test_rows_that_cannot_be_used_keep_the_rest_out_until_they_are_left_out(folder: Path) -> None:
    rows = [table_row(), table_row("ben", item="s9"), table_row("ben", point=7)]
    Path("j.csv").write_text(as_csv(rows), "utf-8")
    words = ("import", "j.csv", "--consent-elsewhere")
    refused = run(*words)
    assert refused.exit_code == 2
    assert "j.csv:3: the study has no item 's9'" in refused.stderr
    assert "j.csv:4:" in refused.stderr and "nothing was imported" in refused.stdout
    assert n_judgments() == 0
    rejects = Path("j.csv.quarantine.jsonl")
    assert rejects.stat().st_mode & 0o077 == 0
    entries = [json.loads(line) for line in rejects.read_text("utf-8").splitlines()]
    assert [one["place"] for one in entries] == ["j.csv:3", "j.csv:4"]
    assert json.loads(entries[0]["raw"])["item"] == "s9"
    stopped = run(*words, "--skip-bad")
    assert stopped.exit_code != 0 and "already exists" in str(stopped.exception)
    done = run(*words, "--skip-bad", "--force")
    assert done.exit_code == 0 and "1 judgments imported into autumn" in done.stdout
    assert n_judgments() == 1


def test_a_long_list_of_problems_is_cut_and_kept_whole_in_the_file(folder: Path) -> None:
    rows = [table_row(f"r{n}", item="none") for n in range(30)]
    Path("j.csv").write_text(as_csv(rows), "utf-8")
    refused = run("import", "j.csv", "--consent-version", "1")
    assert "… and 10 more" in refused.stderr
    assert len(Path("j.csv.quarantine.jsonl").read_text("utf-8").splitlines()) == 30


def test_a_mapping_file_is_read_strictly(folder: Path) -> None:
    export = [
        task(
            1,
            {"scenario": "s0", "model": "tuned-model"},
            annotation(1, person(5, "anna@example.org"), single_results(5)),
            annotation(2, person(5, "anna@example.org"), [], was_cancelled=True),
        )
    ]
    Path("ls.json").write_text(json.dumps(export, ensure_ascii=False), "utf-8")
    YAML().dump(LABEL_STUDIO_MAPPING, Path("mapping.yaml"))
    words = ("import", "ls.json", "--consent-version", "1", "--credential", "trainee")
    done = run(*words, "--mapping", "mapping.yaml")
    assert done.exit_code == 0, done.output
    assert "no judgments, left out: 1 cancelled annotations" in done.stdout
    YAML().dump(LABEL_STUDIO_MAPPING | {"itm": "scenario"}, Path("mapping.yaml"))
    wrong = run(*words, "--mapping", "mapping.yaml")
    assert "unknown key 'itm'. Did you mean 'item'?" in str(wrong.exception)
    assert run(*words[:4], "--credential", "experts").exit_code == 2
    assert "say how the raters consented" in str(run("import", "ls.json").exception)


def relabelled(data: SnapshotData, names: dict[str, str]) -> SnapshotData:
    """Return a snapshot whose raters bear other pseudonyms."""
    judgments = [row | {"rater": names[row["rater"]]} for row in data.judgments]
    raters = [row | {"rater": names[row["rater"]]} for row in data.raters]
    raters.sort(key=lambda row: row["rater"])
    return data._replace(judgments=judgments, raters=raters)


@pytest.mark.parametrize(
    ("mode", "ending", "careless", "changes"),
    [("single", "csv", 1, {"n_scenarios": 5}), ("pair", "jsonl", 0, {"n_scenarios": 3})],
)
def test_what_was_exported_and_imported_again_is_analysed_the_same(
    folder: Path, mode: str, ending: str, careless: int, changes: dict[str, int]
) -> None:
    original = simulated(folder / "old", mode=mode, n_raters=4, careless=careless, **changes)
    (snapshot,) = (folder / "old" / "snapshots").iterdir()
    assert run("export", str(snapshot), f"all.{ending}").exit_code == 0
    exported = Path(f"all.{ending}")  # the simulation's clock runs ahead of ours: into the past
    text = re.sub(r"\b1800(\d{9})\b", r"1700\1", exported.read_text("utf-8"))
    exported.write_text(text, "utf-8")
    database = open_database("judging/judging.db")
    with database.writing() as session:
        new_study(
            session,
            name="again",
            arms=ARMS,
            mode=mode,
            quality=original.study["spec"]["quality"],
            **changes,
        )
    database.close()
    words = ("import", f"all.{ending}", "--study", "again", "--consent-version", "1", "--json")
    done = run(*words)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["n_imported"] == len(original.judgments)
    frozen = json.loads(run("freeze", "--study", "again", "--json").stdout)
    imported = read_snapshot(Path(frozen["folder"]))
    # the raters' new pseudonyms are the one thing that differs
    database = open_database("judging/judging.db")
    with database.reading() as session:
        names = dict(
            session.execute(
                select(RaterIdentity.name, Rater.public_id).join(
                    Rater, Rater.id == RaterIdentity.rater_id
                )
            ).all()
        )
    database.close()
    expected = relabelled(original, names)
    assert imported.judgments == [
        row | {"submitted_ms": row["submitted_ms"] - 100_000_000_000} for row in expected.judgments
    ]
    assert imported.raters == [row | {"is_imported": True} for row in expected.raters]
    assert imported.references == expected.references
    if mode == "pair":
        return  # the analysis follows from these rows, and that of pairs takes a minute
    before, after = analyse(expected, digest="-"), analyse(imported, digest="-")
    assert {one.rule for one in after.exclusions} >= {"min_median_s"}  # the careless one
    assert (before.n_raters_imported, after.n_raters_imported) == (0, after.n_raters)
    for language, words in (("en", "were imported; whether they knew"), ("zh", "由研究者导入")):
        assert words in study_markdown(after, language=language)
        assert words not in study_markdown(before, language=language)
    assert "without knowing" not in study_markdown(after, language="en")
    # the registered digest differs, as it should
    same = replace(after, study=before.study, n_raters_imported=0)
    assert json.dumps(analysis_record(same)) == json.dumps(analysis_record(before))


def test_a_rater_is_left_out_by_hand(folder: Path) -> None:
    Path("j.csv").write_text(as_csv([table_row()]), "utf-8")
    assert run("import", "j.csv", "--consent-version", "1").exit_code == 0
    (row,) = json.loads(run("status", "--json").stdout)["raters"]
    short = row["pseudonym"][:8]
    done = run("exclude", short, "--reason", "technical_fault")
    assert done.exit_code == 0 and "is left out: technical_fault" in done.stdout
    (row,) = json.loads(run("status", "--json").stdout)["raters"]
    assert (row["status"], row["exclusions"]) == ("excluded", ["by_hand:technical_fault"])
    assert "already" in str(run("exclude", short, "--reason", "technical_fault").exception)
    assert "Did you mean 'not_eligible'?" in str(
        run("exclude", short, "--reason", "not_eligable").exception
    )
    assert run("exclude", short).exit_code == 2
    assert "counts again" in run("exclude", short, "--take-back").stdout
    for wrong, n in ((short[:7], 1), ("%" * 8, 0), ("_" * 8, 0)):
        message = str(run("exclude", wrong, "--take-back").exception)
        assert message == f"{wrong}: {n} raters; give 8 characters or more of one pseudonym"
