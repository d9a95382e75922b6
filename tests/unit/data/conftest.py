import json

import pytest

from qingting.data.check import check
from qingting.data.reading import read_records


@pytest.fixture
def write(tmp_path):
    """Write bytes, text or JSON under a name that says nothing about the content."""

    def write_one(content, name="data.bin"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not isinstance(content, str | bytes):
            content = json.dumps(content, ensure_ascii=False)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_one


@pytest.fixture
def checked(write):
    """Return the report on some content."""
    return lambda content: check(write(content))


@pytest.fixture
def read(write):
    """Return the records of some content."""
    return lambda content: list(read_records(write(content)))


@pytest.fixture
def turns(read):
    """Return, for some content, the turns of each dialogue as (role, words)."""

    def of(content):
        return [[(turn.role, turn.content) for turn in record.turns] for record in read(content)]

    return of


@pytest.fixture
def defects(checked):
    """Return the defects of some content that were counted, by name."""

    def of(content):
        found = checked(content).to_record()["defects"]
        return {name: count for name, count in found.items() if count}

    return of
