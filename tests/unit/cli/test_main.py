import sys

import pytest

from qingting.cli.main import main


@pytest.fixture
def command(monkeypatch, capsys):
    def run(*words):
        monkeypatch.setattr(sys, "argv", ["qingting", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, capsys.readouterr().err

    return run


def test_a_file_in_place_of_a_folder_is_one_line(command, tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("mine")
    spec = tmp_path / "spec.yaml"
    assert command("init", spec)[0] == 0
    for words in (
        ("init", taken / "spec.yaml"),
        ("plan", taken / "spec.yaml"),
        ("plan", spec, "--work", taken),
        ("plan", spec, "--work", taken / "work"),
        ("data", "split", spec, taken, "--test", "1"),
    ):
        code, complaint = command(*words)
        assert code == 1
        assert complaint.startswith("qingting: ") and complaint.count("\n") == 1
    assert taken.read_text() == "mine"


def test_a_folder_in_place_of_a_file_is_one_line(command, tmp_path):
    code, complaint = command("init", tmp_path, "--force")
    assert code == 1
    assert complaint == f"qingting: {tmp_path}: a folder stands here; name a file\n"
