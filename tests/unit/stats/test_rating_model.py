from itertools import pairwise

import numpy as np
import pytest

from qingting.core.errors import DataError, SpecificationError, UndefinedStatisticError
from qingting.core.missing import Missing
from qingting.stats.arm_ratings import ArmRatings
from qingting.stats.rating_model import fit_ordinal_mixed


def study(seed=1, *, n_arms=2, n_prompts=24, n_raters=6, nested=0.4, gain=0.8, kept=0.9):
    """Return labels and ratings 1–5, of which the second arm's are higher."""
    r = np.random.default_rng(seed)
    rows = []
    prompts, raters = r.normal(0, 0.8, n_prompts), r.normal(0, 0.6, n_raters)
    of_prompts = r.normal(0, nested, (n_prompts, n_arms))
    of_raters = r.normal(0, nested, (n_raters, n_arms))
    for arm in range(n_arms):
        for prompt in range(n_prompts):
            for rater in range(n_raters):
                if r.random() > kept:
                    continue
                eta = gain * arm + prompts[prompt] + raters[rater]
                eta += of_prompts[prompt, arm] + of_raters[rater, arm]
                rating = 1 + np.searchsorted([-1.5, -0.5, 0.5, 1.5], eta + r.logistic())
                rows.append((f"arm {arm}", f"p{prompt}", f"r{rater}", float(rating)))
    return rows


def table(rows, **options):
    arms, prompts, raters, values = zip(*rows, strict=True)
    return ArmRatings.of(arms, prompts, raters, values, **options)


def close(found, expected, tolerance=2e-4):
    assert found.value == pytest.approx(expected.value, abs=tolerance)
    assert [*found.interval] == pytest.approx([*expected.interval], abs=tolerance)


def test_a_higher_rated_arm_is_found_with_its_shares_and_severities():
    fit = fit_ordinal_mixed(table(study(gain=1.5), scale=range(1, 6)))
    contrast = fit.contrast("arm 1", "arm 0")
    assert contrast.log_odds.interval.low > 0
    assert contrast.superiority.interval.low > 0.5
    assert contrast.p_value < 0.05
    assert contrast.shifts[-1].value > 0 > contrast.shifts[0].value
    assert sum(one.value for one in contrast.shifts) == pytest.approx(0, abs=1e-9)
    for shares in fit.shares.values():
        assert sum(one.value for one in shares) == pytest.approx(1, abs=1e-9)
    assert fit.convergence.converged and fit.convergence.smallest_curvature > 0
    assert fit.degrees_of_freedom == 5
    assert (np.diff(fit.thresholds) > 0).all()
    assert len(fit.severities) == 6


def test_the_strictest_rater_is_the_one_whose_ratings_are_lowest():
    rows = study(n_raters=5, nested=0.1)
    harsh = [(a, p, "harsh", max(1.0, v - 2)) for a, p, r, v in rows if r == "r0"]
    fit = fit_ordinal_mixed(table(rows + harsh))
    strictest = max(fit.severities, key=lambda one: one.value)
    assert strictest.rater == "harsh"
    assert strictest.value > 2 * strictest.standard_error


def test_swapping_labels_flips_signs():
    rows = study(n_arms=3)
    swapped = {"arm 0": "arm 1", "arm 1": "arm 0", "arm 2": "arm 2"}
    first = fit_ordinal_mixed(table(rows))
    second = fit_ordinal_mixed(table([(swapped[a], p, r, v) for a, p, r, v in rows]))
    one, other = first.contrast("arm 0", "arm 1"), second.contrast("arm 1", "arm 0")
    close(one.log_odds, other.log_odds)
    close(one.superiority, other.superiority)
    turned = first.contrast("arm 1", "arm 0")
    assert turned.log_odds.value == -one.log_odds.value
    assert turned.log_odds.interval.low == -one.log_odds.interval.high
    assert turned.superiority.value == pytest.approx(1 - one.superiority.value)


def test_order_of_rows_changes_nothing():
    rows = study(n_arms=3)
    shuffled = [rows[i] for i in np.random.default_rng(2).permutation(len(rows))]
    first, second = fit_ordinal_mixed(table(rows)), fit_ordinal_mixed(table(shuffled))
    assert first.log_likelihood == pytest.approx(second.log_likelihood, abs=1e-6)
    for a, b in (("arm 0", "arm 1"), ("arm 0", "arm 2"), ("arm 1", "arm 2")):
        close(first.contrast(a, b).log_odds, second.contrast(a, b).log_odds)
        close(first.contrast(a, b).superiority, second.contrast(a, b).superiority)
    assert [one.rater for one in first.severities] == [one.rater for one in second.severities]


