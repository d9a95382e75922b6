"""Fixtures of the end-to-end tests."""

import pytest

from e2e.running import SMALL, Run


@pytest.fixture(scope="session")
def small_spec(tmp_path_factory):
    path = tmp_path_factory.mktemp("spec") / "small.yaml"
    path.write_text(SMALL, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def finished(small_spec, tmp_path_factory):
    """The work folder of a run that nothing disturbed."""
    work = tmp_path_factory.mktemp("finished") / "work"
    status, _, err = Run(small_spec, work).finish()
    assert status == 0, err
    return work
