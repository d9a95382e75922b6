"""Write the reference pages that follow from the code: ``python scripts/generate_reference.py``.

``--check`` writes nothing and exits 1 where a page is out of date.
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from qingting.cli import main as command_line
from qingting.report import results
from qingting.spec.schema import experiment_schema

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference"
NOTICE = "<!-- Written by scripts/generate_reference.py; change the code, not this page. -->"

MEANINGS: Mapping[str, str] = {
    "Experiment.models": "The candidates. A bare name stands for `{model: NAME}`.",
    "Experiment.data": "What to train on and what to hold out.",
    "Experiment.recipe": "How every arm is trained.",
    "Experiment.evaluations": "What is measured; `null` leaves one out.",
    "Experiment.analysis": "How arms are contrasted.",
    "Experiment.report": "What the report shows.",
    "Experiment.resources": "Where to run and how wide.",
    "DataSpec.seed": "Decides the split, the sample and the prompts.",
    "TextEvaluation.n_prompts": "Held-out prompts that every arm answers.",
    "TextEvaluation.max_new_tokens": "An answer is cut after so many tokens.",
    "TextEvaluation.batch_size": "Prompts answered at a time.",
    "TextEvaluation.temperature": "0 takes the likeliest token each time (greedy).",
    "TextEvaluation.top_p": "Sample from the likeliest tokens that hold this share.",
    "TextEvaluation.repetition_penalty": "Above 1 makes repeating a token less likely.",
    "TextEvaluation.metrics": "Names as `qingting metrics score --metrics` takes them: bleu, "
    "rouge, meteor, meteor-stem, chrf, distinct, repetition, length.",
    "KnowledgeEvaluation.source": "A pack that ships, or a JSON Lines file of questions.",
    "KnowledgeEvaluation.language": "Ask questions of one language only.",
    "KnowledgeEvaluation.n_questions": "Ask a seeded sample of so many; all where null.",
    "KnowledgeEvaluation.methods": "Read the answer from option likelihoods, from the model's "
    "own words, or both.",
    "KnowledgeEvaluation.max_new_tokens": "Room for an answer in words.",
    "InferenceEvaluation.batch_sizes": "Prompts answered together, each size timed apart.",
    "InferenceEvaluation.n_new_tokens": "Tokens every answer is made to have.",
    "InferenceEvaluation.n_repeats": "Timed runs per batch size; medians are reported.",
    "Evaluations.text": "Compare answers with the reference counsellor's words.",
    "Evaluations.knowledge": "Ask multiple-choice questions.",
    "Evaluations.classification": "How held-out texts are sorted; for `task: classification`.",
    "ClassificationEvaluation.batch_size": "Texts sorted at a time.",
    "Evaluations.inference": "Time how arms answer, while nothing else runs.",
    "AnalysisSpec.confidence_level": "Of every interval; its complement is the level of the tests.",
    "AnalysisSpec.n_resamples": "Bootstrap resamples and random sign flips.",
    "AnalysisSpec.seed": "Of the resampling.",
    "ReportSpec.n_examples": "Prompts shown with the answers of all arms side by side.",
    "Resources.device": "`auto` takes a CUDA GPU where one is visible. Enters the key.",
    "Resources.n_workers": "Stages side by side; `auto`: one per core's worth of threads, one on "
    "a GPU.",
    "LoraRecipe.rank": "Width of the adapters.",
    "LoraRecipe.alpha": "Their strength: the update is scaled by alpha / rank.",
    "LoraRecipe.dropout": "Share of an adapter's inputs dropped in training.",
    "EarlyStopping.patience": "Validations without a gain before training stops.",
    "EarlyStopping.min_delta": "What counts as a gain, in nats per token.",
    "Recipe.method": "Adapters, adapters on a quantised base, or every weight. The native engine "
    "does lora and full.",
    "Recipe.lora": "The adapters; ignored by `full`.",
    "Recipe.learning_rate": "The highest one, reached after the warm-up.",
    "Recipe.schedule": "How the learning rate falls after the warm-up.",
    "Recipe.warmup_ratio": "Share of the steps in which the learning rate rises.",
    "Recipe.weight_decay": "Of AdamW.",
    "Recipe.max_gradient_norm": "Longer gradients are shortened to it.",
    "Recipe.epochs": "Times over the training dialogues; 1 where no length is given.",
    "Recipe.max_steps": "Number of optimiser steps.",
    "Recipe.token_budget": "Real tokens an arm trains on, averaged over the arms' tokenizers.",
    "Recipe.effective_batch": "Dialogues in one optimiser step.",
    "Recipe.micro_batch": "Rows in one forward pass; `auto`: 4 on CPU; on a GPU the largest power of "
    "two that is predicted to fit, at most 8 rows or 24,576 tokens. Halved when memory runs out.",
    "Recipe.max_length": "Tokens a dialogue may have under every tokenizer, and tokens of a "
    "packed row.",
    "Recipe.packing": "Put several dialogues of a step into one row; no attention crosses them.",
    "Recipe.gradient_checkpointing": "Compute activations twice to save memory; `auto`: on a GPU "
    "where 4,096 tokens would not fit without it.",
    "Recipe.precision": "`auto`: bf16 where the hardware multiplies it natively, else fp32.",
    "Recipe.attention": "Recorded with the run. The native engine keeps packed dialogues apart "
    "with attention of its own.",
    "Recipe.seeds": "Each seed makes one tuned arm per model.",
    "Recipe.log_every": "Steps between rows of the loss curve.",
    "Recipe.save_every": "Steps between checkpoints.",
    "Recipe.keep_checkpoints": "How many checkpoints stay on disk during training.",
    "Recipe.validate_every": "Steps between validations.",
    "Recipe.early_stopping": "Stop where validation no longer improves; then the best weights "
    "count. Off where null.",
}
"""What keys mean whose fields carry no description of their own."""


class Parameter(NamedTuple):
    """An argument or option of a command."""

    names: tuple[str, ...]
    kind: str
    default: str
    help: str
    is_option: bool


class Command(NamedTuple):
    """A command as the command line offers it."""

    path: tuple[str, ...]
    help: str
    parameters: tuple[Parameter, ...]

    @property
    def options(self) -> frozenset[str]:
        """Return every spelling of every option."""
        names = {name for p in self.parameters if p.is_option for name in p.names}
        return frozenset({*names, "--help", "-h"})


# -- the experiment file ----------------------------------------------------------------------------

_PLACES = (
    ("", "Experiment"),
    ("question", "Question"),
    ("models[]", "ModelSpec"),
    ("data", "DataSpec"),
    ("recipe", "Recipe"),
    ("recipe.lora", "LoraRecipe"),
    ("recipe.early_stopping", "EarlyStopping"),
    ("evaluations", "Evaluations"),
    ("evaluations.text", "TextEvaluation"),
    ("evaluations.knowledge", "KnowledgeEvaluation"),
    ("evaluations.inference", "InferenceEvaluation"),
    ("evaluations.classification", "ClassificationEvaluation"),
    ("analysis", "AnalysisSpec"),
    ("judging", "CampaignSpec"),
    ("judging.scenarios", "ScenarioChoice"),
    ("judging.quality", "QualitySpec"),
    ("judging.exclusion", "ExclusionSpec"),
    ("judging.conversation", "ConversationSpec"),
    ("report", "ReportSpec"),
    ("resources", "Resources"),
)

_EXPERIMENT_INTRO = """\
# The experiment file

