"""``qingting judge demo``: a study judged by simulated raters, to see all of it without people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from qingting.cli.judge_options import AsJson
from qingting.cli.output import print_json

if TYPE_CHECKING:
    from qingting.judging.analysis import StudyAnalysis
    from qingting.judging.answers import Run
    from qingting.judging.snapshot import SnapshotData
    from qingting.spec.judging import CampaignSpec

Mode = Literal["single", "pair"]
N_RATERS = 12
N_EXPERTS = 4
N_PAIRS = 1000
"""The budget of comparisons; every pair of a dozen arms on every item would take days."""

_FOLDER = Path("judging-demo")


class Truth(NamedTuple):
    """What was set: the quality of arms and the severity of raters by pseudonym, in log-odds."""

    quality: dict[str, float]
    severity: dict[str, float]


def demo(
    run: Annotated[
        Path, typer.Option(help="Work folder of a run whose answers are judged.")
    ] = Path("runs/quickstart"),
    mode: Annotated[Mode, typer.Option(help="What one judgment is of.")] = "single",
    folder: Annotated[Path, typer.Option(help="Folder to make the study in.")] = _FOLDER,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to serve on.")] = 8080,
    seed: Annotated[int, typer.Option(help="Seed of the simulated raters.", min=0)] = 7,
    serve: Annotated[bool, typer.Option(help="Open the study and serve it at the end.")] = True,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier demo.")] = False,
    as_json: AsJson = False,
) -> None:
    """Have 12 synthetic raters judge a run's answers, analyse, and open the study for you.

    The raters do not read: each arm's quality and each rater's severity are set here, tuned arms
    above their bases, and the analysis must find them again. Nothing that they say is about the
    answers.
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
        record = make_demo(
            database, found, folder, mode=mode, seed=seed, url=f"http://127.0.0.1:{port}"
        )
    finally:
        database.close()
    if as_json:
        print_json(record)
    else:
        _show(record)
    if serve:
        from qingting.cli.judge_serve import serve as serve_study

        serve_study(port=port, snapshots=folder / "snapshots", database=str(path))


def make_demo(
    database: Any, found: Run, folder: Path, *, mode: Mode, seed: int, url: str
) -> dict[str, Any]:
    """Return the record of a new study that simulated raters judged and that was analysed."""
    from qingting.judging.owners import add_owner, new_link
    from qingting.judging.people import Guest, invite
    from qingting.judging.snapshot import freeze, read_snapshot
    from qingting.judging.tokens import now_ms
    from qingting.report.judging_files import write_analysis

    identity, truth = _judged(database, found, mode=mode, seed=seed)
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
        "mode": mode,
        "truth": recovered(read_snapshot(frozen.folder), result, truth),
        "severity": recovered_severity(result, truth),
        "analysis": str(folder / "analysis" / "human_judge_analysis.md"),
        "snapshot": str(frozen.folder),
        "rater_links": links,
        "owner_link": owner_link,
    }


