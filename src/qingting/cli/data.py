"""``qingting data``: check, convert and split dialogues."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from qingting.cli.output import print_json

if TYPE_CHECKING:
    from qingting.core.dialogue import Dialogue
    from qingting.data.repair import Repair

app = typer.Typer(
    help="Check, convert and split dialogues, whatever form people keep them in.",
    no_args_is_help=True,
)

Input = Annotated[
    Path, typer.Argument(help="A file, folder or zip; gzip is recognised.", show_default=False)
]
Repairs = Annotated[
    list[str] | None,
    typer.Option(
        "--repair",
        metavar="NAME",
        help="Allow a repair that loses no words: stage-directions, merge-turns or "
        "cut-trailing-client; repeatable.",
    ),
]
Target = Annotated[
    Literal["sharegpt", "messages", "alpaca"], typer.Option("--to", help="Form to write.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace files that exist.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]

_PLAIN_EVERY_S = 10.0
_SHOWN_NOTICES = 20


@app.callback()
def _data() -> None:
    """Check, convert and split dialogues."""


@app.command()
def check(
    path: Input,
    as_json: AsJson = False,
    repairs: Repairs = None,
    quarantine: Annotated[
        Path | None,
        typer.Option(help="Write what cannot be used here, with reasons; keep this file private."),
    ] = None,
    places: Annotated[int, typer.Option(min=0, help="How many places to show per defect.")] = 3,
    language: Annotated[
        Literal["en", "zh"], typer.Option(help="Language of the explanations.")
    ] = "en",
    force: Force = False,
) -> None:
    """Count dialogues and defects, and say where the first of each stand."""
    from qingting.data.check import check as check_data
    from qingting.data.quarantine import quarantine_file

    allowed = _repairs(repairs)
    began = time.perf_counter()
    with _progress(path) as on_bytes:
        if quarantine is None:
            report = check_data(path, repairs=allowed, n_places=places, on_bytes=on_bytes)
        else:
            with quarantine_file(quarantine, force=force, always=True) as sink:
                report = check_data(
                    path,
                    repairs=allowed,
                    n_places=places,
                    on_quarantine=sink,
                    on_bytes=on_bytes,
                )
            typer.echo(f"{quarantine}: {sink.n_records} records quarantined", err=True)
    _tell(report.notices)
    if as_json:
        print_json(report.to_record())
    else:
        from qingting.cli.data_report import print_report

        seconds = time.perf_counter() - began
        print_report(report, path, seconds=seconds, language=language)
    if not report.n_with_turns:
        typer.echo(f"qingting: {path}: no dialogue in it could be read", err=True)
        raise typer.Exit(1)


@app.command()
def convert(
    path: Input,
    output: Annotated[
        Path,
        typer.Argument(
            help="File to write: an array where it ends in .json, else JSON Lines; .gz compresses.",
            show_default=False,
        ),
    ],
    to: Target,
    repairs: Repairs = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Write strictly valid dialogues only.")
    ] = False,
    quarantine: Annotated[
        Path | None,
        typer.Option(help="Where unusable records go. [default: OUTPUT.quarantine.jsonl]"),
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Write dialogues in another form, words exactly as they were."""
    from qingting.core.errors import DataError
    from qingting.data import convert as conversion
    from qingting.data.output import record_file, refuse_to_overwrite
    from qingting.data.quarantine import quarantine_file

    allowed = _repairs(repairs)
    refuse_to_overwrite(output, force=force)
    rejects = quarantine or output.with_name(f"{output.name}.quarantine.jsonl")
    nothing: DataError | None = None
    with (
        quarantine_file(rejects, force=force, always=quarantine is not None) as sink,
        _progress(path) as on_bytes,
    ):
        try:
            with record_file(output, force=force) as file:
                result = conversion.convert(
                    path,
                    file,
                    target=conversion.Target(to),
                    repairs=allowed,
                    is_strict=strict,
                    on_quarantine=sink,
                    on_bytes=on_bytes,
                )
                if not result.n_dialogues:
                    raise DataError(
                        f"{path}: none of {result.n_records} records can be written as {to}; "
                        f"`qingting data check` says why"
                    )
        except DataError as error:  # the quarantine is kept, the empty output is not
            nothing = error
    if nothing is not None:
        raise nothing
    _tell(result.notices)
    if sink.n_records:
        typer.echo(f"{rejects}: {sink.n_records} records that could not be written", err=True)
    if result.keys_left_out:
        typer.echo(f"not carried over: {', '.join(result.keys_left_out)}", err=True)
    if as_json:
        print_json(result.to_record())
        return
    typer.echo(
        f"{output}: {result.n_dialogues:,} dialogues, {result.n_turns:,} turns as {to}; "
        f"{result.n_quarantined:,} of {result.n_records:,} records could not be written"
    )
    for name, count in result.repairs.items():
        typer.echo(f"repaired with {name}: {count:,}")


