"""Which arms can be compared: connected parts, and groups that only win or only lose."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from qingting.stats.votes import RIGHT, TIE, Votes


class ComparisonGraph(NamedTuple):
    """Parts of the comparison graph, each (n_arms,) numbers.

    ``components``: arms linked by votes at all. ``groups``: arms between which finite maximum
    likelihood strengths exist: each beat or tied the other directly or through others. Sources:
    Zermelo (1929); Ford (1957); for ties Davidson (1970).
    """

    components: NDArray[np.int32]
    groups: NDArray[np.int32]


def comparison_graph(votes: Votes) -> ComparisonGraph:
    """Return the parts of the comparison graph of votes."""
    n_arms = len(votes.arms)
    right_won = votes.winners == RIGHT
    winner = np.where(right_won, votes.right, votes.left)
    loser = np.where(right_won, votes.left, votes.right)
    tied = votes.winners == TIE
    codes = np.concatenate(
        [
            winner.astype(np.int64) * n_arms + loser,
            loser[tied].astype(np.int64) * n_arms + winner[tied],
        ]
    )
    edges = np.unique(codes)
    graph = sparse.csr_matrix(
        (np.ones(len(edges)), (edges // n_arms, edges % n_arms)), shape=(n_arms, n_arms)
    )
    _, components = connected_components(graph, directed=False)
    _, groups = connected_components(graph, directed=True, connection="strong")
    return ComparisonGraph(components, groups)


def graph_problems(votes: Votes, graph: ComparisonGraph) -> tuple[str, ...]:
    """Return what cannot be compared, as sentences; none when everything can."""
    found = []
    n_components = int(graph.components.max()) + 1
    if n_components > 1:
        parts = [_named(votes, graph.components == part) for part in range(n_components)]
        found.append(
            f"the votes fall into {n_components} parts without a vote between them: "
            f"{'; '.join(parts)}; strengths are comparable only within a part"
        )
    for part in range(n_components):
        groups = np.unique(graph.groups[graph.components == part])
        if len(groups) < 2:
            continue
        for group in groups:
            inside = graph.groups == group
            left_in, right_in = inside[votes.left], inside[votes.right]
            across = left_in != right_in
            inside_won = np.where(left_in, votes.winners == 0, votes.winners == RIGHT)[across]
            names, n_across = _named(votes, inside), int(across.sum())
            if inside_won.all():
                found.append(
                    f"separation: {names} won all {n_across} votes against the other arms; the "
                    "distance to them is infinite, and none is given"
                )
            elif not inside_won.any():
                found.append(
                    f"separation: {names} lost all {n_across} votes against the other arms; the "
                    "distance to them is infinite, and none is given"
                )
            else:
                found.append(
                    f"separation: {names} never lost to the arms below and never won against "
                    "those above; the distances to both are infinite, and none is given"
                )
    return tuple(found)


def _named(votes: Votes, chosen: NDArray[np.bool_]) -> str:
    names = [votes.arms[n] for n in np.flatnonzero(chosen)]
    shown = ", ".join(names[:8])
    return f"{shown} and {len(names) - 8} more" if len(names) > 8 else shown
