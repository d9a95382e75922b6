"""The runner: does every stage of a blueprint that is not done yet, and survives failures.

A failing arm does not stop the others. A stage whose required input failed is skipped and says
whose fault it is; stages that gather arms go on with those that are left.
"""

from __future__ import annotations

import os
import platform
import resource
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from qingting import __version__
from qingting.core.canonical import digest_of
from qingting.core.errors import QingtingError, WaitingError
from qingting.core.events import Event, EventName, Listener
from qingting.engines.hardware import visible_gpus
from qingting.engines.launch import JobOutcome, Launcher
from qingting.engines.protocol import AnyJob
from qingting.execution.executor import Executor
from qingting.planning.build import Blueprint
from qingting.planning.keys import ingredients, key_of, without_key
from qingting.planning.plan import source_digests, stale
from qingting.stages.base import Context, Stage, function_of
from qingting.store.artifacts import Artifact, ArtifactStore
from qingting.store.atomic import storage_errors


class Failure(NamedTuple):
    """Why a stage has no artifact. ``cause`` is the stage that failed, or waits, first.

    ``waits``: the code of what it waits for, where people have to do something before it can run;
    that is no failure, but what needs it cannot run either.
    """

    stage: str
    reason: str
    cause: str
    error: BaseException | None = None
    waits: str = ""


@dataclass(slots=True)
class RunResult:
    """What a run left: artifacts and failures by stage id."""

    artifacts: dict[str, Artifact] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    n_cached: int = 0
    n_run: int = 0

    @property
    def first_failures(self) -> tuple[Failure, ...]:
        """Return the failures that were not caused by another one."""
        return tuple(f for f in self.failures.values() if f.cause == f.stage and not f.waits)

    @property
    def waiting(self) -> tuple[Failure, ...]:
        """Return what waits for people itself, not through another stage."""
        return tuple(f for f in self.failures.values() if f.cause == f.stage and f.waits)

    @property
    def n_skipped(self) -> int:
        """Return how many stages did not run because another failed."""
        return sum(f.cause != f.stage and not f.waits for f in self.failures.values())


