"""A clock inside ``swift sft``: what training itself costs, start-up left out; a plugin for ms-swift.

``--external_plugins swift_clock.py --callbacks clock`` writes ``clock.json`` into the output folder:
wall and CPU seconds from the first step to the last, and the tokens of every dialogue.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from swift.callbacks import callbacks_map
from swift.callbacks.base import TrainerCallback


class Clock(TrainerCallback):  # type: ignore[misc]
    """Reads the clocks when training begins and when it ends."""

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Start."""
        self._begun = time.perf_counter(), time.process_time()

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Stop, and write what was read."""
        wall_s, cpu_s = time.perf_counter() - self._begun[0], time.process_time() - self._begun[1]
        lengths = self.trainer.train_dataset.dataset["lengths"]
        n_tokens = [max(n) if isinstance(n, list) else n for n in lengths]
        record = {"wall_s": wall_s, "cpu_s": cpu_s, "n_tokens_dialogues": n_tokens}
        (Path(self.args.output_dir) / "clock.json").write_text(json.dumps(record))


callbacks_map["clock"] = Clock
