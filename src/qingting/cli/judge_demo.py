"""``qingting judge demo``: a study judged by simulated raters, to see all of it without people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qingting.cli.judge_options import AsJson
from qingting.cli.output import print_json

if TYPE_CHECKING:
    from qingting.judging.answers import Run

_FOLDER = Path("judging-demo")


def demo(
    run: Annotated[
        Path, typer.Option(help="Work folder of a run whose answers are judged.")
    ] = Path("runs/judging"),
    folder: Annotated[Path, typer.Option(help="Folder to make the study in.")] = _FOLDER,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to serve on.")] = 8080,
    seed: Annotated[int, typer.Option(help="Seed of the simulated raters.", min=0)] = 7,
    serve: Annotated[bool, typer.Option(help="Open the study and serve it at the end.")] = True,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier demo.")] = False,
    as_json: AsJson = False,
) -> None:
    """Have 12 synthetic raters judge a run's answers, analyse, and open the study for you.

    The raters do not read: each arm's quality is set here, tuned arms above their bases, and the
    analysis must find it again. Nothing that they say is about the answers.
    """
    from qingting.core.errors import StoreError
    from qingting.judging.answers import answers_of_run
    from qingting.store.database import open_database

    found = answers_of_run(run)
    path = folder / "judging.db"
    if path.exists():
        if not force:
            raise StoreError(
                f"{path} exists; see it with `judge serve`, or replace it with --force"
            )
        for one in folder.glob("judging.db*"):
            one.unlink()
    database = open_database(path, create=True)
    try:
        record = _make(database, found, folder, seed=seed, url=f"http://127.0.0.1:{port}")
    finally:
        database.close()
    if as_json:
        print_json(record)
    else:
        _show(record)
    if serve:
        from qingting.cli.judge_serve import serve as serve_study

        serve_study(port=port, snapshots=folder / "snapshots", database=str(path))


def _make(database: Any, found: Run, folder: Path, *, seed: int, url: str) -> dict[str, Any]:
    from qingting.judging.owners import add_owner, new_link
    from qingting.judging.people import Guest, invite
    from qingting.judging.snapshot import freeze
    from qingting.judging.tokens import now_ms
    from qingting.report.judging_files import write_analysis

    identity, truth = _judged(database, found, seed=seed)
    frozen = freeze(
        database, identity, into=folder / "snapshots", at_ms=now_ms(), actor="demonstration"
    )
    result = write_analysis(frozen.folder, folder / "analysis", seed=seed, force=True)
    links = {}
    with database.writing() as session:
        from qingting.store.judging_tables import Campaign

        campaign = session.get_one(Campaign, identity)
        for language in campaign.spec["languages"]:
            guest = Guest("licensed", language)
            made = invite(session, campaign, guest, days=7, at_ms=now_ms(), actor="demonstration")
            links[language] = f"{url}/j/{made.secret}"
        owner = add_owner(session, "demonstration", password=None)
        owner_link = f"{url}/owner/link/{new_link(session, owner, at_ms=now_ms())}"
    return {
        "n_judgments": result.n_judgments,
        "n_raters": result.n_raters,
        "truth": _recovered(result, truth),
        "analysis": str(folder / "analysis" / "human_judge_analysis.md"),
        "snapshot": str(frozen.folder),
        "rater_links": links,
        "owner_link": owner_link,
    }


def _judged(database: Any, found: Run, *, seed: int) -> tuple[int, dict[str, float]]:
    """Return a new study, three quarters judged, and the quality that was set for each arm."""
    import numpy as np

    from qingting.domains.judging_pack import load_judging_pack
    from qingting.judging.answers import complete_items
    from qingting.judging.campaigns import change_state, create_campaign
    from qingting.judging.people import Guest, accept, consent, invite
    from qingting.judging.simulation import draw_rater, work, world_of
    from qingting.judging.tokens import now_ms
    from qingting.spec.judging import CampaignSpec

    rng = np.random.default_rng(seed)
    answers, _ = complete_items(found.answers)
    spec = CampaignSpec.model_validate(
        {**(found.judging or {}), "name": "demonstration", "n_raters": 12, "raters_per_unit": 4},
        strict=False,
    )
    arms = sorted({one.arm for one in answers})
    truth = {
        arm: (0.8 if not arm.endswith("/base") else -0.8) + 0.15 * (place % 3 - 1)
        for place, arm in enumerate(arms)
    }
    at_ms = now_ms() - 86_400_000
    with database.writing() as session:
        pack = load_judging_pack(spec.domain)
        made = create_campaign(session, spec, pack, answers, at_ms=at_ms, actor="demonstration")
        campaign = made.campaign
        change_state(session, campaign, "open", at_ms=at_ms, actor="demonstration")
        world = world_of(session, campaign, truth, rng=rng, share_unsafe=0.1)
        raters = []
        for place in range(12):
            guest = Guest(
                ("licensed", "trainee", "lay")[place % 3],
                spec.languages[place % len(spec.languages)],
            )
            invited = invite(session, campaign, guest, days=7, at_ms=at_ms, actor="demonstration")
            rater = accept(session, invited.secret, at_ms=at_ms).rater
            consent(session, campaign, rater, version=campaign.consent_version, at_ms=at_ms)
            raters.append(draw_rater(rater, rng=rng))
        n_places = sum(part["n_places"] for part in campaign.plan.values())
        work(session, campaign, raters, world, at_ms=at_ms, rng=rng, n_main=3 * n_places // 4)
        return campaign.id, truth


def _recovered(result: Any, truth: dict[str, float]) -> list[dict[str, Any]]:
    """Return for every pair of arms the difference that was set beside its interval."""
    from qingting.core.missing import Missing
    from qingting.stats.rating_results import OrdinalMixedFit

    overall = next(one for one in result.criteria if one.criterion == "overall")
    if not isinstance(overall.ratings, OrdinalMixedFit):
        return []
    rows = []
    for one in overall.ratings.contrasts:
        if isinstance(one.log_odds, Missing) or isinstance(one.log_odds.interval, Missing):
            continue
        low, high = one.log_odds.interval
        was_set = truth[one.first] - truth[one.second]
        rows.append(
            {
                "first": one.first,
                "second": one.second,
                "was_set": round(was_set, 3),
                "estimate": one.log_odds.value,
                "low": low,
                "high": high,
                "is_within": bool(low <= was_set <= high),
            }
        )
    return rows


def _show(record: dict[str, Any]) -> None:
    typer.echo(
        f"{record['n_raters']} SIMULATED raters gave {record['n_judgments']} judgments; what they "
        "say is synthetic and says nothing about the models"
    )
    rows = record["truth"]
    n_within = sum(row["is_within"] for row in rows)
    typer.echo(
        f"differences that were set, within the analysis' 95 % intervals: {n_within}/{len(rows)}"
    )
    for row in rows[:10]:
        typer.echo(
            f"  {row['first']} − {row['second']}: set {row['was_set']:+.2f}, found "
            f"{row['estimate']:+.2f} [{row['low']:+.2f} … {row['high']:+.2f}]"
        )
    typer.echo(f"analysis: {record['analysis']}")
    for language, link in record["rater_links"].items():
        typer.echo(f"judge yourself ({language}): {link}")
    typer.echo(f"the owner's pages, once within half an hour: {record['owner_link']}")
