"""``qingting judge converse``: simulated clients talk with every arm."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qingting.cli.judge_options import AsJson
from qingting.cli.output import print_json

if TYPE_CHECKING:
    from qingting.domains.judging_pack import Scenario
    from qingting.engines.openai_compatible import ChatEndpoint
    from qingting.judging.clients import Client
    from qingting.judging.conversations import Held, Settings
    from qingting.spec.judging import CampaignSpec

_OUT = Path("judging/conversations.jsonl")


def converse(
    spec: Annotated[
        Path | None,
        typer.Argument(
            help="YAML file of the study. [default: `judging` of the run's experiment]",
            show_default=False,
        ),
    ] = None,
    run: Annotated[
        Path | None, typer.Option(help="Work folder of a run: its arms are served one by one.")
    ] = None,
    endpoint: Annotated[
        list[str] | None,
        typer.Option(help="ARM=URL[#MODEL] of an OpenAI-compatible server; once for each arm."),
    ] = None,
    client: Annotated[
        str | None,
        typer.Option(
            help="URL#MODEL that plays the clients. [default: the script that ships]",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="File of conversations; kept and gone on with.")] = _OUT,
    at_once: Annotated[
        int, typer.Option(min=1, max=64, help="Conversations held at the same time.")
    ] = 4,
    as_json: AsJson = False,
) -> None:
    """Have the same simulated clients talk with every arm, for people to judge.

    What is held is written at once: the same command goes on where it stopped. The file is what
    `judge create --answers` takes.
    """
    from qingting.domains.judging_pack import load_judging_pack
    from qingting.judging.clients import PlayedClient, ScriptedClient
    from qingting.judging.conversations import Held, settings_of
    from qingting.judging.endpoints import parse_endpoint

    if (run is None) == (not endpoint):
        raise typer.BadParameter("name who talks: --run FOLDER, or --endpoint ARM=URL for each arm")
    wanted, arms = _study(spec, run, endpoint or [])
    scenarios = load_judging_pack(wanted.domain).choose(wanted.scenarios, with_client=True)
    played = parse_endpoint(client, option="--client") if client else None
    person: Client = ScriptedClient()
    if played is not None:
        person = PlayedClient(_endpoint(played), seed=wanted.seed)
    settings = settings_of(wanted, person)
    total = Held(0, 0, ())
    for served in _served(run, arms, endpoint or []):
        held = _hold(wanted, scenarios, person, served, settings, out=out, at_once=at_once)
        total = Held(
            total.n_before + held.n_before,
            total.n_held + held.n_held,
            total.failures + held.failures,
        )
    study = str(spec) if spec is not None else f"--run {run}"
    _tell(total, out, settings.client, study=study, as_json=as_json)
    if total.failures:
        raise typer.Exit(1)


def _study(
    spec: Path | None, run: Path | None, endpoints: Sequence[str]
) -> tuple[CampaignSpec, tuple[str, ...]]:
    """Return the study, and the names of its arms."""
    import json

    from qingting.core.errors import SpecificationError, did_you_mean
    from qingting.judging.answers import arms_of_run
    from qingting.judging.campaigns import load_campaign
    from qingting.judging.endpoints import parse_endpoints
    from qingting.spec.judging import CampaignSpec

    known, judging = (tuple(parse_endpoints(endpoints)), None) if run is None else arms_of_run(run)
    if spec is not None:
        wanted = load_campaign(spec)
    elif judging is not None:
        wanted = CampaignSpec.model_validate_json(json.dumps(judging))
    else:
        raise typer.BadParameter(
            "name the file of the study; only a run whose experiment has `judging` knows its own"
        )
    if wanted.mode != "conversation" or wanted.conversation.source != "simulated":
        raise SpecificationError(
            "simulated conversations are for studies with mode: conversation and "
            "conversation: {source: simulated}"
        )
    for arm in wanted.arms or ():
        if arm not in known:
            raise SpecificationError(
                f"arms: no {arm!r}.{did_you_mean(arm, known)} Arms: {', '.join(known)}"
            )
    return wanted, wanted.arms or known


def _endpoint(where: Mapping[str, str]) -> ChatEndpoint:
    from qingting.engines.openai_compatible import ChatEndpoint
    from qingting.judging.endpoints import KEY_VARIABLE

    return ChatEndpoint(
        where["base_url"], where["model"], api_key=os.environ.get(KEY_VARIABLE), timeout_s=120.0
    )


def _served(
    run: Path | None, arms: Sequence[str], endpoints: Sequence[str]
) -> Iterator[dict[str, ChatEndpoint]]:
    """Yield arms that answer now: all endpoints together, or a run's arms one after the other."""
    if run is None:
        from qingting.judging.endpoints import parse_endpoints

        known = parse_endpoints(endpoints)
        yield {arm: _endpoint(known[arm]) for arm in arms}
        return
    for arm in arms:
        with _serving(run, arm) as found:
            yield {arm: found}


@contextmanager
def _serving(run: Path, arm: str) -> Iterator[ChatEndpoint]:
    from qingting.engines.serving import serve
    from qingting.engines.serving_checkpoints import find_checkpoint

    print(f"qingting: serving {arm}", file=sys.stderr, flush=True)
    found = find_checkpoint(str(run), arm=arm)
    with serve(found.folder, model=arm) as served:
        yield _endpoint({"base_url": served.base_url, "model": served.model})


def _hold(
    wanted: CampaignSpec,
    scenarios: Sequence[Scenario],
    person: Client,
    arms: Mapping[str, ChatEndpoint],
    settings: Settings,
    *,
    out: Path,
    at_once: int,
) -> Held:
    from qingting.judging.conversations import hold_all, plan

    label = ", ".join(arms)

    def tell(done: int, of: int) -> None:
        print(f"qingting: {label}: {done} of {of} conversations", file=sys.stderr, flush=True)

    async def all_of_them() -> Held:
        try:
            return await hold_all(
                plan(wanted, scenarios, list(arms)),
                person,
                arms,
                settings,
                into=out,
                n_at_once=at_once,
                tell=tell,
            )
        finally:
            for one in arms.values():
                await one.aclose()
            await _close(person)

    return asyncio.run(all_of_them())


async def _close(person: Client) -> None:
    from qingting.judging.clients import PlayedClient

    if isinstance(person, PlayedClient):
        await person.aclose()


def _tell(held: Held, out: Path, client: str, *, study: str, as_json: bool) -> None:
    record: dict[str, Any] = {
        "file": str(out),
        "client": client,
        "n_held": held.n_held,
        "n_before": held.n_before,
        "failures": list(held.failures),
    }
    if as_json:
        print_json(record)
        return
    typer.echo(
        f"{out}: {held.n_before + held.n_held} conversations, client played by {client}"
        + (f" ({held.n_before} of them held before)" if held.n_before else "")
    )
    for failure in held.failures[:20]:
        typer.echo(f"  not held: {failure}")
    if held.failures:
        typer.echo(f"  {len(held.failures)} not held; the same command tries them again")
    else:
        typer.echo(f"next: qingting judge create {study} --answers {out}")