One YAML 1.2 file states the question and all that is needed to answer it. `1e-4` is a number and
`no` is text. Unknown and duplicate keys are refused; every problem is reported at once, with file,
line and key. Paths are relative to the file that names them.

`qingting init` writes a commented example, `qingting schema` prints the JSON schema for editors,
and `--set key.path=value` changes one key of a run (`--set models.0.recipe.learning_rate=1e-4`;
entries of lists count from 0).
"""


def experiment_page() -> str:
    """Return the reference of every key of an experiment file."""
    schema = experiment_schema()
    parts = [NOTICE, _EXPERIMENT_INTRO]
    for place, name in _PLACES:
        definition = schema if name == "Experiment" else schema["$defs"][name]
        parts.append(f"## {f'`{place}`' if place else 'Top level'}\n")
        about = definition.get("description")
        if about:
            parts.append(_markdown(about) + "\n")
        rows = []
        for key, field in definition["properties"].items():
            required = key in definition.get("required", ())
            default = "required" if required else _default(field)
            meaning = field.get("description") or MEANINGS[f"{name}.{key}"]
            rows.append((_code(key), _type(field), default, _markdown(meaning)))
        parts.append(_table(("key", "type", "default", "meaning"), rows))
    return "\n".join(parts)


def _default(field: Mapping[str, Any]) -> str:
    if "default" not in field:
        return _code("{}")
    default = field["default"]
    if isinstance(default, dict):
        return "as there"
    return _code(json.dumps(default, ensure_ascii=False))


def _type(field: Mapping[str, Any]) -> str:
    """Return a JSON schema's type in words."""
    if "$ref" in field:
        name = field["$ref"].rsplit("/", 1)[-1]
        place = next((at for at, known in _PLACES if known == name), name)
        return f"[`{place}`](#{_anchor(place)})"
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(_type(one) for one in field["anyOf"]))
    if "enum" in field:
        return ", ".join(_code(value) for value in field["enum"])
    if "const" in field:
        return _code(field["const"])
    kind = field.get("type")
    if kind == "array":
        items = field.get("items")
        return f"list of {_type(items)}" if items else "list"
    names = {"string": "text", "boolean": "true or false", "object": "mapping", "null": "null"}
    bounds = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}
    limits = [
        f"{sign} {field[name]:g}"
        for name, sign in bounds.items()
        if name in field and abs(field[name]) < 2**53
    ]
    return " ".join([names.get(str(kind), str(kind)), " and ".join(limits)]).strip()


