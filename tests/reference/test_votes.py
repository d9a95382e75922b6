"""Bradley–Terry and Davidson against published and closed-form numbers."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from qingting.stats.bradley_terry import PairLikelihood
from qingting.stats.elo import elo_ratings
from qingting.stats.vote_files import read_votes
from qingting.stats.vote_ranking import rank_votes
from qingting.stats.votes import LEFT, RIGHT, TIE, count_cells, votes_of

SHARED = Path(__file__).parents[3] / "shared" / "data"
TEAMS = ("Milwaukee", "Detroit", "Toronto", "New York", "Boston", "Cleveland", "Baltimore")
# Agresti, Categorical Data Analysis: American League East, 1987. Wins of the home team (row)
# against the visitor (column), and its losses.
HOME_WINS = [
    [0, 4, 4, 4, 6, 4, 6],
    [3, 0, 4, 4, 6, 6, 4],
    [2, 4, 0, 2, 4, 4, 6],
    [3, 5, 2, 0, 4, 4, 6],
    [5, 2, 3, 4, 0, 5, 6],
    [2, 3, 3, 4, 4, 0, 2],
    [2, 1, 1, 2, 1, 3, 0],
]
HOME_LOSSES = [
    [0, 3, 2, 3, 1, 2, 0],
    [3, 0, 2, 3, 0, 1, 3],
    [5, 3, 0, 4, 3, 2, 0],
    [3, 1, 5, 0, 3, 2, 1],
    [1, 5, 3, 2, 0, 2, 0],
    [5, 3, 4, 3, 2, 0, 4],
    [5, 5, 6, 4, 6, 4, 0],
]
# Of the R package BradleyTerry2 (published to 3-4 digits), Baltimore 0; digits by a GLM.
PLAIN = {
    "Milwaukee": (1.581355876661275, 0.34325593897202705),
    "Detroit": (1.4364084318123196, 0.33956846418160735),
    "Toronto": (1.2944851239116903, 0.3366693602073814),
    "New York": (1.247617845141272, 0.33586088147942356),
    "Boston": (1.1076977053785413, 0.33387816691794486),
    "Cleveland": (0.6838527691590557, 0.33187663614131335),
}
AT_HOME = {
    "Milwaukee": 1.6195549935866018,
    "Detroit": 1.475357213594092,
    "Toronto": 1.3271103980795498,
    "New York": 1.2813404032834081,
    "Boston": 1.143802653304891,
    "Cleveland": 0.7046944569068265,
}


def baseball():
    left, right, winners = [], [], []
    for i, home in enumerate(TEAMS):
        for j, visitor in enumerate(TEAMS):
            n = HOME_WINS[i][j] + HOME_LOSSES[i][j]
            left += [home] * n
            right += [visitor] * n
            winners += [LEFT] * HOME_WINS[i][j] + [RIGHT] * HOME_LOSSES[i][j]
    return votes_of(left, right, winners)


def fitted(votes, *, order_effect, model="bradley-terry"):
    cells = count_cells(votes, order_effect=order_effect)
    return PairLikelihood(cells, np.zeros(len(votes.arms), int), model).fit()


def test_baseball_agrees_with_agresti_and_bradleyterry2():
    votes = baseball()
    plain = fitted(votes, order_effect=False)
    at = {name: n for n, name in enumerate(votes.arms)}
    last = at["Baltimore"]
    for team, (strength, se) in PLAIN.items():
        n = at[team]
        assert plain.parameters[n] - plain.parameters[last] == pytest.approx(strength, abs=1e-9)
        b = plain.bread
        own = math.sqrt(b[n, n] + b[last, last] - 2 * b[n, last])
        assert own == pytest.approx(se, abs=1e-6)


def test_baseball_home_advantage_and_deviances():
    votes = baseball()
    with_home = fitted(votes, order_effect=True)
    at = {name: n for n, name in enumerate(votes.arms)}
    for team, strength in AT_HOME.items():
        own = with_home.parameters[at[team]] - with_home.parameters[at["Baltimore"]]
        assert own == pytest.approx(strength, abs=1e-9)
    assert with_home.parameters[7] == pytest.approx(0.30226065552884707, abs=1e-9)
    assert math.sqrt(with_home.bread[7, 7]) == pytest.approx(0.13094368984901347, abs=1e-6)
    # Deviances of the 42 ordered pairs, published as 44.053 and 38.643.
    assert with_home.deviance == pytest.approx(38.64285214397052, abs=1e-8)
    cells = count_cells(votes, order_effect=True)
    cells_plain = count_cells(votes, order_effect=False)
    assert cells.n_cells == 42
    assert cells_plain.n_cells == 21
    half = 2 * (with_home.log_likelihood - fitted(votes, order_effect=False).log_likelihood)
    assert half == pytest.approx(44.05346122857377 - 38.64285214397052, abs=1e-8)


def test_citations_agree_with_stigler():
    # Stigler (1994); Agresti (2002); the vignette of BradleyTerry2, §2.1, Biometrika 0.
    names = ("Biometrika", "CommStat", "JASA", "JRSS-B")
    wins = [[0, 730, 498, 221], [33, 0, 68, 17], [320, 813, 0, 142], [284, 276, 325, 0]]
    left, right = [], []
    for i, row in enumerate(wins):
        for j, n in enumerate(row):
            left += [names[i]] * n
            right += [names[j]] * n
    votes = votes_of(left, right, [LEFT] * len(left))
    fit = fitted(votes, order_effect=False)
    relative = fit.parameters - fit.parameters[0]
    assert relative[1:] == pytest.approx(
        [-2.949072496843908, -0.4795697697519928, 0.26895405581947196], abs=1e-9
    )
    assert fit.deviance == pytest.approx(4.293383969889145, abs=1e-8)


def test_davidson_for_two_arms_has_its_closed_form():
    # 30 wins, 20 losses, 10 ties: exp(difference) = 30/20, nu = 10 / sqrt(30 × 20).
    votes = votes_of(["a"] * 60, ["b"] * 60, [LEFT] * 30 + [RIGHT] * 20 + [TIE] * 10)
    fit = fitted(votes, order_effect=False, model="davidson")
    assert fit.parameters[0] - fit.parameters[1] == pytest.approx(math.log(1.5), abs=1e-10)
    assert fit.parameters[2] == pytest.approx(math.log(10 / math.sqrt(600)), abs=1e-10)


def golden(name, algorithm):
    with (SHARED / "evalica" / f"{name}-golden.csv").open(encoding="utf-8") as file:
        return {
            r["item"]: float(r["score"])
            for r in csv.DictReader(file)
            if r["algorithm"] == algorithm
        }


@pytest.mark.shared_data
@pytest.mark.skipif(not SHARED.exists(), reason="the public data sets are not here")
@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("simple", "evalica/simple.csv"),
        ("food", "evalica/food.csv"),
        ("llmfao", "llmfao/crowd-comparisons.csv"),
    ],
)
def test_published_scores_of_evalica(name, path):
    votes = read_votes(SHARED / path).votes
    fit = fitted(votes, order_effect=False)
    scores = dict(zip(votes.arms, softmax(fit.parameters[: len(votes.arms)]), strict=True))
    published = golden(name, "bradley_terry")
    assert scores.keys() == published.keys()
    for arm, score in published.items():
        # evalica iterates to a tolerance of 1e-6.
        assert scores[arm] == pytest.approx(score, abs=2e-5)
    for arm, rating in golden(name, "elo").items():
        assert elo_ratings(votes)[arm] == pytest.approx(rating, abs=1e-6)


@pytest.mark.shared_data
@pytest.mark.skipif(not SHARED.exists(), reason="the public data sets are not here")
def test_llmfao_is_ranked_with_gpt_4_first_and_says_how_few_prompts_it_has():
    votes = read_votes(SHARED / "llmfao" / "crowd-comparisons.csv").votes
    assert len(votes) == 8931
    found = rank_votes(votes, rng=np.random.default_rng(1), method="sandwich")
    assert found.arms[0].arm == "GPT 4"
    assert found.n_clusters["prompt"] == 13
    assert any("13 prompts" in warning for warning in found.warnings)
