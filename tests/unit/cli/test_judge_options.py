"""Where the study of a run lives, and where snapshots go."""

from pathlib import Path

import pytest

from qingting.cli.judge_options import DATABASE_VARIABLE, place_of_run, snapshots_folder

WORK = Path("runs/autumn study")


@pytest.fixture(autouse=True)
def no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DATABASE_VARIABLE, raising=False)


def test_a_study_lives_in_the_work_folder() -> None:
    place = place_of_run(WORK, None)
    assert place.database == "runs/autumn study/judging.db"
    assert place.option == "--database 'runs/autumn study/judging.db'"
    assert place.snapshots == WORK / "snapshots"


def test_the_variable_is_found_without_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATABASE_VARIABLE, "postgresql://lin:secret@clinic/studies")
    place = place_of_run(WORK, None)
    assert place.database == "postgresql://lin:secret@clinic/studies"
    assert (place.option, place.snapshots) == ("", WORK / "snapshots")
    assert place_of_run(WORK, "mine.db").option == "--database mine.db"


def test_a_password_is_never_shown() -> None:
    place = place_of_run(WORK, "postgresql://lin:secret@clinic/studies")
    assert "secret" not in place.option + place.shown + repr(place)
    assert "lin" in place.option


def test_snapshots_stand_beside_the_database() -> None:
    assert snapshots_folder(None, None) == Path("judging/snapshots")
    assert snapshots_folder(None, "runs/x/judging.db") == Path("runs/x/snapshots")
    assert snapshots_folder(None, "postgresql://h/s") == Path("judging/snapshots")
    assert snapshots_folder(Path("out"), "runs/x/judging.db") == Path("out")