# -- results ----------------------------------------------------------------------------------------

_RESULTS_INTRO = """\
# results.json

Everything a run found, in one file with a version. `qingting schema results` prints its JSON
schema. Two parts are kept apart:

- `outcomes` are the same bytes however often the run was killed and started again, on the same
  kind of device with the same versions;
- `measurements` are time, memory, speed and all that follows from them; they differ from run to
  run.

A value that could not be had is `{"missing": "why"}`, never a number.
"""


def results_page() -> str:
    """Return the reference of results.json."""
    parts = [NOTICE, _RESULTS_INTRO]
    for model in _models_below(results.Results):
        parts.append(f"## {model.__name__}\n")
        if model.__doc__:
            parts.append(_markdown(inspect.cleandoc(model.__doc__)) + "\n")
        rows = [
            (
                _code(name),
                _annotation(field.annotation),
                _markdown(field.description or ""),
            )
            for name, field in model.model_fields.items()
        ]
        parts.append(_table(("key", "type", "meaning"), rows))
    return "\n".join(parts)


def _models_below(top: type[BaseModel]) -> list[type[BaseModel]]:
    """Return a model and all it holds, each once, in the order in which they are met."""
    found: dict[type[BaseModel], None] = {}

    def visit(annotation: Any) -> None:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            if annotation not in found:
                found[annotation] = None
                for field in annotation.model_fields.values():
                    visit(field.annotation)
            return
        for argument in get_args(annotation):
            visit(argument)

    visit(top)
    return list(found)


def _annotation(annotation: Any) -> str:
    """Return a Python annotation in words."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(_code(value) for value in arguments)
    if origin is tuple:
        inner = [_annotation(a) for a in arguments if a is not Ellipsis]
        return f"list of {inner[0]}" if Ellipsis in arguments else f"list of {', '.join(inner)}"
    if origin is dict:
        return f"mapping to {_annotation(arguments[1])}"
    if arguments:
        return " or ".join(_annotation(a) for a in arguments)
    names = {"str": "text", "float": "number", "int": "integer", "bool": "true or false"}
    name = getattr(annotation, "__name__", str(annotation))
    return {**names, "NoneType": "null", "Any": "any"}.get(name, name)


# -- the command line -------------------------------------------------------------------------------

_COMMAND_LINE_INTRO = """\
# The command line

`qingting <noun> <verb>`, and four commands that take an experiment file: `run`, `plan`, `init` and
`schema`. Results go to stdout, progress and complaints to stderr. `make install` puts the command
at `.venv/bin/qingting`.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | something failed: an arm, the data, the disk; finished stages are kept |
| 2 | wrong usage or a wrong experiment file; nothing was started |
| 130 | interrupted; run again to go on |

