"""Reading an experiment file: YAML 1.2, every problem at once, with file, line and key path."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from qingting.core.errors import NotFoundError, Problem, SpecificationError, did_you_mean
from qingting.spec.experiment import Experiment, expand_shorthand, merged_recipe_json
from qingting.spec.recipe import Recipe

KeyPath = tuple[str | int, ...]
ModelT = TypeVar("ModelT", bound=BaseModel)


class Source(NamedTuple):
    """A parsed file: plain values, and the 1-based line of every key path."""

    file: str
    values: Any
    lines: Mapping[KeyPath, int]


def load_experiment(path: Path, *, overrides: Sequence[str] = ()) -> Experiment:
    """Return the experiment in a YAML file, with ``key.path=value`` overrides applied.

    Raises:
        NotFoundError: there is no such file.
        SpecificationError: everything that is wrong with it, at once.
    """
    source = read_yaml(path)
    if not isinstance(source.values, dict):
        raise SpecificationError(
            f"{path}: an experiment is a mapping of keys; this file holds none"
        )
    problems: list[Problem] = []
    for override in overrides:
        problems += _override(source.values, override)
    if problems:
        raise SpecificationError(problems)
    return parse_experiment(source)


def read_yaml(path: Path) -> Source:
    """Return a YAML 1.2 file as plain values with line numbers; duplicate keys are refused."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        known = [p.name for p in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        raise NotFoundError(f"{path}: no such file.{did_you_mean(path.name, known)}") from None
    except IsADirectoryError:
        raise SpecificationError(f"{path}: a folder, where an experiment file is needed") from None
    except UnicodeDecodeError as error:
        raise SpecificationError(f"{path}: not UTF-8 text ({error.reason})") from None
    yaml = YAML(typ="rt", pure=True)
    yaml.allow_duplicate_keys = False
    try:
        tree = yaml.load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        line = f":{mark.line + 1}" if mark else ""
        what = (error.problem or "not YAML").splitlines()[0]
        raise SpecificationError(f"{path}{line}: {what}") from None
    except YAMLError as error:
        raise SpecificationError(f"{path}: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise SpecificationError(f"{path}: nested too deeply for an experiment") from None
    lines: dict[KeyPath, int] = {}
    return Source(str(path), _plain(tree, (), lines), lines)


def _plain(node: Any, at: KeyPath, lines: dict[KeyPath, int]) -> Any:
    if isinstance(node, Mapping):
        plain = {}
        for key, value in node.items():
            name = str(key)
            position = getattr(node, "lc", None)
            if position is not None and position.data and key in position.data:
                lines[(*at, name)] = position.data[key][0] + 1
            plain[name] = _plain(value, (*at, name), lines)
        return plain
    if isinstance(node, list | tuple):
        position = getattr(node, "lc", None)
        for index in range(len(node)):
            if position is not None and position.data and index in position.data:
                lines[(*at, index)] = position.data[index][0] + 1
        return [_plain(item, (*at, i), lines) for i, item in enumerate(node)]
    if isinstance(node, bool) or node is None:
        return node
    for kind in (int, float, str):  # ruamel's round-trip scalars are subclasses
        if isinstance(node, kind):
            return kind(node)
    return str(node)  # a date or timestamp: text to us


def parse_experiment(source: Source) -> Experiment:
    """Return the experiment in parsed YAML.

    Raises:
        SpecificationError: every problem, each with file, line and key path.
    """
    problems: list[Problem] = []
    experiment: Experiment | None = None
    try:
        experiment = Experiment.model_validate_json(_to_json(source))
    except ValidationError as error:
        problems += _problems_of(error, Experiment, source, prefix=())
    problems += _recipe_problems(source, experiment)
    if problems or experiment is None:
        raise SpecificationError(sorted(set(problems), key=lambda p: _line_of(p.place)))
    return experiment


def validated(source: Source, model: type[ModelT]) -> ModelT:
    """Return parsed YAML as another strict model, such as a rule; every problem at once.

    Raises:
        SpecificationError: every problem, each with file, line and key path.
    """
    if not isinstance(source.values, dict):
        raise SpecificationError(f"{source.file}: expected a mapping of keys; this file holds none")
    try:
        text = json.dumps(source.values, allow_nan=False)
    except ValueError:
        raise SpecificationError(f"{source.file}: .nan and .inf are no numbers here") from None
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        problems = _problems_of(error, model, source, prefix=())
        raise SpecificationError(sorted(set(problems), key=lambda p: _line_of(p.place))) from None


def _to_json(source: Source) -> str:
    try:
        return json.dumps(expand_shorthand(source.values), allow_nan=False)
    except ValueError:
        raise SpecificationError(
            f"{source.file}: .nan and .inf are no numbers an experiment can use"
        ) from None


def _line_of(place: str) -> tuple[int, str]:
    head = place.split(" ")[0].rsplit(":", 1)
    return (int(head[1]) if len(head) == 2 and head[1].isdigit() else 0, place)


def _recipe_problems(source: Source, experiment: Experiment | None) -> Iterator[Problem]:
    """Yield what is wrong with the models' own deviations from the recipe."""
    common = experiment.recipe if experiment is not None else Recipe()
    models = source.values.get("models")
    for index, model in enumerate(models if isinstance(models, list) else []):
        deviations = model.get("recipe") if isinstance(model, dict) else None
        if not isinstance(deviations, dict):
            continue
        try:
            Recipe.model_validate_json(merged_recipe_json(common, deviations))
        except ValidationError as error:
            yield from _problems_of(error, Recipe, source, prefix=("models", index, "recipe"))


def _problems_of(
    error: ValidationError, model: type[BaseModel], source: Source, *, prefix: KeyPath
) -> list[Problem]:
    problems = []
    details = error.errors(include_url=False)
    for detail in details:
        if detail["type"] == "too_short" and detail["input"] and _has_wrong_items(detail, details):
            continue  # each of them is told by itself
        at = (*prefix, *_real_path(detail["loc"], source.values, prefix))
        message = _plain_words(detail)
        if detail["type"] == "extra_forbidden":
            known = _fields_at(model, detail["loc"][:-1])
            message = (
                f"unknown key {detail['loc'][-1]!r}.{did_you_mean(str(detail['loc'][-1]), known)}"
            )
            if "Did you mean" not in message:
                message += f" Known here: {', '.join(known)}."
        elif detail["type"] == "missing":
            message = "this key is required"
        elif detail["type"] not in ("value_error",) and not isinstance(
            detail["input"], dict | list
        ):
            message += f" (got {detail['input']!r})"
        problems.append(Problem(place(source, at), message))
    return problems


def _has_wrong_items(detail: Any, details: Sequence[Any]) -> bool:
    """Return whether items of a list that seems too short are themselves told to be wrong."""
    at = detail["loc"]
    return any(len(one["loc"]) > len(at) and one["loc"][: len(at)] == at for one in details)


def _plain_words(detail: Any) -> str:
    """Return the message without the validator's own vocabulary."""
    message: str = detail["msg"].removeprefix("Value error, ")
    kind = detail["type"]
    if kind in _IN_PLAIN_WORDS:
        return _IN_PLAIN_WORDS[kind]
    if kind == "too_short":
        least, n = detail["ctx"]["min_length"], detail["ctx"]["actual_length"]
        return "this list must not be empty" if least == 1 else f"needs {least} entries, has {n}"
    return message.replace("Input should be", "must be", 1)


_IN_PLAIN_WORDS = {
    "list_type": "must be a list, such as [a, b]",
    "tuple_type": "must be a list, such as [a, b]",
    "model_type": "must be a mapping of keys",
    "model_attributes_type": "must be a mapping of keys",
    "dict_type": "must be a mapping of keys",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "string_type": "must be text",
}


def place(source: Source, at: KeyPath) -> str:
    """Return ``file:line key.path`` for a key path, with the nearest line that is known."""
    known = at
    while known and known not in source.lines:
        known = known[:-1]
    line = f":{source.lines[known]}" if known in source.lines else ""
    dotted = ".".join(str(part) for part in at)
    return f"{source.file}{line} {dotted}".strip()


def _real_path(loc: KeyPath, values: Any, prefix: KeyPath) -> KeyPath:
    """Drop pydantic's names of union members: they stand in no file."""
    for part in prefix:
        values = values[part]
    path: list[str | int] = []
    for position, part in enumerate(loc):
        last = position == len(loc) - 1
        if isinstance(values, dict) and (part in values or last):
            path.append(part)
            values = values.get(str(part))
        elif isinstance(values, list) and isinstance(part, int) and part < len(values):
            path.append(part)
            values = values[part]
    return tuple(path)


def _fields_at(model: type[BaseModel], loc: KeyPath) -> list[str]:
    """Return the keys known at a place of the schema."""
    current: type[BaseModel] = model
    for part in loc:
        field = current.model_fields.get(str(part)) if not isinstance(part, int) else None
        if field is None:
            continue
        inner = _model_in(field.annotation)
        if inner is not None:
            current = inner
    return list(current.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in get_args(annotation):
        found = _model_in(argument)
        if found is not None:
            return found
    return None


def _override(values: dict[str, Any], override: str) -> list[Problem]:
    """Apply one ``key.path=value``; the value is read as YAML."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    name, equals, text = override.partition("=")
    keys = name.split(".")
    if not equals or not all(keys):
        return [Problem(f"--set {override}", "write it as key.path=value")]
    try:
        value = YAML(typ="safe", pure=True).load(text) if text else None
    except YAMLError as error:
        return [
            Problem(f"--set {override}", f"the value is not YAML: {str(error).splitlines()[0]}")
        ]
    target: Any = values
    for depth, key in enumerate(keys):
        last = depth == len(keys) - 1
        if isinstance(target, list):
            if not key.isdigit() or int(key) >= len(target):
                return [
                    Problem(
                        f"--set {override}",
                        f"{'.'.join(keys[:depth])} has no entry {key!r}; "
                        f"it has {len(target)}, counted from 0",
                    )
                ]
            index: Any = int(key)
        else:
            index = key
        if last:
            target[index] = value
            return []
        if isinstance(target, list) and isinstance(target[index], str):
            target[index] = {"model": target[index]}
        if isinstance(target, dict) and target.get(index) is None:
            target[index] = {}
        target = target[index]
        if not isinstance(target, dict | list):
            return [Problem(f"--set {override}", f"{'.'.join(keys[: depth + 1])} is a plain value")]
    return []
