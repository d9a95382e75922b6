"""``qingting models fetch``: bring a published model to this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from qingting.cli.byte_progress import byte_progress
from qingting.cli.output import print_json

if TYPE_CHECKING:
    from qingting.models.fetch import FetchedModel

_HUBS = {"hf": "hf", "huggingface": "hf", "ms": "ms", "modelscope": "ms"}


def fetch(
    model: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="owner/name, hf:owner/name, ms:owner/name, or a local folder."
        ),
    ],
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="hf|modelscope|PATH",
            help="Which hub, or a folder copied from another machine. [default: hf]",
        ),
    ] = None,
    revision: Annotated[
        str | None,
        typer.Option(help="Commit, tag or branch. [default: the default branch, pinned]"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Fetch a model's files, pinned and verified; no code and no needless pickles.

    An interrupted fetch goes on where it stopped. Files lie in QINGTING_CACHE (default
    ~/.cache/qingting), where experiments find the model by its id. HF_ENDPOINT and
    MODELSCOPE_ENDPOINT name mirrors; HF_TOKEN and MODELSCOPE_API_TOKEN open gated models.
    """
    from qingting.core.errors import SpecificationError
    from qingting.models.fetch import cache_folder, copy_in
    from qingting.models.fetch import fetch as fetch_from_hub
    from qingting.models.hubs import Hub, HubName
    from qingting.models.resolve import resolve

    prefix, colon, rest = model.partition(":")
    named, identity = (prefix, rest) if colon and prefix in get_args(HubName) else (None, model)
    if source is None and named is None and Path(identity).expanduser().is_dir():
        folder = resolve(identity, base=Path.cwd()).require()
        if as_json:
            print_json({"folder": str(folder), "source": "folder"})
        else:
            typer.echo(f"{folder}: a local folder, complete; nothing to fetch")
        return
    hub = _HUBS.get(source or named or "hf")
    if hub is None and source is not None and not Path(source).expanduser().is_dir():
        raise SpecificationError(
            f"--from {source}: neither hf, nor modelscope, nor a folder on this machine"
        )
    if named is not None and hub is not None and hub != named:
        raise SpecificationError(f"{model} names another hub than --from {source}; say one of them")
    with byte_progress() as on_progress:
        if hub is None:
            fetched = copy_in(
                identity,
                Path(str(source)).expanduser(),
                cache=cache_folder(),
                on_progress=on_progress,
            )
        else:
            fetched = fetch_from_hub(
                identity,
                Hub.from_environment("hf" if hub == "hf" else "ms"),
                revision=revision,
                cache=cache_folder(),
                on_progress=on_progress,
            )
    if as_json:
        print_json(fetched.to_record())
    else:
        _print(fetched)


def _print(fetched: FetchedModel) -> None:
    new = (
        f"{fetched.n_bytes_fetched / 1e9:.2f} GB fetched now"
        if fetched.n_bytes_fetched
        else "all here already"
    )
    typer.echo(
        f"{fetched.folder}\n{fetched.identity} at {fetched.commit}: {fetched.n_files} files, "
        f"{fetched.n_bytes / 1e9:.2f} GB, sizes and digests verified; {new}"
    )
    if fetched.unverified:
        typer.echo(f"without a stated digest: {', '.join(fetched.unverified)}")
    for path, why in fetched.left_out.items():
        typer.echo(f"left out {path}: {why}", err=True)
