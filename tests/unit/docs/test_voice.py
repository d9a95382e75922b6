"""What is committed speaks of the project, not of the machine it was written on."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TEXT = {
    *(".py", ".md", ".yaml", ".yml", ".toml", ".txt", ".html", ".css", ".jinja", ".cfg", ".sh"),
    *("", ".jsonl", ".in"),
}
HOSTS = ("pypi.org", "pythonhosted", "download.pytorch", "hf-mirror", "tuna.tsinghua", "aliyun")
FORBIDDEN = {
    "a path of one machine": re.compile(r"(?<![\w.~})])/(?:work|root|home/\w+)/\w"),
    "a package registry": re.compile("|".join(map(re.escape, HOSTS))),
    "an unfinished thought": re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b"),
}


@pytest.fixture(scope="module")
def texts():
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout: which files are tracked is not known")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    paths = [ROOT / name for name in listed.split("\0") if name]
    return {
        path: path.read_text(encoding="utf-8")
        for path in paths
        if path.suffix in TEXT and path.is_file() and path != Path(__file__)
    }


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_tracked_text_holds(what, texts):
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path, text in texts.items()
        for match in FORBIDDEN[what].finditer(text)
    ]
    assert not found, f"{what}: {'; '.join(found[:10])}"