def test_reversing_the_scale_flips_everything():
    rows = study()
    fit = fit_ordinal_mixed(table(rows))
    reversed_fit = fit_ordinal_mixed(table([(a, p, r, 6 - v) for a, p, r, v in rows]))
    assert reversed_fit.log_likelihood == pytest.approx(fit.log_likelihood, abs=1e-6)
    close(reversed_fit.contrast("arm 1", "arm 0").log_odds, fit.contrast("arm 0", "arm 1").log_odds)
    assert reversed_fit.thresholds == pytest.approx(
        -(fit.thresholds[::-1]) , abs=2e-4
    )  # fmt: skip
    for one, other in zip(fit.severities, reversed_fit.severities, strict=True):
        assert one.value == pytest.approx(-other.value, abs=2e-4)


def test_relabelling_ratings_in_order_changes_no_difference():
    rows = study()
    stretched = [(a, p, r, v**3) for a, p, r, v in rows]
    close(
        fit_ordinal_mixed(table(stretched)).contrasts[0].log_odds,
        fit_ordinal_mixed(table(rows)).contrasts[0].log_odds,
        1e-9,
    )


def test_repeats_by_the_same_rater_are_no_new_evidence():
    rows = study()
    once, thrice = fit_ordinal_mixed(table(rows)), fit_ordinal_mixed(table(rows * 3))
    close(thrice.contrasts[0].log_odds, once.contrasts[0].log_odds, 1e-9)
    assert any("repeated ratings" in note for note in thrice.notes)


def test_ignoring_raters_and_prompts_claims_too_much():
    rows = study(nested=0.8, gain=0.0)
    honest = fit_ordinal_mixed(table(rows)).contrasts[0].log_odds.interval
    naive_fit = fit_ordinal_mixed(table(rows), effects=())
    naive = naive_fit.contrasts[0].log_odds.interval
    assert honest.high - honest.low > 2 * (naive.high - naive.low)
    assert any("independent" in note for note in naive_fit.notes)
    assert naive_fit.degrees_of_freedom is None


def test_variation_that_is_not_there_stands_at_the_boundary_and_is_said():
    fit = fit_ordinal_mixed(table(study(seed=3, nested=0.0)))
    at_zero = [one.effect for one in fit.components if one.is_boundary]
    assert at_zero
    for one in fit.components:
        if one.is_boundary:
            assert one.standard_deviation == 0.0
            assert isinstance(one.standard_error, Missing)
    assert any("boundary" in note and at_zero[0] in note for note in fit.notes)
    # Nothing is lost: the likelihood is as high as without these effects.
    kept = [one.effect for one in fit.components if not one.is_boundary]
    smaller = fit_ordinal_mixed(table(study(seed=3, nested=0.0)), effects=kept)
    assert fit.log_likelihood == pytest.approx(smaller.log_likelihood, abs=1e-5)


def test_more_effects_never_lower_the_likelihood():
    data = table(study(n_arms=3))
    found = [
        fit_ordinal_mixed(data, effects=effects).log_likelihood
        for effects in (
            (),
            ("rater",),
            ("rater", "prompt"),
            ("rater", "prompt", "arm:prompt"),
            ("rater", "prompt", "arm:prompt", "arm:rater"),
        )
    ]
    assert all(b >= a - 1e-6 for a, b in pairwise(found))


@pytest.mark.parametrize("sides", [("prompt", "arm:prompt"), ("rater", "arm:rater")])
def test_which_side_is_eliminated_changes_nothing(sides):
    # More raters than prompts puts raters first; renaming the two gives the same study.
    rows = study(n_prompts=9, n_raters=14)
    turned = [(a, r, p, v) for a, p, r, v in rows]
    other = {"prompt": "rater", "rater": "prompt"}
    effects = (*sides, other[sides[0]])
    renamed = tuple(
        e.replace(e.split(":")[-1], other[e.split(":")[-1]]) for e in effects
    )  # fmt: skip
    first = fit_ordinal_mixed(table(rows), effects=effects)
    second = fit_ordinal_mixed(table(turned), effects=renamed)
    assert first.log_likelihood == pytest.approx(second.log_likelihood, abs=1e-7)
    close(first.contrasts[0].log_odds, second.contrasts[0].log_odds)


