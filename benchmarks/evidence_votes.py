"""Bradley–Terry with 100 bootstraps, 100 models and a million votes, against FastChat and evalica.

FastChat's package on PyPI lacks the module that ranks its arena, so its published algorithm is
called here with scipy as it does: distinct (model, model, outcome) rows with their counts by
``numpy.unique``, multinomial resamples of the counts, L-BFGS-B with the analytic gradient (at most
100 iterations, gradient tolerance 1e-6), resamples spread over all cores. Ties are half a win.
Each side starts from coded votes; evalica is timed on one resample, times the number of them.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from evidence_row import Row

N_RESAMPLES = 100
N_MODELS = 100
N_PROMPTS = 2000
ALPHA = np.log(10) / 400


def drawn_votes(n_votes: int, rng: np.random.Generator) -> Any:
    from qingting.stats.votes import Votes

    truth = rng.normal(0, 0.7, N_MODELS)
    left = rng.integers(0, N_MODELS, n_votes)
    right = (left + rng.integers(1, N_MODELS, n_votes)) % N_MODELS
    p = 1 / (1 + np.exp(truth[right] - truth[left]))
    u = rng.random(n_votes)
    winners = np.where(u < 0.2, 2, np.where((u - 0.2) / 0.8 < p, 0, 1))
    return Votes(
        tuple(f"model {n:03}" for n in range(N_MODELS)),
        left.astype(np.int32),
        right.astype(np.int32),
        winners.astype(np.int8),
        rng.integers(0, N_PROMPTS, n_votes).astype(np.int32),
    )


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    done = work()
    return time.perf_counter() - start, done


def loss_and_gradient(ratings, pairs, outcomes, weights):
    from scipy.special import expit

    p = expit(ALPHA * (ratings[pairs[:, 0]] - ratings[pairs[:, 1]]))
    loss = -(weights * (outcomes * np.log(p) + (1 - outcomes) * np.log(1 - p))).sum()
    slope = -ALPHA * weights * (outcomes - p)
    gradient = np.zeros_like(ratings)
    np.add.at(gradient, pairs, slope[:, None] * np.array([1.0, -1.0]))
    return loss, gradient


def lbfgs(weights, pairs, outcomes, gtol=1e-6, maxiter=100, ftol=2.220446049250313e-09):
    from scipy.optimize import minimize

    options = {"maxiter": maxiter, "gtol": gtol, "ftol": ftol}
    found = minimize(
        loss_and_gradient,
        np.zeros(N_MODELS),
        args=(pairs, outcomes, weights),
        jac=True,
        method="L-BFGS-B",
        options=options,
    )
    return found.x


def as_fastchat(votes, n_resamples: int) -> np.ndarray:
    rows = np.column_stack([votes.left, votes.right, np.array([2, 0, 1])[votes.winners]])
    unique, counts = np.unique(rows.astype(np.int32), axis=0, return_counts=True)
    weights = counts / counts.sum()
    rng = np.random.default_rng(0)
    resamples = rng.multinomial(len(votes), weights, n_resamples) / len(votes)
    fit = partial(lbfgs, pairs=unique[:, :2], outcomes=unique[:, 2] / 2)
    with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool:
        return np.array(list(pool.imap_unordered(fit, resamples))) * ALPHA


def ours(votes, *, by_prompt: bool, n_resamples: int) -> tuple[np.ndarray, np.ndarray]:
    from qingting.stats.bradley_terry import PairLikelihood
    from qingting.stats.vote_covariance import bootstrap_estimates
    from qingting.stats.votes import count_cells

    cells = count_cells(votes, order_effect=False)
    likelihood = PairLikelihood(cells, np.zeros(N_MODELS, int), "bradley-terry")
    fit = likelihood.fit()
    draws = bootstrap_estimates(
        likelihood,
        fit,
        votes.prompts if by_prompt else None,
        rng=np.random.default_rng(5),
        n_resamples=n_resamples,
    )
    return fit.parameters, draws


def centred(ratings: np.ndarray) -> np.ndarray:
    return ratings - ratings.mean()


def rows(scale: float = 1.0) -> Iterable[Row]:
    """Yield the rows; ``scale`` shrinks the number of votes."""
    import evalica
    import pandas

    votes = drawn_votes(max(20_000, int(1_000_000 * scale)), np.random.default_rng(4))
    times: dict[str, list[float]] = {"fastchat": [], "ours": [], "by prompt": []}
    for _ in range(3):
        times["fastchat"].append(seconds(lambda: as_fastchat(votes, N_RESAMPLES))[0])
        took, (point, _) = seconds(lambda: ours(votes, by_prompt=False, n_resamples=N_RESAMPLES))
        times["ours"].append(took)
        took = seconds(lambda: ours(votes, by_prompt=True, n_resamples=N_RESAMPLES))[0]
        times["by prompt"].append(took)
    # evalica's calls, on ready indices: one resample of the votes and its fit.
    winner = [evalica.Winner.X, evalica.Winner.Y, evalica.Winner.Draw]
    xs, ys = votes.left.tolist(), votes.right.tolist()
    ws = [winner[w] for w in votes.winners]
    index = pandas.Index(range(N_MODELS))
    theirs = min(
        seconds(lambda: evalica.bradley_terry(xs, ys, ws, index=index, tolerance=1e-6))[0]
        for _ in range(2)
    )
    exact = evalica.bradley_terry(xs, ys, ws, index=index, tolerance=1e-14, limit=10_000)
    scores = np.log(exact.scores.reindex(range(N_MODELS)).to_numpy())
    apart_evalica = float(np.abs(centred(scores) - centred(point)).max())
    unique, counts = np.unique(
        np.column_stack([votes.left, votes.right, np.array([2, 0, 1])[votes.winners]]),
        axis=0,
        return_counts=True,
    )
    tight = lbfgs(counts * 1e3, unique[:, :2], unique[:, 2] / 2, 1e-9, 10_000, 1e-16) * ALPHA
    apart_fastchat = float(np.abs(centred(tight) - centred(point)).max())
    best = {name: min(values) for name, values in times.items()}
    work = f"Bradley–Terry, {N_MODELS} models x {len(votes):,} votes, {N_RESAMPLES} bootstraps"
    for other, took, bar, apart in (
        ("FastChat's algorithm", best["fastchat"], ">= 9x", apart_fastchat),
        ("evalica", theirs * N_RESAMPLES, ">= 70x", apart_evalica),
    ):
        ratio = took / best["ours"]
        agreement = f"{apart:.1e} in log-odds (theirs run to convergence)"
        yield Row(work, other, took, best["ours"], ratio, bar, agreement)
    yield Row(
        "the same, clustered by prompt",
        "unclustered (ours)",
        best["ours"],
        best["by prompt"],
        best["ours"] / best["by prompt"],
        ">= 1x",
        "same point estimate",
    )
    peak, took = peak_memory(votes)
    yield Row(
        f"memory to read and rank {len(votes):,} votes",
        "bar of 300 MB",
        0.0,
        took,
        300 / peak,
        ">= 1x",
        f"peak {peak:.0f} MB",
    )


def peak_memory(votes) -> tuple[float, float]:
    """Return MB and seconds of a process that reads votes from CSV and ranks them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "votes.csv"
        with path.open("w", encoding="utf-8") as file:
            file.write("left,right,winner,prompt\n")
            words = ("left", "right", "tie")
            file.writelines(
                f"{votes.arms[i]},{votes.arms[j]},{words[w]},{p}\n"
                for i, j, w, p in zip(
                    votes.left, votes.right, votes.winners, votes.prompts, strict=True
                )
            )
        took, done = seconds(
            lambda: subprocess.run(
                [sys.executable, __file__, str(path)], check=True, capture_output=True, text=True
            )
        )
    return float(done.stdout.split()[-1]), took


def _read_and_rank(path: Path) -> None:
    from qingting.stats.vote_files import read_votes
    from qingting.stats.vote_ranking import rank_votes

    votes = read_votes(path).votes
    rank_votes(votes, rng=np.random.default_rng(1), n_resamples=200)
    print(_peak_memory_mb())


def _peak_memory_mb() -> float:
    """Return the peak of this program; ``ru_maxrss`` would carry over the parent's through exec."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    _read_and_rank(Path(sys.argv[1]))