@app.command()
def split(
    path: Input,
    output: Annotated[
        Path, typer.Argument(help="Folder for train, validation and test.", show_default=False)
    ],
    validation: Annotated[
        str, typer.Option(help="Size: a share below 1, or a number of dialogues.")
    ] = "0.05",
    test: Annotated[str, typer.Option(help="Likewise.")] = "0.05",
    seed: Annotated[int, typer.Option(help="Another seed gives another split.")] = 0,
    to: Target = "messages",
    threshold: Annotated[
        float,
        typer.Option(help="Similarity from which two dialogues stay on one side, in (0, 1]."),
    ] = 0.7,
    repairs: Repairs = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Split strictly valid dialogues so that near-duplicates stay on one side."""
    from qingting.data.near_duplicates import group_near_duplicates
    from qingting.data.output import refuse_to_overwrite
    from qingting.data.quarantine import quarantine_file
    from qingting.data.reading import read_dialogues
    from qingting.data.split import split as split_dialogues

    if not 0 < threshold <= 1:
        raise typer.BadParameter("the threshold must lie above 0 and at most at 1")
    n_validation, n_test = _size(validation, "validation"), _size(test, "test")
    allowed = _repairs(repairs)
    names = ("train", "validation", "test")
    files = {name: output / f"{name}.jsonl" for name in names}
    for file in files.values():
        refuse_to_overwrite(file, force=force)
    notices: list[str] = []
    rejects = output / "quarantine.jsonl"
    with quarantine_file(rejects, force=force) as sink, _progress(path) as on_bytes:
        dialogues = list(
            read_dialogues(
                path,
                repairs=allowed,
                on_quarantine=sink,
                on_bytes=on_bytes,
                on_notice=notices.append,
            )
        )
    _tell(notices)
    if sink.n_records:
        typer.echo(f"{rejects}: {sink.n_records} records that cannot be used", err=True)
    groups = group_near_duplicates(
        ["".join(turn.content for turn in dialogue.turns) for dialogue in dialogues],
        threshold=threshold,
    )
    sides = split_dialogues(
        dialogues, validation=n_validation, test=n_test, seed=seed, groups=groups
    )
    written = (sides.training, sides.validation, sides.test)
    for name, side in zip(names, written, strict=True):
        _write_side(files[name], side, to, force=force)
    counts = {f"n_{name}": len(side) for name, side in zip(names, written, strict=True)}
    counts |= {"n_groups": len(set(groups)), "n_quarantined": sink.n_records}
    if as_json:
        print_json(counts)
        return
    for name, side in zip(names, written, strict=True):
        typer.echo(f"{files[name]}: {len(side):,} dialogues")


def _write_side(path: Path, side: Collection[Dialogue], to: str, *, force: bool) -> None:
    from qingting.data import convert as conversion
    from qingting.data.output import record_file

    with record_file(path, force=force) as file:
        for dialogue in side:
            record = conversion.to_target(dialogue.messages, conversion.Target(to))
            own = {"id": dialogue.id, "language": dialogue.language, "kind": dialogue.kind}
            kept = {key: value for key, value in own.items() if value is not None}
            file.write({**kept, **(record or {})})


def _size(text: str, name: str) -> float | int:
    try:
        size = float(text) if "." in text else int(text)
    except ValueError:
        size = -1
    if size < 0 or (isinstance(size, float) and not size < 1):
        message = f"--{name} {text!r} is neither a share such as 0.1 nor a number of dialogues"
        raise typer.BadParameter(message)
    return size


def _repairs(names: list[str] | None) -> frozenset[Repair]:
    from qingting.core.errors import did_you_mean
    from qingting.data.repair import Repair

    known = [str(repair) for repair in Repair]
    found = set()
    for name in names or ():
        written = name.strip().lower().replace("_", "-")
        if written not in known:
            hint = did_you_mean(written, known) or f" Known are: {', '.join(known)}."
            raise typer.BadParameter(f"there is no repair {name!r}.{hint}")
        found.add(Repair(written))
    return frozenset(found)


def _tell(notices: Collection[str]) -> None:
    for notice in list(notices)[:_SHOWN_NOTICES]:
        typer.echo(notice, err=True)
    if len(notices) > _SHOWN_NOTICES:
        typer.echo(f"… and {len(notices) - _SHOWN_NOTICES} more such files", err=True)


@contextmanager
def _progress(path: Path) -> Iterator[Callable[[int], None]]:
    """Show how much was read: a bar on a terminal, a line every few seconds elsewhere."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import DownloadColumn, Progress, SpinnerColumn, TransferSpeedColumn

        total = path.stat().st_size if path.is_file() else None
        columns = (SpinnerColumn(), DownloadColumn(), TransferSpeedColumn())
        console = Console(stderr=True)
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("", total=total)
            yield lambda n_bytes: bar.advance(task, n_bytes)
        return
    n_read = 0
    began = last = time.monotonic()

    def count(n_bytes: int) -> None:
        nonlocal n_read, last
        n_read += n_bytes
        now = time.monotonic()
        if now - last >= _PLAIN_EVERY_S:
            last = now
            speed = n_read / 1e6 / (now - began)
            print(f"read {n_read / 1e6:,.0f} MB ({speed:,.0f} MB/s)", file=sys.stderr, flush=True)

    yield count
