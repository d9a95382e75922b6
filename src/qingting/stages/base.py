"""What a stage is: a kind, a version, what it reads, what changes its result, and how it runs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import orjson

from qingting.core.errors import DataError
from qingting.engines.launch import JobOutcome
from qingting.engines.protocol import AnyJob, Emit
from qingting.spec.experiment import Task
from qingting.store.artifacts import Artifact

STAGES = MappingProxyType(
    {
        "prepare_data": "qingting.stages.prepare_data:run",
        "prepare_prompts": "qingting.stages.prepare_prompts:run",
        "prepare_knowledge": "qingting.stages.prepare_knowledge:run",
        "prepare_scenarios": "qingting.stages.prepare_scenarios:run",
        "prepare_texts": "qingting.stages.prepare_texts:run",
        "prepare_continuations": "qingting.stages.prepare_continuations:run",
        "measure": "qingting.stages.measure:run",
        "schedule": "qingting.stages.schedule:run",
        "train": "qingting.stages.train:run",
        "export": "qingting.stages.export:run",
        "generate": "qingting.stages.generate:run",
        "score": "qingting.stages.score:run",
        "predict": "qingting.stages.predict:run",
        "benchmark": "qingting.stages.benchmark:run",
        "evaluate": "qingting.stages.evaluate:run",
        "analyse": "qingting.stages.analyse:run",
        "judge": "qingting.stages.judge:run",
        "collect": "qingting.stages.collect:run",
        "analyse_judgments": "qingting.stages.analyse_judgments:run",
        "report": "qingting.stages.report:run",
    }
)
"""Kind of stage → the function that runs it."""

ARM_KINDS = ("train", "export", "generate", "score", "predict", "benchmark", "evaluate")
"""Kinds of stage that belong to one arm, in their order."""

OUTSIDE = MappingProxyType({"collect": "qingting.stages.collect:outside"})
"""Kind of stage → the function that says what stands outside of the work folder now.

What it returns enters the key beside the digests of the sources, so that a change there is found;
it raises ``WaitingError`` while people have to do something first.
"""

_SECOND = ("measure", "predict", "report")
_THIRD = ("benchmark", "export", "generate", "score", "train")
VERSIONS = MappingProxyType(
    dict.fromkeys(STAGES, 1) | dict.fromkeys(_SECOND, 2) | dict.fromkeys(_THIRD, 3)
)
"""Kind of stage → its version, part of every key. A change of what a stage computes raises it
here; ``scripts/record_stage_sources.py`` then notes the new source, and a test fails until it does.
"""


@dataclass(frozen=True, slots=True)
class Stage:
    """One node of a plan.

    ``config`` and ``versions`` hold what changes the result and nothing else; both enter the key.
    ``inputs`` maps a role to the id of an earlier stage, ``sources`` to a file or folder outside
    the work folder. A stage runs without those of its ``optional`` inputs that failed.
    """

    id: str
    kind: str
    version: int
    config: Mapping[str, Any]
    inputs: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, Path] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    arm: str = ""
    exclusive: bool = False
    """Measures time: runs while nothing else does."""
    uses_worker: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What the work needs but does not change its result: display names, placement."""

    def outside(self, inputs: Mapping[str, Artifact]) -> Mapping[str, str]:
        """Return what enters the key from outside of the work folder; most kinds have nothing.

        Raises:
            WaitingError: people have to do something first.
        """
        if self.kind not in OUTSIDE:
            return {}
        module, name = OUTSIDE[self.kind].split(":")
        found: Mapping[str, str] = getattr(import_module(module), name)(self, inputs)
        return found


class Launch(Protocol):
    """How a stage has an engine do a job."""

    def __call__(self, engine: str, job: AnyJob, /) -> JobOutcome:
        """Run the job to its end and return its outcome."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a stage is given: its inputs, two folders, and ways to speak and to launch.

    ``output`` becomes the artifact. ``state`` survives a kill and is handed to the next attempt.
    ``failures`` names the optional inputs that failed, with their reasons, ``waiting`` those that
    wait for people, with the code of what they wait for.
    """

    stage: Stage
    inputs: Mapping[str, Artifact]
    source_digests: Mapping[str, str]
    failures: Mapping[str, str]
    output: Path
    state: Path
    emit: Emit
    launch: Launch
    waiting: Mapping[str, str] = field(default_factory=dict)

    @property
    def config(self) -> Mapping[str, Any]:
        """Return the stage's configuration."""
        return self.stage.config

    @property
    def task(self) -> Task:
        """Return the experiment's task; a dialogue's stages do not name it."""
        task: Task = self.config.get("task", "dialogue")
        return task

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the labels that the prepared data hold, in their order; none but to classify."""
        return tuple(self.inputs["data"].manifest["summary"].get("labels", ()))

    def model_folder(self) -> Path:
        """Return the checkpoint this stage works on: an export's, or the base model's folder."""
        exported = self.inputs.get("export")
        return exported / "model" if exported is not None else self.stage.sources["model"]


Summary = Mapping[str, Any]
"""What a stage tells its manifest; ``measurements`` in it are kept apart from outcomes."""

Run = Callable[[Context], Summary]


def function_of(kind: str) -> Run:
    """Return the function that runs stages of a kind."""
    module, name = STAGES[kind].split(":")
    run: Run = getattr(import_module(module), name)
    return run


def read_json(path: Path) -> Any:
    """Return a JSON file that an earlier stage wrote."""
    return orjson.loads(path.read_bytes())


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a JSON Lines file that an earlier stage wrote."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    yield orjson.loads(line)
                except orjson.JSONDecodeError as error:
                    raise DataError(f"{path}:{number}: not JSON ({error})") from error


def write_json(path: Path, value: Any) -> None:
    """Write JSON for people and machines; ``commit`` makes it durable."""
    path.write_bytes(
        orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY) + b"\n"
    )


def write_jsonl(path: Path, records: Iterator[Any] | list[Any]) -> int:
    """Write JSON Lines; return how many."""
    n_records = 0
    with path.open("wb") as file:
        for record in records:
            file.write(orjson.dumps(record, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")
            n_records += 1
    return n_records


def seeded_place(seed: int, identity: str) -> bytes:
    """Return where a seed puts an id in an order; adding ids moves no other."""
    return hashlib.sha256(f"{seed}|{identity}".encode()).digest()
