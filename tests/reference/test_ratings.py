"""Cumulative link models, without and with random effects, against published numbers.

The wine data: Randall (1989), bitterness of white wines on a scale of 1 to 5, nine judges, two
bottles each at two temperatures, with and without contact of juice and skins.
"""

import numpy as np
import pytest
from scipy import integrate, special, stats
from statsmodels.miscmodels.ordinal_model import OrderedModel

from qingting.stats.arm_ratings import ArmRatings
from qingting.stats.crossed_effects import CrossedDesign
from qingting.stats.laplace import LaplaceLikelihood, Parameters
from qingting.stats.marginal_ratings import rating_shares, superiority
from qingting.stats.mixed_ordinal import fit_mixed_ordinal
from qingting.stats.ordinal import OrdinalData, fit_ordinal
from qingting.stats.rating_model import fit_ordinal_mixed

# Rows are judges; columns cold-no, cold-no, cold-yes, cold-yes, warm-no, warm-no, warm-yes,
# warm-yes (temperature, contact). As printed in Christensen, Cumulative Link Models for Ordinal
# Regression with the R Package ordinal, Table 1.
WINE = np.array([
    [2, 3, 3, 4, 4, 4, 5, 5],
    [1, 2, 1, 3, 2, 3, 5, 4],
    [2, 3, 3, 2, 5, 5, 4, 4],
    [3, 2, 3, 2, 3, 2, 5, 3],
    [2, 3, 4, 3, 3, 3, 3, 3],
    [3, 2, 3, 2, 2, 4, 5, 4],
    [1, 1, 2, 2, 2, 3, 2, 3],
    [2, 2, 2, 3, 3, 3, 3, 4],
    [1, 2, 3, 2, 3, 2, 4, 4],
])  # fmt: skip
WARM = np.tile([0.0, 0, 0, 0, 1, 1, 1, 1], 9)
CONTACT = np.tile([0.0, 0, 1, 1, 0, 0, 1, 1], 9)
JUDGES = np.repeat(np.arange(9), 8)


def wine():
    return OrdinalData.of(WINE.ravel() - 1, np.column_stack([WARM, CONTACT]))


def wine_with_judges():
    nobody = np.zeros(72, int)
    design = CrossedDesign.of(
        JUDGES, nobody, nobody, has_nested_first=False, has_nested_second=False
    )
    return fit_mixed_ordinal(wine(), design, effects=(True, False, False, False))


def test_wine_without_judges_is_as_published():
    # R ordinal, clm(rating ~ temp + contact): estimates, standard errors, log-likelihood.
    fit = fit_ordinal(wine())
    assert fit.thresholds == pytest.approx([-1.3444, 1.2508, 3.4669, 5.0064], abs=5e-5)
    assert fit.effects == pytest.approx([2.5031, 1.5278], abs=5e-5)
    assert np.sqrt(np.diag(fit.covariance)) == pytest.approx(
        [0.5171, 0.4379, 0.5978, 0.7309, 0.5287, 0.4766], abs=6e-5
    )
    assert fit.log_likelihood == pytest.approx(-86.49, abs=5e-3)


def test_wine_without_judges_equals_statsmodels():
    fit = fit_ordinal(wine())
    model = OrderedModel(WINE.ravel(), np.column_stack([WARM, CONTACT]), distr="logit")
    other = model.fit(method="newton", disp=False, tol=1e-14)
    # Where statsmodels stops, its slopes are 1e-9; ours are below 1e-12.
    assert fit.effects == pytest.approx(other.params[:2], abs=1e-9)
    assert fit.log_likelihood == pytest.approx(other.llf, abs=1e-10)
    terms = wine().terms(fit.thresholds, wine().design @ fit.effects)
    assert wine().design.T @ terms.scores == pytest.approx([0, 0], abs=1e-12)


def test_wine_with_judges_is_as_published():
    # R ordinal, clmm(rating ~ temp + contact + (1 | judge)), Laplace: log-likelihood −81.57,
    # variance 1.279, temp 3.063 (s.e. 0.595), contact 1.835 (0.513); further digits from an
    # independent code.
    fit = wine_with_judges()
    assert fit.parameters.thresholds == pytest.approx(
        [-1.6236695, 1.5133570, 4.2285204, 6.0887695], abs=1e-5
    )
    assert fit.parameters.effects == pytest.approx([3.0630005, 1.8349006], abs=1e-5)
    assert fit.parameters.scales[0] ** 2 == pytest.approx(1.2794766, abs=1e-5)
    assert fit.log_likelihood == pytest.approx(-81.56541277649274, abs=1e-8)
    errors = np.sqrt(np.diag(fit.covariance))
    assert errors[4:6] == pytest.approx([0.5954, 0.5126], abs=6e-5)
    assert fit.convergence.converged


def test_laplace_is_near_the_integral_over_judges():
    # The log-likelihood with each judge's effect integrated by adaptive quadrature (ten nodes in
    # the independent code: −81.53 at its own maximum); at Laplace's estimates it is computed here.
    fit = wine_with_judges()
    thresholds = np.concatenate([[-np.inf], fit.parameters.thresholds, [np.inf]])
    eta = np.column_stack([WARM, CONTACT])[:8] @ fit.parameters.effects
    total = 0.0
    for ratings in WINE:

        def density(b, ratings=ratings):
            upper = special.expit(thresholds[ratings] - eta - b)
            lower = special.expit(thresholds[ratings - 1] - eta - b)
            return np.prod(upper - lower) * stats.norm.pdf(b, scale=fit.parameters.scales[0])

        total += np.log(integrate.quad(density, -8, 8)[0])
    assert total == pytest.approx(-81.5325, abs=1e-3)
    assert fit.log_likelihood == pytest.approx(total, abs=0.05)


