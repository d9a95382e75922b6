"""The sample results, built once, and importable by the tests beside it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from sample_results import sample_results, with_advice

from qingting.report.html import render_html
from qingting.report.results import Results


@pytest.fixture(scope="session")
def results() -> Results:
    return with_advice(sample_results())


@pytest.fixture(scope="session")
def results_with_failure() -> Results:
    return with_advice(sample_results(with_failure=True))


@pytest.fixture(scope="session")
def page(results: Results) -> str:
    return render_html(results)


@pytest.fixture(scope="session")
def page_with_failure(results_with_failure: Results) -> str:
    return render_html(results_with_failure)