def _judged(database: Any, found: Run, *, mode: Mode, seed: int) -> tuple[int, Truth]:
    """Return a new study, three quarters judged, and what was set for arms and raters."""
    import numpy as np

    from qingting.domains.judging_pack import load_judging_pack
    from qingting.judging.answers import complete_items
    from qingting.judging.campaigns import change_state, create_campaign
    from qingting.judging.people import Guest, accept, consent, invite
    from qingting.judging.simulation import draw_rater, work, world_of
    from qingting.judging.tokens import now_ms

    rng = np.random.default_rng(seed)
    answers, _ = complete_items(found.answers)
    spec = _spec(found, mode)
    arms = sorted({one.arm for one in answers})
    quality = {
        arm: (0.8 if not arm.endswith("/base") else -0.8) + 0.15 * (place % 3 - 1)
        for place, arm in enumerate(arms)
    }
    at_ms = now_ms() - 86_400_000
    with database.writing() as session:
        pack = load_judging_pack(spec.domain)
        made = create_campaign(session, spec, pack, answers, at_ms=at_ms, actor="demonstration")
        campaign = made.campaign
        change_state(session, campaign, "open", at_ms=at_ms, actor="demonstration")
        world = world_of(session, campaign, quality, rng=rng, share_unsafe=0.1)
        raters = []
        for place in range(N_RATERS):
            guest = Guest(
                ("licensed", "trainee", "lay")[place % 3],
                spec.languages[place % len(spec.languages)],
                "expert" if place < N_EXPERTS else "rater",
            )
            invited = invite(session, campaign, guest, days=7, at_ms=at_ms, actor="demonstration")
            rater = accept(session, invited.secret, at_ms=at_ms).rater
            consent(session, campaign, rater, version=campaign.consent_version, at_ms=at_ms)
            raters.append(draw_rater(rater, rng=rng))
        n_places = sum(part["n_places"] for part in campaign.plan.values())
        work(session, campaign, raters, world, at_ms=at_ms, rng=rng, n_main=3 * n_places // 4)
        severity = {one.rater.public_id: one.severity for one in raters}
        return campaign.id, Truth(quality, severity)


def _spec(found: Run, mode: Mode) -> CampaignSpec:
    """Return the study: what the run's experiment asks for, in this mode, for twelve raters."""
    from qingting.spec.judging import CampaignSpec

    languages = sorted({one.language for one in found.answers})
    asked = {"languages": languages, **(found.judging or {})}
    return CampaignSpec.model_validate(
        {
            **asked,
            "name": "demonstration · SIMULATED raters 模拟评价者",
            "mode": mode,
            # three quarters are judged, so the question on blinding must come earlier than usual
            "quality": {**asked.get("quality", {}), "share_guess": 0.45},
            "active": False,
            "decision": None,
            "n_raters": N_RATERS,
            "raters_per_unit": 4,
            "n_judgments": N_PAIRS if mode == "pair" else None,
        },
        strict=False,
    )


def recovered(data: SnapshotData, result: StudyAnalysis, truth: Truth) -> list[dict[str, Any]]:
    """Return for every pair of arms the difference that was set beside what the analysis finds.

    The intervals hold for all pairs at once: each at the level of 95 % corrected for their number
    (Bonferroni). A pair without an interval is not found again.
    """
    from math import comb

    from qingting.judging.criteria import contrast_intervals, defined, pair_ranking, rating_fit
    from qingting.stats.clusters import Interval

    out = {one.rater for one in result.exclusions}
    main = [row for row in data.judgments if row["role"] == "main" and row["rater"] not in out]
    level = 1 - 0.05 / comb(len(truth.quality), 2)
    name = result.headline
    found = (
        defined(lambda: pair_ranking(main, name, seed=7, confidence_level=level))
        if data.study["spec"]["mode"] == "pair"
        else defined(lambda: rating_fit(main, name, confidence_level=level))
    )
    rows = []
    for (first, second), interval in contrast_intervals(found).items():
        was_set = truth.quality[first] - truth.quality[second]
        is_known = isinstance(interval, Interval)
        rows.append(
            {
                "first": first,
                "second": second,
                "was_set": round(was_set, 3),
                "low": interval.low if is_known else None,
                "high": interval.high if is_known else None,
                "is_within": is_known and bool(interval.low <= was_set <= interval.high),
            }
        )
    return rows


def recovered_severity(result: StudyAnalysis, truth: Truth) -> list[dict[str, Any]]:
    """Return each rater's severity as it was set, less the mean, beside the fitted one."""
    from statistics import mean

    from qingting.core.missing import Missing
    from qingting.stats.rating_results import OrdinalMixedFit

    (headline,) = (one for one in result.criteria if one.criterion == result.headline)
    fit = headline.ratings
    if not isinstance(fit, OrdinalMixedFit) or isinstance(fit.severities, Missing):
        return []
    centre = mean(truth.severity[one.rater] for one in fit.severities)
    return [
        {
            "rater": one.rater,
            "was_set": truth.severity[one.rater] - centre,
            "found": one.value,
            "standard_error": one.standard_error,
        }
        for one in fit.severities
    ]


def _show(record: dict[str, Any]) -> None:
    typer.echo(
        f"{record['n_raters']} SIMULATED raters gave {record['n_judgments']} judgments; what they "
        "say is synthetic and says nothing about the models"
    )
    rows = record["truth"]
    n_within = sum(row["is_within"] for row in rows)
    typer.echo(
        f"differences that were set, within intervals that hold for all pairs at once (95 %): "
        f"{n_within}/{len(rows)}"
    )
    for row in [*(row for row in rows if not row["is_within"]), *rows][:10]:
        found = "no interval" if row["low"] is None else f"{row['low']:+.2f} … {row['high']:+.2f}"
        typer.echo(
            f"  {row['first']} − {row['second']}: set {row['was_set']:+.2f}, found [{found}]"
        )
    severity = record["severity"]
    n_near = sum(abs(s["was_set"] - s["found"]) <= 2 * s["standard_error"] for s in severity)
    if severity:
        typer.echo(
            f"severities of raters that were set, found within two standard errors: "
            f"{n_near}/{len(severity)}"
        )
    typer.echo(f"analysis: {record['analysis']}")
    for language, link in record["rater_links"].items():
        typer.echo(f"judge yourself ({language}): {link}")
    typer.echo(f"the owner's pages, once within half an hour: {record['owner_link']}")