class Runner:
    """Runs one blueprint in one work folder; the caller holds the folder's lock."""

    def __init__(
        self,
        blueprint: Blueprint,
        store: ArtifactStore,
        *,
        executor: Executor,
        launcher: Launcher,
        listener: Listener,
    ) -> None:
        self._blueprint = blueprint
        self._store = store
        self._executor = executor
        self._launcher = launcher
        self._listener = listener
        self._result = RunResult()
        self._ranks = _ranks(blueprint.stages)

    def run(self) -> RunResult:
        """Run to the end; finished stages are never repeated.

        On KeyboardInterrupt every worker is ended at once and the exception goes on; what was
        committed stays, what was in the making resumes from its state.
        """
        waiting = {stage.id: stage for stage in self._blueprint.stages}
        running: dict[Future[Artifact], Stage] = {}
        self._say("run_started", n_stages=len(waiting))
        try:
            while waiting or running:
                self._give_up_if_pointless(waiting)
                self._start_ready(waiting, running)
                if not running:
                    continue
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    self._finish(running.pop(future), future)
                self._store.digests.save()
        finally:
            self._launcher.close()
            self._executor.close()
            self._store.digests.save()
        self._say(
            "run_finished",
            n_skipped=self._result.n_skipped,
            n_waiting=sum(bool(f.waits) for f in self._result.failures.values()),
            n_run=self._result.n_run,
            n_cached=self._result.n_cached,
            n_failed=len(self._result.first_failures),
        )
        return self._result

    # -- choosing -------------------------------------------------------------------------------

    def _give_up_if_pointless(self, waiting: dict[str, Stage]) -> None:
        """Start nothing more once the last stage, which all others serve, can no longer run."""
        last = self._blueprint.stages[-1]
        causes = [
            self._result.failures[identity]
            for role, identity in last.inputs.items()
            if identity in self._result.failures and role not in last.optional
        ]
        if not causes:
            return
        for stage in waiting.values():
            self._skip(stage, causes[0])
        waiting.clear()

    def _skip(self, stage: Stage, cause: Failure) -> None:
        self._result.failures[stage.id] = cause._replace(stage=stage.id)
        name: EventName = "stage_waiting" if cause.waits else "stage_skipped"
        self._say(name, stage, cause=cause.cause)

    def _start_ready(
        self, waiting: dict[str, Stage], running: dict[Future[Artifact], Stage]
    ) -> None:
        """Settle what is cached or cannot run, and start what can."""
        settled = True
        while settled:
            settled = False
            for stage in list(waiting.values()):
                if self._is_ready(stage) and self._settle_without_running(stage):
                    del waiting[stage.id]
                    settled = True
        ready = [stage for stage in waiting.values() if self._is_ready(stage)]
        # what most waits for goes first, and of that the largest model, so that no core is idle
        # while the last arm trains
        ready.sort(key=lambda stage: self._ranks[stage.id])
        if any(stage.exclusive for stage in running.values()):
            return
        for stage in (s for s in ready if not s.exclusive):
            if len(running) >= self._executor.n_slots:
                return
            if self._is_under_way(stage, running):
                continue  # the same work under another name: it will be found when it is done
            running[self._executor.submit(self._work(stage))] = stage
            del waiting[stage.id]
        alone = [stage for stage in ready if stage.exclusive]
        if alone and not running:
            running[self._executor.submit(self._work(alone[0]))] = alone[0]
            del waiting[alone[0].id]

    def _is_under_way(self, stage: Stage, running: Mapping[Future[Artifact], Stage]) -> bool:
        same_kind = [one for one in running.values() if one.kind == stage.kind]
        return bool(same_kind) and self._key(stage) in {self._key(one) for one in same_kind}

    def _is_ready(self, stage: Stage) -> bool:
        done = self._result
        return all(i in done.artifacts or i in done.failures for i in stage.inputs.values())

    def _settle_without_running(self, stage: Stage) -> bool:
        failures = self._result.failures
        for role, identity in stage.inputs.items():
            if identity in failures and role not in stage.optional:
                self._skip(stage, failures[identity])
                return True
        if len(stage.optional) == len(stage.inputs) > 0 and not self._inputs(stage):
            first = failures[next(iter(stage.inputs.values()))]
            self._skip(stage, first._replace(reason="everything it gathers failed"))
            return True
        try:
            key = self._key(stage)
            artifact = self._store.find(key)
            if artifact is None:
                return False
            mismatch = stale(artifact, self._inputs(stage), self._store)
        except QingtingError as error:
            self._fail(stage, error)
            return True
        if mismatch is not None:
            self._say("note", stage, message=f"runs again: {mismatch}")
            self._store.discard(artifact)
            return False
        self._result.artifacts[stage.id] = artifact
        self._result.n_cached += 1
        self._say("stage_cached", stage)
        return True

    def _inputs(self, stage: Stage) -> dict[str, Artifact]:
        artifacts = self._result.artifacts
        return {role: artifacts[i] for role, i in stage.inputs.items() if i in artifacts}

    def _absent_inputs(self, stage: Stage) -> dict[str, Failure]:
        failures = self._result.failures
        return {role: failures[i] for role, i in stage.inputs.items() if i in failures}

    def _input_keys(self, stage: Stage) -> dict[str, str]:
        absent = self._absent_inputs(stage).items()
        failed = {role: without_key(failure.waits, failure.reason) for role, failure in absent}
        return {role: artifact.key for role, artifact in self._inputs(stage).items()} | failed

    def _key(self, stage: Stage) -> str:
        sources = source_digests(stage, self._store, self._inputs(stage))
        return key_of(stage, inputs=self._input_keys(stage), sources=sources)

    # -- doing ----------------------------------------------------------------------------------

    def _work(self, stage: Stage) -> Any:
        def work() -> Artifact:
            return self._attempt(stage)

        if stage.uses_worker:
            self._launcher.warm()  # here, in the main thread: workers die with their parent thread
        self._say("stage_started", stage)
        return work

    def _attempt(self, stage: Stage) -> Artifact:
        store = self._store
        inputs, absent = self._inputs(stage), self._absent_inputs(stage)
        sources = source_digests(stage, store, inputs)
        made_of = ingredients(stage, inputs=self._input_keys(stage), sources=sources)
        key = key_of(stage, inputs=self._input_keys(stage), sources=sources)
        input_digests = {role: artifact.digest for role, artifact in inputs.items()}
        attempt = store.new_attempt()
        costs: list[JobOutcome] = []

        def emit(event: str, /, **fields: Any) -> None:
            self._listener(Event(event, stage.id, fields))  # type: ignore[arg-type]

        def launch(engine: str, job: AnyJob, /) -> JobOutcome:
            outcome = self._launcher.run(
                engine,
                job,
                attempt=attempt,
                listener=lambda e: emit(e["event"], **{k: v for k, v in e.items() if k != "event"}),
            )
            costs.append(outcome)
            return outcome

        began, cpu_began = time.monotonic(), time.thread_time()
        with storage_errors(store.work, only_full=True):
            summary = function_of(stage.kind)(
                Context(
                    stage=stage,
                    inputs=inputs,
                    source_digests=sources,
                    failures={r: f.reason for r, f in absent.items() if not f.waits},
                    waiting={r: f.waits for r, f in absent.items() if f.waits},
                    output=attempt / "output",
                    state=store.state(key, made_from=digest_of(input_digests)),
                    emit=emit,
                    launch=launch,
                )
            )
        cpu_s = time.thread_time() - cpu_began + sum(cost.cpu_s for cost in costs)
        manifest = {
            "stage": stage.id,
            "ingredients": made_of,
            "input_digests": input_digests,
            "summary": dict(summary),
            "versions": {"qingting": __version__, **stage.versions},
            "hardware": hardware(),
            "cost": {
                "wall_s": round(time.monotonic() - began, 3),
                "cpu_s": round(cpu_s, 3),
                "peak_memory_bytes": max(
                    (cost.peak_memory_bytes for cost in costs), default=_own_peak_bytes()
                ),
            },
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        return store.commit(attempt, key, manifest)

    def _finish(self, stage: Stage, future: Future[Artifact]) -> None:
        error = future.exception()
        if error is not None:
            if not isinstance(error, Exception):
                raise error
            self._fail(stage, error)
            return
        artifact = future.result()
        self._result.artifacts[stage.id] = artifact
        self._result.n_run += 1
        self._say("stage_finished", stage, wall_s=artifact.manifest["cost"]["wall_s"])

    def _fail(self, stage: Stage, error: Exception) -> None:
        """Record a failure; an unexpected one keeps its traceback for whoever mends it."""
        if isinstance(error, WaitingError):
            said = str(error)
            self._result.failures[stage.id] = Failure(stage.id, said, stage.id, waits=error.code)
            self._say("stage_waiting", stage, reason=said)
            return
        expected = isinstance(error, QingtingError)
        reason = str(error) if expected else f"{type(error).__name__}: {error}"
        self._result.failures[stage.id] = Failure(stage.id, reason, stage.id, error)
        self._say("stage_failed", stage, reason=reason, expected=expected)

    def _say(self, name: EventName, stage: Stage | None = None, **fields: Any) -> None:
        self._listener(Event(name, stage.id if stage else "", fields))


class _Rank(NamedTuple):
    """What is ready and ranks lowest starts first."""

    minus_n_following: int
    minus_n_source_bytes: int


def _ranks(stages: Sequence[Stage]) -> dict[str, _Rank]:
    lengths = _chain_lengths(stages)
    paths = {path for stage in stages for path in stage.sources.values()}
    sizes = {path: _n_bytes(path) for path in paths}
    return {
        stage.id: _Rank(-lengths[stage.id], -sum(sizes[path] for path in stage.sources.values()))
        for stage in stages
    }


def _chain_lengths(stages: Sequence[Stage]) -> dict[str, int]:
    """Return, per stage, how many stages stand in the longest chain that waits for it."""
    lengths = dict.fromkeys((stage.id for stage in stages), 0)
    for stage in reversed(stages):
        for identity in stage.inputs.values():
            lengths[identity] = max(lengths[identity], lengths[stage.id] + 1)
    return lengths


def _n_bytes(source: Path) -> int:
    """Return the size of a file or of a folder's own files; 0 where that cannot be read.

    It only orders stages; a stage whose source is unreadable says so itself.
    """
    try:
        if not source.is_dir():
            return source.stat().st_size
        with os.scandir(source) as entries:
            return sum(entry.stat().st_size for entry in entries if entry.is_file())
    except OSError:
        return 0


def _own_peak_bytes() -> int:
    scale = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def hardware() -> Mapping[str, Any]:
    """Return what a reader of a manifest must know of the machine, and no more."""
    import os

    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
        "n_cores": os.cpu_count(),
        "processor": _processor(),
        "gpus": [gpu.name for gpu in visible_gpus()],
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
