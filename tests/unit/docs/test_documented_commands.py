"""Every command in the documentation exists; those marked ``<!-- run -->`` are run."""

import importlib.util
import json
import os
import re
import shlex
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from qingting.cli.main import app

ROOT = Path(__file__).parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(
    r"(?P<mark><!-- run -->\n+)?^```(?:sh|bash|console|shell)\n(?P<text>.*?)^```",
    re.MULTILINE | re.DOTALL,
)

spec = importlib.util.spec_from_file_location("reference", ROOT / "scripts/generate_reference.py")
assert spec is not None
assert spec.loader is not None
reference = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reference)
COMMANDS = {command.path: command for command in reference.commands()}


class Documented(NamedTuple):
    page: str
    words: tuple[str, ...]
    output: str | None
    is_run: bool


def commands_on(page: Path) -> list[Documented]:
    found = []
    for block in FENCE.finditer(page.read_text(encoding="utf-8")):
        text = block["text"].replace("\\\n", " ")
        for line in text.splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words.pop(0)
            if not words or words[0].rsplit("/", 1)[-1] not in ("qingting", "make"):
                continue
            output = None
            if ">" in words:
                output = words[words.index(">") + 1]
                words = words[: words.index(">")]
            if "|" in words:
                words = words[: words.index("|")]
            name = str(page.relative_to(ROOT))
            found.append(Documented(name, tuple(words), output, block["mark"] is not None))
    return found


DOCUMENTED = [command for page in PAGES for command in commands_on(page)]


def shown(command: Documented) -> str:
    return f"{command.page}: {' '.join(command.words)}"


@pytest.mark.parametrize(
    "command", [c for c in DOCUMENTED if c.words[0].endswith("qingting")], ids=shown
)
def test_a_documented_command_and_its_options_exist(command):
    words = [word for word in command.words[1:] if word not in ("--version", "--help")]
    if not words:
        return
    path = next((tuple(words[:n]) for n in (3, 2, 1) if tuple(words[:n]) in COMMANDS), None)
    assert path is not None, f"there is no such command: {shown(command)}"
    given = {word.split("=", 1)[0] for word in words[len(path) :] if re.match(r"--?[a-z]", word)}
    unknown = given - COMMANDS[path].options
    assert not unknown, f"{shown(command)}: no option {', '.join(sorted(unknown))}"


@pytest.mark.parametrize("path", sorted(COMMANDS), ids=" ".join)
def test_every_command_gives_help_with_the_options_that_the_reference_names(path):
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, [*path, "--help"])
    assert result.exit_code == 0, result.output
    for name in COMMANDS[path].options:
        assert name in result.output


@pytest.mark.parametrize("command", [c for c in DOCUMENTED if c.words[0] == "make"], ids=shown)
def test_a_documented_make_target_exists(command):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    asked = {word for word in command.words[1:] if not re.fullmatch(r"[A-Z_]+=.*", word)}
    assert asked <= targets


TURNS = [
    ("最近总是睡不好。", "愿意多说一点吗，从什么时候开始的？"),
    ("我和妈妈又吵架了。", "听起来你很委屈。那时你最想让她知道什么？"),
    ("下周要考试，心慌得很。", "心慌的时候，身体哪里最先有感觉？"),
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a folder with the small files that documented commands name, as the current one."""
    monkeypatch.chdir(tmp_path)
    dialogues = [
        {
            "conversations": [
                {"from": "human", "value": client},
                {"from": "gpt", "value": counsellor},
            ]
        }
        for client, counsellor in TURNS
    ]
    Path("my-dialogues.json").write_text(json.dumps(dialogues, ensure_ascii=False), "utf-8")
    answers = [{"response": reply, "reference": reply} for _, reply in TURNS]
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in answers)
    Path("answers.jsonl").write_text(lines, "utf-8")
    os.symlink(ROOT / "examples", "examples")
    return tmp_path


@pytest.mark.parametrize("page", sorted({c.page for c in DOCUMENTED if c.is_run}))
def test_commands_marked_to_be_run_do_run(page, folder):
    for command in (c for c in DOCUMENTED if c.page == page and c.is_run):
        assert command.words[0].endswith("qingting"), "only qingting is cheap enough to be run"
        result = CliRunner().invoke(app, command.words[1:])
        assert result.exit_code == 0, f"{shown(command)}: {result.output}{result.exception!r}"
        if command.output is not None:
            Path(command.output).write_text(result.stdout, encoding="utf-8")


def test_the_documentation_shows_commands_and_runs_some():
    assert len(DOCUMENTED) > 20
    assert sum(command.is_run for command in DOCUMENTED) >= 5
