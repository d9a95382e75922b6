"""What the fork server imports once is left out of every job's collections of garbage."""

from __future__ import annotations

import subprocess
import sys


def test_what_imports_made_is_never_collected_and_collection_goes_on() -> None:
    code = (
        "import gc; from qingting.engines.native.warm import warm; warm(); "
        "print(gc.get_freeze_count(), gc.isenabled())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    n_frozen, is_enabled = done.stdout.split()
    assert int(n_frozen) > 100_000
    assert is_enabled == "True"
