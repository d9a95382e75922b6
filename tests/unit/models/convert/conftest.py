"""Makes the synthetic checkpoints importable, and keeps one thread."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

from transformers.utils import logging as transformers_logging


@pytest.fixture(scope="session", autouse=True)
def _one_quiet_thread() -> None:
    torch.set_num_threads(1)
    transformers_logging.disable_progress_bar()
