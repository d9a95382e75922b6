"""The files that hold the analysis of a study: words in both languages, a page, every figure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qingting.core.errors import StoreError
from qingting.judging.analysis import StudyAnalysis, analyse
from qingting.judging.snapshot import digest_in, read_snapshot
from qingting.report.file_names import FIGURES, NAMES, PAGE, WORDS, WORDS_ZH
from qingting.report.judging_words import study_html, study_markdown
from qingting.store.atomic import write_bytes


def analysis_files(result: StudyAnalysis) -> Mapping[str, bytes]:
    """Return the files by name; equal analyses give equal bytes."""
    en, zh = (study_markdown(result, language=language) for language in ("en", "zh"))
    figures = json.dumps(analysis_record(result), ensure_ascii=False, indent=2) + "\n"
    return {
        WORDS: en.encode(),
        WORDS_ZH: zh.encode(),
        PAGE: study_html(result).encode(),
        FIGURES: figures.encode(),
    }


def write_analysis(snapshot: Path, out: Path, *, seed: int, force: bool) -> StudyAnalysis:
    """Write the analysis of a snapshot into a folder, and return it.

    Raises:
        StoreError: one of the files exists and ``force`` is not set.
    """
    taken = [name for name in NAMES if (out / name).exists()]
    if taken and not force:
        raise StoreError(f"{out / taken[0]} exists; overwrite it with --force")
    result = analyse(read_snapshot(snapshot), digest=digest_in(snapshot), seed=seed)
    for name, content in analysis_files(result).items():
        write_bytes(out / name, content)
    return result


def analysis_record(value: Any) -> Any:
    """Return a result as JSON values; what is missing says why."""
    if hasattr(value, "to_record"):
        return analysis_record(value.to_record())
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: analysis_record(getattr(value, one.name)) for one in fields(value)}
    if hasattr(value, "_asdict"):
        return analysis_record(value._asdict())
    if isinstance(value, dict) or hasattr(value, "items"):
        return {str(key): analysis_record(one) for key, one in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list | tuple):
        return [analysis_record(one) for one in value]
    return value