def test_predicted_share_is_as_published():
    # ggeffects (Lüdecke), tests of clmm: the mean over both temperatures of P(rating = 1) without
    # contact, at the judges' mean, is 0.08692.
    fit = wine_with_judges()
    first, warm = fit.parameters.thresholds[0], fit.parameters.effects[0]
    mean = float(np.mean(special.expit([first, first - warm])))
    assert mean == pytest.approx(0.08692, abs=1e-5)


def test_wine_as_a_table_of_ratings_gives_the_same_fit():
    # Contact left out and temperature the arm: judges and bottles are crossed.
    table = ArmRatings.of(
        ["warm" if x else "cold" for x in WARM],
        [f"bottle {i % 4} of {'warm' if i >= 4 else 'cold'}" for i in range(8)] * 9,
        JUDGES.tolist(),
        WINE.ravel().astype(float),
    )
    found = fit_ordinal_mixed(table, effects=("rater",))
    nobody = np.zeros(72, int)
    design = CrossedDesign.of(
        JUDGES, nobody, nobody, has_nested_first=False, has_nested_second=False
    )
    data = OrdinalData.of(WINE.ravel() - 1, WARM[:, None])
    direct = fit_mixed_ordinal(data, design, effects=(True, False, False, False))
    assert found.log_likelihood == pytest.approx(direct.log_likelihood, abs=1e-9)
    assert found.effects == pytest.approx(direct.parameters.effects, abs=1e-6)


def crossed(rng, n_arms=3, n_prompts=7, n_raters=5):
    arms, prompts, raters = (
        axis.ravel()
        for axis in np.meshgrid(*map(np.arange, (n_arms, n_prompts, n_raters)), indexing="ij")
    )
    kept = rng.random(len(arms)) < 0.8
    arms, prompts, raters = arms[kept], prompts[kept], raters[kept]
    eta = rng.normal(size=n_prompts)[prompts] + rng.normal(size=(n_raters, n_arms))[raters, arms]
    codes = np.searchsorted([-1.0, 0.0, 1.5], eta + rng.logistic(size=len(arms)))
    return arms, prompts, raters, codes


def test_likelihood_equals_a_dense_computation_and_its_gradient_differences():
    arms, prompts, raters, codes = crossed(np.random.default_rng(2))
    data = OrdinalData.of(codes, (arms[:, None] == [1, 2]).astype(float))
    design = CrossedDesign.of(prompts, raters, arms, has_nested_first=True, has_nested_second=True)
    likelihood = LaplaceLikelihood(data, design)

    def at(x):
        return Parameters(x[:3], x[3:5], x[5:])

    values = np.array([-1.1, 0.2, 1.4, 0.4, -0.3, 0.9, 0.5, -0.3, 0.7])
    mode = likelihood.mode(at(values))
    # The matrix of effects written out: a column per prompt, prompt and arm, rater, rater and arm.
    columns = [
        scale * (group[:, None] == np.arange(group.max() + 1))
        for group, scale in zip(
            (prompts, prompts * 3 + arms, raters, raters * 3 + arms), values[5:], strict=True
        )
    ]
    matrix = np.concatenate(columns, axis=1)
    dense = np.eye(matrix.shape[1]) + matrix.T @ (mode.terms.weights[:, None] * matrix)
    assert mode.factor.log_determinant == pytest.approx(np.linalg.slogdet(dense)[1], abs=1e-10)
    leverage = mode.factor.leverage().variances
    expected = (matrix @ np.linalg.inv(dense) * matrix).sum(axis=1)
    assert leverage == pytest.approx(expected, abs=1e-12)
    slope = likelihood.slope(at(values), mode)
    gradient = np.concatenate([slope.thresholds, slope.effects, slope.scales])
    for n, step in enumerate(np.eye(9) * 1e-4):
        rise = likelihood.mode(at(values + step)).log_likelihood
        rise -= likelihood.mode(at(values - step)).log_likelihood
        assert gradient[n] == pytest.approx(rise / 2e-4, abs=1e-5)


def test_predictions_equal_direct_integration():
    parameters = Parameters(
        np.array([-1.0, 0.3, 1.2]), np.array([0.7]), np.array([0.8, 0.5, 0.4, 0.3])
    )
    total = np.sqrt(0.64 + 0.25 + 0.16 + 0.09)

    def share_below(k, arm):
        effect = (0.0, 0.7)[arm]
        return integrate.quad(
            lambda b: special.expit(parameters.thresholds[k] - effect - b)
            * stats.norm.pdf(b, scale=total), -12, 12
        )[0]  # fmt: skip

    for arm in (0, 1):
        below = [0.0, *(share_below(k, arm) for k in range(3)), 1.0]
        assert rating_shares(parameters)[arm] == pytest.approx(np.diff(below), abs=1e-7)
    # A million draws of rating pairs: their standard error is below 0.0005.
    rng = np.random.default_rng(4)
    n = 1_000_000
    shared = rng.normal(0, np.hypot(0.8, 0.4), n)
    pair = [
        np.searchsorted(
            parameters.thresholds,
            effect + shared + rng.normal(0, np.hypot(0.5, 0.3), n) + rng.logistic(size=n),
        )
        for effect in (0.0, 0.7)
    ]
    simulated = np.mean(pair[1] > pair[0]) + np.mean(pair[1] == pair[0]) / 2
    found = superiority(parameters)
    assert found[1, 0] == pytest.approx(simulated, abs=0.002)
    assert found[0, 1] == pytest.approx(1 - found[1, 0], abs=1e-12)
    assert found[0, 0] == pytest.approx(0.5, abs=1e-12)
