"""``qingting models``: cards, memory, recommendations, fetching and converting."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from qingting.cli.byte_progress import byte_progress
from qingting.cli.models_cards import add, list_models, show
from qingting.cli.models_choose import choose
from qingting.cli.models_fetch import fetch
from qingting.cli.models_plan import plan
from qingting.cli.models_recommend import recommend
from qingting.cli.output import print_json

app = typer.Typer(
    help="Know, choose, fetch and convert models.",
    no_args_is_help=True,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.callback()
def _models() -> None:
    """Know, choose, fetch and convert models."""


app.command("fetch")(fetch)
app.command("plan")(plan)
app.command("list")(list_models)
app.command("show")(show)
app.command("add")(add)
app.command("recommend")(recommend)
app.command("choose")(choose)


@app.command()
def convert(
    source: Annotated[
        Path, typer.Argument(metavar="SRC", help="Folder as published.", show_default=False)
    ],
    destination: Annotated[
        Path, typer.Argument(metavar="DST", help="Folder to make.", show_default=False)
    ],
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16"] | None,
        typer.Option(help="Type of every tensor. [default: the source's own]"),
    ] = None,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Compare with reference arithmetic, layer by layer."),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a model that stands at DST.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring ChatGLM3, Baichuan2-7B, InternLM2(.5) or GPT-OSS MXFP4 to a native architecture.

    Weights, tokenizer and chat template; no code of the source is run. DST is there whole or not
    at all; an interrupted conversion goes on where it stopped.
    """
    from qingting.models.convert.conversion import convert as convert_model

    with byte_progress() as on_progress:
        result = convert_model(
            source,
            destination,
            dtype=dtype,
            verify=verify,
            force=force,
            on_progress=on_progress,
        )
    if as_json:
        print_json(result.to_record())
        return
    rate = result.n_bytes_read / 1e6 / max(result.seconds, 1e-9)
    typer.echo(
        f"{result.destination}: {result.layout} → {result.architecture}, {result.dtype}, "
        f"{result.n_tensors} tensors in {result.n_shards} file"
        f"{'' if result.n_shards == 1 else 's'}; {result.seconds:.1f} s, {rate:.0f} MB/s"
    )
    if result.max_logit_difference is not None:
        typer.echo(f"verified: logits differ by {result.max_logit_difference:.1g} at most")
