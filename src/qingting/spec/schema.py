"""The experiment file's JSON schema, for editors."""

from __future__ import annotations

from typing import Any

from qingting.spec.experiment import Experiment


def experiment_schema() -> dict[str, Any]:
    """Return the JSON schema (2020-12) of an experiment file; shorthand forms included."""
    schema = Experiment.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Qingting experiment"
    models = schema["properties"]["models"]
    models["items"] = {"anyOf": [{"type": "string"}, models["items"]]}
    train = schema["$defs"]["DataSpec"]["properties"]["train"]
    schema["$defs"]["DataSpec"]["properties"]["train"] = {
        "anyOf": [
            {"type": "string"},
            {k: v for k, v in train.items() if k not in ("default", "description")},
        ],
        **{k: v for k, v in train.items() if k in ("default", "description")},
    }
    recipe = Experiment.model_json_schema()["$defs"]["Recipe"]["properties"]
    schema["$defs"]["ModelSpec"]["properties"]["recipe"]["properties"] = recipe
    schema["$defs"]["ModelSpec"]["properties"]["recipe"]["additionalProperties"] = False
    return schema
