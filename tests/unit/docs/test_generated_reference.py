"""The reference pages say what the code says."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[3]

spec = importlib.util.spec_from_file_location("reference", ROOT / "scripts/generate_reference.py")
assert spec is not None
assert spec.loader is not None
reference = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reference)


def test_generated_pages_are_up_to_date():
    stale = list(reference.outdated())
    assert not stale, f"run python scripts/generate_reference.py: {', '.join(stale)}"


def test_every_explanation_belongs_to_a_key_without_one():
    """A key that got a description of its own, or went, needs no entry in the script."""
    schema = reference.experiment_schema()
    definitions = {"Experiment": schema, **schema["$defs"]}
    undescribed = {
        f"{name}.{key}"
        for name, definition in definitions.items()
        for key, field in definition["properties"].items()
        if "description" not in field
    }
    assert set(reference.MEANINGS) == undescribed
