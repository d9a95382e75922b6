"""Record what the source of every stage looks like, so that no change keeps an old version.

A stage's cached results are found by its version among other things. When the code that computes
them changes, the version in ``qingting/stages/base.py`` has to rise; this script notes the source
of each version in ``tests/unit/stages/sources.json``, and refuses to note a changed source under
an old version. ``tests/unit/stages/test_versions.py`` compares.
"""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "qingting"
RECORD = ROOT / "tests" / "unit" / "stages" / "sources.json"

COUNTED = (
    "stages",
    "engines/native",
    "engines/protocol.py",  # the limits of proofs are defaults there
    "data",
    "metrics",
    "stats",
    "report",
    "judging",
    "models/chat.py",
    "models/segment_encoders.py",
    "models/templates.py",
)
"""Where code stands that makes results; the rest moves them about."""
NOT_COUNTED = ("stages/base.py",)
JOBS = {
    kind: f"engines/native/{module}.py"
    for kind, module in {
        "measure": "measuring",
        "train": "training",
        "export": "export",
        "generate": "generation",
        "score": "scoring",
        "predict": "predicting",
        "benchmark": "benchmark",
    }.items()
}


def digests() -> dict[str, str]:
    """Return, per kind of stage, a digest of all code that its result depends on."""
    kinds = sorted(path.stem for path in (SOURCE / "stages").glob("*.py") if path.stem != "base")
    return {kind: _digest(_closure(kind)) for kind in kinds if kind != "__init__"}


def _closure(kind: str) -> list[Path]:
    """Return the counted files that a stage's code reaches through imports."""
    pending = [SOURCE / "stages" / f"{kind}.py"]
    if kind in JOBS:
        pending.append(SOURCE / JOBS[kind])
    reached: set[Path] = set()
    while pending:
        path = pending.pop()
        if path not in reached and path.is_file():
            reached.add(path)
            pending += _imports(path)
    return sorted(path for path in reached if _counts(path))


def _counts(path: Path) -> bool:
    name = path.relative_to(SOURCE).as_posix()
    return name.startswith(COUNTED) and name not in NOT_COUNTED


def _imports(path: Path) -> list[Path]:
    found = []
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("qingting"):
            module = SOURCE.parent / Path(*str(node.module).split("."))
            found.append(module.with_suffix(".py"))
            found += [module / f"{alias.name}.py" for alias in node.names]
    return [file for file in found if file.is_file() and _counts(file)]


def _digest(paths: list[Path]) -> str:
    """Return a digest that blank lines and lines of comment do not change.

    Of the text and not of a syntax tree, whose form differs between versions of Python.
    """
    sha = hashlib.sha256()
    for path in paths:
        lines = (line.rstrip() for line in path.read_text(encoding="utf-8").splitlines())
        kept = [line for line in lines if line and not line.lstrip().startswith("#")]
        sha.update(path.relative_to(SOURCE).as_posix().encode())
        sha.update("\n".join(kept).encode())
    return sha.hexdigest()[:16]


def current() -> dict[str, dict[str, object]]:
    """Return version and digest of every stage as they are now."""
    from qingting.stages.base import VERSIONS

    return {
        kind: {"version": VERSIONS[kind], "source": digest} for kind, digest in digests().items()
    }


def main() -> int:
    """Write the record, unless a source changed under an unchanged version."""
    now = current()
    before = json.loads(RECORD.read_text()) if RECORD.is_file() else {}
    stale = [
        kind
        for kind, entry in now.items()
        if kind in before
        and before[kind]["version"] == entry["version"]
        and before[kind]["source"] != entry["source"]
    ]
    if stale and "--same-results" not in sys.argv[1:]:
        print(
            f"the source of {', '.join(stale)} changed: raise the version in "
            "src/qingting/stages/base.py, or say --same-results where no result can differ",
            file=sys.stderr,
        )
        return 1
    RECORD.write_text(json.dumps(now, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