def test_unused_categories_are_named_and_get_no_threshold():
    rows = [(a, p, r, v if v != 3 else 2.0) for a, p, r, v in study()]
    fit = fit_ordinal_mixed(table(rows, scale=range(6)))
    assert fit.unused == (0.0, 3.0)
    assert fit.categories == (1.0, 2.0, 4.0, 5.0)
    assert len(fit.thresholds) == 3
    assert any("never given" in note and "0, 3" in note for note in fit.notes)


def test_one_category_or_one_arm_is_undefined():
    rows = study()
    with pytest.raises(UndefinedStatisticError, match="every rating is 3"):
        fit_ordinal_mixed(table([(a, p, r, 3.0) for a, p, r, _ in rows]))
    with pytest.raises(UndefinedStatisticError, match="one arm only"):
        fit_ordinal_mixed(table([row for row in rows if row[0] == "arm 0"]))


def test_an_arm_that_only_gets_the_highest_rating_is_undefined():
    rows = [(a, p, r, 5.0 if a == "arm 1" else v) for a, p, r, v in study()]
    with pytest.raises(UndefinedStatisticError, match="'arm 1' is 5, the highest"):
        fit_ordinal_mixed(table(rows))


def test_arms_whose_ratings_do_not_overlap_are_undefined():
    rows = [(a, p, r, v + 10 if a == "arm 1" else v) for a, p, r, v in study()]
    with pytest.raises(UndefinedStatisticError, match="infinite"):
        fit_ordinal_mixed(table(rows))


def test_prompts_that_determine_their_ratings_are_undefined():
    rows = [(a, p, r, 1.0 + int(p[1:]) % 2) for a, p, r, _ in study()]
    with pytest.raises(UndefinedStatisticError, match="spread of a random effect is infinite"):
        fit_ordinal_mixed(table(rows))


def test_every_small_study_ends_at_a_proper_maximum():
    # At scale 0 the slope is 0 whatever the data say, so a search could stop at a saddle.
    r = np.random.default_rng(5)
    for seed in range(40):
        rows = [row for row in study(seed, n_prompts=12, n_raters=4) if r.random() < 0.7]
        fit = fit_ordinal_mixed(table(rows))
        assert fit.convergence.converged
        assert fit.convergence.smallest_curvature > 0


def test_one_rater_says_nothing_about_raters():
    fit = fit_ordinal_mixed(table(study(n_raters=1, n_prompts=40, kept=1.0)))
    assert isinstance(fit.severities, Missing)
    assert "one rater" in fit.severities.reason
    by_name = {one.effect: one for one in fit.components}
    assert isinstance(by_name["rater"].standard_deviation, Missing)
    # One rating per reply: the effect of a prompt on an arm cannot be told from the rest.
    assert isinstance(by_name["arm:prompt"].standard_deviation, Missing)
    assert fit.degrees_of_freedom == 39
    assert any("one rater" in note for note in fit.notes)


def test_without_raters_prompts_are_the_units():
    arms, prompts, _, values = zip(*study(), strict=True)
    fit = fit_ordinal_mixed(ArmRatings.of(arms, prompts, None, values))
    assert fit.degrees_of_freedom == 23
    assert fit.n_raters == 0
    assert isinstance(fit.severities, Missing)


def test_arms_without_a_shared_prompt_or_rater_are_not_compared():
    rows = study() + [(f"other {a}", f"other {p}", f"other {r}", v) for a, p, r, v in study(seed=9)]
    fit = fit_ordinal_mixed(table(rows))
    assert isinstance(fit.contrast("arm 0", "other arm 1").log_odds, Missing)
    assert isinstance(fit.contrast("arm 0", "other arm 1").p_value, Missing)
    assert not isinstance(fit.contrast("arm 0", "arm 1").log_odds, Missing)


def test_few_raters_and_prompts_are_said():
    fit = fit_ordinal_mixed(table(study(n_raters=3, n_prompts=10)))
    assert any("6 raters and 24 prompts" in note for note in fit.notes)


def test_a_baseline_is_compared_with_every_other_arm():
    fit = fit_ordinal_mixed(table(study(n_arms=3)), baseline="arm 1")
    pairs = [(one.first, one.second) for one in fit.contrasts]
    assert pairs == [("arm 0", "arm 1"), ("arm 2", "arm 1")]
    with pytest.raises(SpecificationError, match="Did you mean 'arm 1'"):
        fit_ordinal_mixed(table(study()), baseline="arm1")


def test_unknown_effects_and_ratings_outside_the_scale_are_refused():
    with pytest.raises(SpecificationError, match="Did you mean 'rater'"):
        fit_ordinal_mixed(table(study()), effects=("raters",))
    with pytest.raises(DataError, match="not one of the scale"):
        table(study(), scale=range(1, 5))
