"""The composition root: every command is mounted here, and every expected error ends here."""

from __future__ import annotations

import errno
import os
import sys
from typing import NoReturn

import typer

from qingting import __version__
from qingting.core.errors import QingtingError, SpecificationError

EXIT_FAILED = 1
EXIT_USAGE = 2

app = typer.Typer(
    name="qingting",
    help=(
        "Choose, fine-tune and compare language models for counselling, with evidence.\n\n"
        "Start with `qingting init`, look with `qingting plan`, answer with `qingting run`."
    ),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"qingting {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """Take the options that stand before every command."""


def _mount() -> None:
    if app.registered_commands:
        return
    from qingting.cli import data, experiment, judge, metrics, models, serve, stats

    app.command("run")(experiment.run)
    app.command("plan")(experiment.plan)
    app.command("init")(experiment.init)
    app.command("schema")(experiment.schema)
    app.command("serve")(serve.serve)
    app.add_typer(data.app, name="data", help="Check, convert and split dialogues.")
    app.add_typer(models.app, name="models", help="List models; convert older ones.")
    app.add_typer(metrics.app, name="metrics", help="Score replies against references.")
    app.add_typer(judge.app, name="judge", help="Studies in which people judge answers blind.")
    app.add_typer(stats.app, name="stats", help="Statistics of judgments, and decisions.")


def main() -> NoReturn:
    """Run the command line; expected errors are one line on stderr and no traceback."""
    _mount()
    try:
        app()
    except SpecificationError as error:
        for problem in error.problems:
            _complain(str(problem))
        sys.exit(EXIT_USAGE)
    except QingtingError as error:
        _complain(str(error))
        sys.exit(EXIT_FAILED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(EXIT_FAILED)
    except OSError as error:
        if error.filename is None:
            raise
        _complain(_refused(error))
        sys.exit(EXIT_FAILED)
    sys.exit(0)


def _refused(error: OSError) -> str:
    """Return what the operating system refused, about the file that the user named."""
    named = error.filename if error.filename2 is None else error.filename2
    cure = {
        errno.EEXIST: "a file stands where a folder is needed; choose another place",
        errno.ENOTDIR: "a file stands where a folder is needed; choose another place",
        errno.EISDIR: "a folder stands where a file is needed; name a file",
        errno.EACCES: "no permission; check whom it belongs to",
    }
    return f"{os.fsdecode(named)}: {cure.get(error.errno or 0, error.strerror)}"


def _complain(message: str) -> None:
    print(f"qingting: {message}", file=sys.stderr)


if __name__ == "__main__":
    main()
