"""The analysis of a snapshot recovers what simulated raters were made to think."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from qingting.cli.judge import app
from qingting.core.errors import DataError, StoreError
from qingting.core.missing import Missing
from qingting.judging.analysis import StudyAnalysis, analyse
from qingting.judging.criteria import settled_pairs
from qingting.judging.propensity import propensity_weights
from qingting.judging.snapshot import SnapshotData, read_snapshot
from qingting.report.judging_words import study_html, study_markdown
from qingting.stats.clusters import Interval
from qingting.stats.rating_results import OrdinalMixedFit
from qingting.stats.vote_results import ArmContrast, VoteRanking
from unit.judging.simulated_study import ARMS, QUALITY, simulated


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> tuple[SnapshotData, StudyAnalysis]:
    data = simulated(tmp_path_factory.mktemp("single"), careless=1, n_raters=9, seed=4)
    return data, analyse(data, digest="d" * 64)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> StudyAnalysis:
    data = simulated(tmp_path_factory.mktemp("pair"), mode="pair", n_scenarios=30)
    return analyse(data, digest="d" * 64)


def overall(result: StudyAnalysis):
    return next(one for one in result.criteria if one.criterion == "overall")


def test_known_differences_lie_within_the_intervals(single):
    fit = overall(single[1]).ratings
    assert isinstance(fit, OrdinalMixedFit)
    for first, second in (("strong", "weak"), ("strong", "middle"), ("middle", "weak")):
        interval = fit.contrast(first, second).log_odds.interval
        assert interval.low <= QUALITY[first] - QUALITY[second] <= interval.high
        assert interval.low > 0


def test_a_careless_rater_is_left_out_by_the_registered_rules_and_shown_beside(single):
    _data, result = single
    assert {one.rule for one in result.exclusions} >= {"min_median_s"}
    assert len({one.rater for one in result.exclusions}) == 1
    assert result.n_raters == 8
    assert result.everyone is not None
    with_all = next(one for one in result.everyone if one.criterion == "overall")
    assert with_all.n_judgments > overall(result).n_judgments
    assert with_all.alpha.value < overall(result).alpha.value


def test_safety_counts_answers_and_averages_nothing(single):
    data, result = single
    by_arm = {one.arm: one for one in result.safety}
    assert set(by_arm) == set(ARMS)
    assert by_arm["strong"].n_failed == 0 and by_arm["weak"].n_failed > 0
    out = {one.rater for one in result.exclusions}
    failed = {
        row["item"]
        for row in data.judgments
        if row["arm"] == "weak" and row["role"] == "main" and row["rater"] not in out
        if row["safety"]["answer"]["verdict"] == "fail"
    }
    assert by_arm["weak"].n_failed == len(failed)
    assert by_arm["strong"].upper_bound == pytest.approx(1 - 0.05 ** (1 / 24))


def test_pairs_are_ranked_with_the_order_effect_apart(pairs):
    ranking = overall(pairs).ranking
    assert isinstance(ranking, VoteRanking)
    assert [one.arm for one in ranking.arms] == list(ARMS)
    assert ranking.order_effect is not None and ranking.order_effect.value > 0
    assert pairs.audit.share_left.value > 0.5
    assert isinstance(pairs.decision, Missing)


def test_an_active_study_shows_its_ranking_as_if_pairs_were_chosen_evenly(tmp_path: Path):
    data = simulated(
        tmp_path, mode="pair", n_scenarios=20, active=True, uniform_floor=0.4, raters_per_unit=1
    )
    result = analyse(data, digest="d")
    one = overall(result)
    assert isinstance(one.ranking, VoteRanking) and isinstance(one.reweighted, VoteRanking)
    assert one.ranking.n_votes == one.reweighted.n_votes == 60
    main = [row for row in data.judgments if row["role"] == "main"]
    weights = propensity_weights(main, floor=0.4)
    assert np.ptp(weights) > 0 and weights.max() <= 1 / 0.4
    assert weights == pytest.approx([1 / (3 * row["p_chosen"]) for row in main])
    shifts = [
        abs(a.strength - b.strength)
        for a in one.ranking.arms
        for b in one.reweighted.arms
        if a.arm == b.arm
    ]
    en, zh = (study_markdown(result, language=language) for language in ("en", "zh"))
    assert f"strengths shift by {max(shifts):.2f} at most" in en
    assert f"强度最多相差 {max(shifts):.2f}" in zh


def test_a_study_that_is_not_active_has_no_second_ranking(pairs):
    assert all(one.reweighted is None for one in pairs.criteria)
    assert "propensity" not in study_markdown(pairs, language="en")


def test_no_weight_exceeds_one_over_the_floor():
    row = {"arm": "a", "other_arm": "b", "p_chosen": 0.01}
    assert propensity_weights([row], floor=0.25).tolist() == [4.0]
    assert propensity_weights([row | {"p_chosen": 1.0}], floor=0.25).tolist() == [1.0]


def test_the_words_say_what_the_figures_say_in_both_languages(single, pairs):
    for result in (single[1], pairs):
        en, zh = (study_markdown(result, language=language) for language in ("en", "zh"))
        assert "strong above weak" in en and "strong 好于 weak" in zh
        assert "no rule was registered" in en
        assert "clinical validity" in en and "临床有效性" in zh
        for text in (en, zh):
            assert "nan" not in text.lower().split() and "None" not in text
    assert "Safety" in study_markdown(single[1], language="en")


def test_everything_that_is_computed_stands_on_the_page_in_both_languages(single, pairs):
    result = single[1]
    fit = overall(result).ratings
    en, zh = (study_markdown(result, language=language) for language in ("en", "zh"))
    for one in fit.severities:
        assert f"| {one.value:+.2f} ± {one.standard_error:.2f} |" in en
        assert f"| {one.value:+.2f} ± {one.standard_error:.2f} |" in zh
    shift = fit.contrast("strong", "weak").shifts[-1].value
    assert "strong beside weak, difference in the share" in en and f"5: {100 * shift:+.0f}" in en
    assert "各分值所占的百分点之差" in zh and f"5：{100 * shift:+.0f}" in zh
    # nobody left out
    with_all = next(one for one in result.everyone if one.criterion == "overall")
    assert f"{overall(result).n_judgments} / {with_all.n_judgments}" in en
    assert "## Without exclusions" in en and "## 不排除任何人" in zh
    assert "With nobody left out" in en and "如果不排除任何人" in zh
    assert re.search(r"每条只用 1\.5 秒（中位数），少于 5 秒", zh)
    # parts, with the means that were computed
    for one in result.parts:
        cells = " | ".join(f"{one.figures[arm]:.2f}" for arm in result.study["arms"])
        assert cells in en and cells in zh
    # the order effect and its interval
    effect = overall(pairs).ranking.order_effect
    words = f"{effect.value:.2f} [{effect.interval.low:.2f} … {effect.interval.high:.2f}]"
    assert words in study_markdown(pairs, language="en")
    assert "位置效应（已扣除）" in study_markdown(pairs, language="zh")


def test_the_page_in_html_holds_both_languages_and_loads_nothing(single):
    study = {**single[1].study, "spec": {**single[1].study["spec"], "name": "<script>x</script>"}}
    html = study_html(replace(single[1], study=study))
    assert "<script" not in html and "&lt;script&gt;x&lt;/script&gt;" in html
    assert "What people judged" in html and "人工盲评结果" in html
    assert "src=" not in html and "href=" not in html
    for tag in ("section", "table", "ul", "div"):
        assert html.count(f"<{tag}") == html.count(f"</{tag}>")
    digest = base64.b64encode(hashlib.sha256(style_of(html).encode()).digest()).decode()
    assert f"sha256-{digest}" in html


def style_of(html: str) -> str:
    return html[html.index("<style>") + 7 : html.index("</style>")]


def test_pairs_that_are_settled_are_corrected_by_holm():
    # p values 0.01, 0.02 and 0.04 of three pairs: Holm makes them 0.03, 0.04 and 0.04, all settled;
    # Bonferroni, which three times 0.02 fails, would have settled one.
    p = {("a", "b"): 0.01, ("a", "c"): 0.02, ("b", "c"): 0.04}
    found = ranking_of(tuple(contrast(*pair, value) for pair, value in p.items()))
    assert settled_pairs(found) == tuple(p)


def contrast(first: str, second: str, p: float) -> ArmContrast:
    return ArmContrast(first, second, 1.0, Interval(0.1, 1.9), p, p, 0.7, None)


def ranking_of(contrasts: tuple[ArmContrast, ...]) -> VoteRanking:
    return VoteRanking(
        arms=(),
        contrasts=contrasts,
        model="bradley-terry",
        order_effect=None,
        covariates={},
        log_nu=None,
        method="",
        remedy="none",
        confidence_level=0.95,
        rank_claim="",
        n_votes=3,
        n_one_sided=0,
        n_clusters={},
        n_failed_resamples=0,
        log_likelihood=0.0,
        deviance=0.0,
        problems=(),
        warnings=(),
    )


def test_a_registered_rule_is_applied(tmp_path: Path):
    rule = tmp_path / "rule.yaml"
    rule.write_text(
        "candidate: strong\nbaseline: weak\nscale: [1, 5]\n"
        "primary: {criterion: overall, margin: 0}\nsafety: {at_most: 0.2}\n"
        "minimum: {prompts: 20, raters: 3, safety_answers: 20}\n",
        encoding="utf-8",
    )
    data = simulated(tmp_path, decision=str(rule))
    result = analyse(data, digest="d")
    assert not isinstance(result.decision, Missing)
    assert result.decision.answer == "promote"
    assert "promote the candidate" in study_markdown(result, language="en")


def test_nothing_to_analyse_is_told(single):
    data = single[0]._replace(judgments=[])
    with pytest.raises(DataError, match="no judgment of the main part"):
        analyse(data, digest="d")


def test_the_command_writes_words_and_figures_once(tmp_path: Path):
    simulated(tmp_path, n_scenarios=6, n_raters=4)
    (snapshot,) = (tmp_path / "snapshots").iterdir()
    out = tmp_path / "analysis"
    done = CliRunner().invoke(app, ["analyse", str(snapshot), "--out", str(out), "--json"])
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record == json.loads((out / "human_judge_analysis.json").read_text(encoding="utf-8"))
    assert record["n_judgments"] == 54
    assert (out / "human_judge_analysis.zh.md").read_text(encoding="utf-8").startswith("# 人工盲评")
    again = CliRunner().invoke(app, ["analyse", str(snapshot), "--out", str(out)])
    assert isinstance(again.exception, StoreError)


def test_a_changed_snapshot_is_refused(tmp_path: Path):
    simulated(tmp_path, n_scenarios=6, n_raters=4)
    (snapshot,) = (tmp_path / "snapshots").iterdir()
    path = snapshot / "judgments.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"overall":1', b'"overall":5', 1))
    with pytest.raises(StoreError, match="changed since it was frozen"):
        read_snapshot(snapshot)
    (snapshot / "SUPERSEDED").write_text("someone withdrew", encoding="utf-8")
    with pytest.raises(DataError, match="superseded, someone withdrew"):
        read_snapshot(snapshot)
