"""The page about data formats shows what is read, and leaves nothing out."""

import re
from pathlib import Path

import pytest

from qingting.data.formats import Format
from qingting.data.records import Defect
from qingting.data.repair import Repair
from qingting.data.roles import role_of

PAGE = (Path(__file__).parents[3] / "docs/reference/data-formats.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^### `(\w+)`\n.*?^```\w+\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_every_form_has_an_example():
    assert {name for name, _ in EXAMPLES} == set(Format)


@pytest.mark.parametrize(("name", "text"), EXAMPLES)
def test_every_example_is_read_as_its_form(name, text, checked):
    report = checked(text)
    assert report.format == name
    assert report.n_dialogues == 1
    assert report.n_strictly_valid == (name != Format.PREFERENCE)


@pytest.mark.parametrize("name", [*Defect, *Repair])
def test_every_defect_and_repair_is_explained(name):
    assert f"| `{name}` |" in PAGE


@pytest.mark.parametrize(("who", "role"), [("client", "user"), ("counsellor", "assistant")])
def test_every_name_that_is_shown_is_known(who, role):
    [row] = re.findall(rf"^\| {who} \| (`.*) … \|$", PAGE, re.MULTILINE)
    assert {role_of(name) for name in re.findall(r"`([^`]+)`", row)} == {role}