| environment variable | what it decides |
|---|---|
| `QINGTING_CACHE` | where `models fetch` keeps models; `~/.cache/qingting` by default |
| `HF_ENDPOINT`, `MODELSCOPE_ENDPOINT` | mirrors to fetch from |
| `HF_TOKEN`, `MODELSCOPE_API_TOKEN` | access tokens for models whose licence must be accepted |
| `HF_HOME`, `HF_HUB_CACHE` | where models fetched with `hf download` are looked for |
| `MODELSCOPE_CACHE` | where models fetched with `modelscope download` are looked for |
| `CUDA_VISIBLE_DEVICES` | which GPUs may be used; empty hides all |
"""


def command_line_page() -> str:
    """Return the reference of every command."""
    parts = [NOTICE, _COMMAND_LINE_INTRO]
    for command in commands():
        words = " ".join(("qingting", *command.path))
        arguments = [p for p in command.parameters if not p.is_option]
        placed = (p.names[0] if p.default == "required" else f"[{p.names[0]}]" for p in arguments)
        usage = " ".join([words, "[OPTIONS]", *placed])
        parts.append(f"## `{words}`\n\n{_markdown(command.help)}\n\n```text\n{usage}\n```\n")
        if command.parameters:
            rows = [
                (", ".join(_code(n) for n in p.names), p.kind, p.default, _markdown(p.help))
                for p in command.parameters
            ]
            parts.append(_table(("argument or option", "value", "default", "meaning"), rows))
    return "\n".join(parts)


def commands() -> list[Command]:
    """Return every command, read from the functions that the command line mounts."""
    app = command_line.app
    if not app.registered_commands:
        command_line._mount()
    return _commands_of(app, ())


def _commands_of(app: Any, noun: tuple[str, ...]) -> list[Command]:
    found = [_command(noun, one) for one in app.registered_commands]
    for group in app.registered_groups:
        assert group.typer_instance is not None
        found += _commands_of(group.typer_instance, (*noun, str(group.name)))
    return found


def _command(noun: tuple[str, ...], registered: Any) -> Command:
    function: Callable[..., Any] = registered.callback
    verb = registered.name or function.__name__.replace("_", "-")
    hints = get_type_hints(function, include_extras=True)
    parameters = tuple(
        _parameter(name, hints[name], parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
    )
    return Command((*noun, verb), inspect.cleandoc(function.__doc__ or ""), parameters)


def _parameter(name: str, hint: Any, default: Any) -> Parameter:
    annotation, info = get_args(hint)[0], get_args(hint)[1]
    is_option = type(info).__name__ == "OptionInfo"
    # in Annotated, typer takes the first spelling for the default and mends it later
    first = (info.default,) if isinstance(info.default, str) else ()
    declared = (*first, *(info.param_decls or ()))
    names = declared or (f"--{name.replace('_', '-')}",) if is_option else (name.upper(),)
    text = " ".join((info.help or "").split())
    shown = re.search(r"\s*\[default: (.*?)\]", text)
    if default is inspect.Parameter.empty:
        said = "required"
    elif shown:
        said = _code(shown[1])
    elif default is None or default is False:
        said = ""
    else:
        said = _code(default)
    kind = "" if annotation is bool else _code(info.metavar) if info.metavar else _kind(annotation)
    return Parameter(names, kind, said, re.sub(r"\s*\[default: .*?\]", "", text), is_option)


def _kind(annotation: Any) -> str:
    inner = [a for a in get_args(annotation) if a is not type(None)]
    if get_origin(annotation) is Literal:
        return ", ".join(_code(value) for value in get_args(annotation))
    if inner:
        return " or ".join(_kind(one) for one in inner)
    return {"Path": "path", "str": "text", "int": "integer", "float": "number"}.get(
        annotation.__name__, annotation.__name__
    )


# -- Markdown ---------------------------------------------------------------------------------------


def _code(value: object) -> str:
    return f"`{value}`"


def _markdown(text: str) -> str:
    """Return a docstring's text as Markdown."""
    text = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", text.replace("``", "`"))
    return text.strip()


def _anchor(place: str) -> str:
    return re.sub(r"[^\w\- ]", "", place.lower()).replace(" ", "-")


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    cells = ([" ".join(c.split()).replace("|", "\\|") for c in line] for line in lines)
    return "\n".join(f"| {' | '.join(row)} |" for row in cells) + "\n"


PAGES: Mapping[str, Callable[[], str]] = {
    "experiment-file.md": experiment_page,
    "command-line.md": command_line_page,
    "results.md": results_page,
}
"""Page → the function that writes it."""


def outdated() -> Iterator[str]:
    """Yield the pages whose text is not what the code says now."""
    for name, write in PAGES.items():
        path = REFERENCE / name
        if not path.is_file() or path.read_text(encoding="utf-8") != write():
            yield name


def main() -> int:
    """Write the pages, or check them."""
    parser = argparse.ArgumentParser(description="Write the reference pages from the code.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where stale")
    check = parser.parse_args().check
    stale = list(outdated())
    if check:
        print("\n".join(f"docs/reference/{name} is out of date" for name in stale))
        return 1 if stale else 0
    REFERENCE.mkdir(parents=True, exist_ok=True)
    for name in stale:
        (REFERENCE / name).write_text(PAGES[name](), encoding="utf-8")
        print(f"wrote docs/reference/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
