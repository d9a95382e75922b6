"""``run``, ``plan``, ``init`` and ``schema``: the commands that take an experiment file."""

from __future__ import annotations

import shlex
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qingting.cli.judge_options import DATABASE_VARIABLE, place_of_run
from qingting.core.errors import NotFoundError, QingtingError, SpecificationError, StoreError

if TYPE_CHECKING:
    from qingting.execution.runner import RunResult
    from qingting.judging.run_studies import StudyPlace
    from qingting.planning.build import Blueprint
    from qingting.store.artifacts import ArtifactStore

Spec = Annotated[Path, typer.Argument(help="Experiment file (YAML).", show_default=False)]
Work = Annotated[
    Path | None,
    typer.Option("--work", help="Where artifacts and the report go. [default: runs/<experiment>]"),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY.PATH=VALUE", help="Change one key of the file; repeatable."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
JudgingDatabase = Annotated[
    str | None,
    typer.Option(
        "--database",
        help="With `judging`: file (SQLite) or postgresql:// address that holds the study; by "
        f"default ${DATABASE_VARIABLE}, else judging.db in the work folder.",
    ),
]
EXIT_WAITING = 3


def run(
    spec: Spec,
    work: Work = None,
    overrides: Overrides = None,
    database: JudgingDatabase = None,
    as_json: AsJson = False,
) -> None:
    """Run an experiment to its report; finished stages are never repeated.

    An experiment with `judging` makes a study as a draft, writes the report with what is there and
    exits 3 while people have not judged; run it again once the study is closed or frozen.
    """
    from qingting.cli.progress import progress_listener
    from qingting.engines.launch import Launcher
    from qingting.execution.executor import LocalExecutor, n_slots
    from qingting.execution.publish import publish
    from qingting.execution.room import require_room
    from qingting.execution.runner import Runner
    from qingting.store.artifacts import ArtifactStore
    from qingting.store.lock import hold

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    blueprint, folder, place = _blueprint(spec, work, overrides, database)
    if blueprint.obstacles:
        raise SpecificationError(blueprint.obstacles)
    device = next(iter(blueprint.runtimes.values())).device
    resources = blueprint.experiment.resources
    with hold(folder):
        store = ArtifactStore(folder)
        store.clear_attempts()
        require_room(blueprint, folder)
        if place is not None:
            _forget_withdrawn(store, place)
        try:
            with progress_listener(blueprint, folder) as listener:
                result = Runner(
                    blueprint,
                    store,
                    executor=LocalExecutor(n_slots(resources, device=device)),
                    launcher=Launcher(n_threads=resources.n_threads),
                    listener=listener,
                ).run()
        except KeyboardInterrupt:
            print(
                "qingting: interrupted; what is finished is kept, run again to go on",
                file=sys.stderr,
            )
            raise typer.Exit(130) from None
        published = publish(result, folder)
    if not published and (folder / "report").is_dir():
        print(f"qingting: {folder / 'report'} is the report of an earlier run", file=sys.stderr)
    _print_run(result, published, as_json=as_json)
    _say_of_conversations(blueprint, folder)
    if result.first_failures:
        raise typer.Exit(1)
    if result.waiting:
        raise typer.Exit(EXIT_WAITING)


def _say_of_conversations(blueprint: Blueprint, work: Path) -> None:
    """Say how conversations are judged: a study of them is made by hand, not by a stage."""
    judging = blueprint.experiment.judging
    if judging is not None and judging.mode == "conversation":
        hold = f"qingting judge converse --run {work} --out {work}/conversations.jsonl, then "
        print(
            "qingting: people judge conversations; next: "
            + (hold if judging.conversation.source == "simulated" else "")
            + f"qingting judge create --run {work} "
            + (
                f"--answers {work}/conversations.jsonl"
                if judging.conversation.source == "simulated"
                else "--endpoint ARM=URL for each arm"
            ),
            file=sys.stderr,
        )


def _forget_withdrawn(store: ArtifactStore, place: StudyPlace) -> None:
    from qingting.execution.withdrawals import forget_withdrawn

    n_removed = forget_withdrawn(store, place)
    if n_removed:
        print(
            f"qingting: a rater has withdrawn; {n_removed} results that held the judgments are "
            "removed",
            file=sys.stderr,
        )


def _print_run(result: RunResult, published: dict[str, Path], *, as_json: bool) -> None:
    failures = result.first_failures
    if as_json:
        _print_json(
            {
                "status": "failed" if failures else "waiting" if result.waiting else "done",
                "n_run": result.n_run,
                "n_cached": result.n_cached,
                "failures": [{"stage": f.stage, "reason": f.reason} for f in failures],
                "waiting": [{"stage": f.stage, "reason": f.reason} for f in result.waiting],
                **{name: str(path) for name, path in published.items()},
            }
        )
        return
    for failure in failures:
        if failure.error is not None and not isinstance(failure.error, QingtingError):
            traceback.print_exception(failure.error)
        print(f"qingting: {failure.stage} failed: {failure.reason}", file=sys.stderr)
    for name, path in published.items():
        typer.echo(f"{name}: {path}")
    for one in result.waiting:
        print(f"qingting: waiting for people: {one.reason}", file=sys.stderr)


def plan(
    spec: Spec,
    work: Work = None,
    overrides: Overrides = None,
    database: JudgingDatabase = None,
    as_json: AsJson = False,
) -> None:
    """Show every stage, what is cached and why not, without running anything.

    `waiting` means that people have to do something first; the last column says what.
    """
    from qingting.planning.plan import make_plan
    from qingting.store.artifacts import ArtifactStore

    blueprint, folder, _ = _blueprint(spec, work, overrides, database)
    planned = make_plan(blueprint, ArtifactStore.for_reading(folder))
    if as_json:
        _print_json(
            {
                "experiment": blueprint.experiment.experiment,
                "work": str(folder),
                "obstacles": [str(problem) for problem in blueprint.obstacles],
                "models": {k: _model_record(blueprint, k) for k in blueprint.models},
                "stages": [
                    {
                        "stage": p.stage.id,
                        "status": p.status,
                        "reason": p.reason,
                        "key": p.key,
                        "inputs": dict(p.stage.inputs),
                    }
                    for p in planned
                ],
            }
        )
        return
    from qingting.cli.planned import print_plan

    print_plan(blueprint, planned, folder)


def _model_record(blueprint: Blueprint, label: str) -> dict[str, Any]:
    from qingting.planning.arms import deviations

    model = next(m for m in blueprint.experiment.models if m.label == label)
    found = blueprint.models[label]
    return {
        "source": found.source,
        "folder": str(found.folder) if found.folder else None,
        "runtime": blueprint.runtimes[label].model_dump(mode="json"),
        "deviations": deviations(blueprint.experiment, model),
    }


def init(
    path: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("experiment.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write a commented experiment file to start from."""
    from importlib.resources import files

    from qingting.store.atomic import storage_errors, write_bytes

    if path.exists() and not force:
        raise StoreError(f"{path}: exists already; choose another name, or overwrite with --force")
    with storage_errors(path):
        write_bytes(path, (files("qingting.spec") / "scaffold.yaml").read_bytes())
    typer.echo(f"wrote {path}")
    typer.echo(f"next: qingting plan {shlex.quote(str(path))}", err=True)


def schema(
    of: Annotated[str, typer.Argument(help="experiment or results.")] = "experiment",
) -> None:
    """Print a JSON schema: of the experiment file, for editors, or of results.json."""

    if of == "experiment":
        from qingting.spec.schema import experiment_schema

        _print_json(experiment_schema())
    elif of == "results":
        from qingting.report.results import Results

        _print_json(Results.model_json_schema())
    else:
        raise SpecificationError(
            f"there is a schema of 'experiment' and of 'results', none of {of!r}"
        )


def _blueprint(
    spec: Path, work: Path | None, overrides: list[str] | None, database: str | None
) -> tuple[Blueprint, Path, StudyPlace | None]:
    from qingting.planning.build import build
    from qingting.spec.load import load_experiment

    try:
        experiment = load_experiment(spec, overrides=overrides or ())
    except NotFoundError as error:
        raise SpecificationError(str(error)) from None
    folder = work if work is not None else Path("runs") / experiment.experiment
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"{folder}: a file stands here; choose another folder with --work")
    place = None
    if experiment.judging is not None:
        place = place_of_run(folder, database)
    elif database is not None:
        raise SpecificationError(
            "--database belongs to an experiment with `judging`; this has none"
        )
    return build(experiment, base=spec.resolve().parent, study_place=place), folder, place


def _print_json(value: Any) -> None:
    import orjson

    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n")
