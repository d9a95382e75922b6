"""Which function does which kind of job; a plain table, so that nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

JOBS: Mapping[str, str] = MappingProxyType(
    {
        "measure": "qingting.engines.native.measuring:measure",
        "train": "qingting.engines.native.training:train",
        "export": "qingting.engines.native.export:export",
        "generate": "qingting.engines.native.generation:generate",
        "score": "qingting.engines.native.scoring:score",
        "predict": "qingting.engines.native.predicting:predict",
        "benchmark": "qingting.engines.native.benchmark:benchmark",
    }
)
