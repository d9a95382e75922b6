"""Warnings where an analysis counts judgments as independent that are not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence


def independence_warnings(
    items: Sequence[Hashable],
    arms: Sequence[Hashable],
    *,
    raters: Sequence[Hashable] | None = None,
    clusters: Sequence[Hashable] | None = None,
) -> tuple[str, ...]:
    """Return what speaks against independent pairs of scores, as sentences; none is best.

    All of (n_judgments,). Repeated scores of one reply are averaged by the comparison, so that
    they are no longer counted as evidence of their own, but raters who scored several items stay
    crossed with them: what they share (severity, a preference for one arm) does not average out
    over items, and an interval over items alone is then too narrow.
    """
    found = []
    per_reply = Counter(zip(items, arms, strict=True))
    n_repeated = sum(1 for count in per_reply.values() if count > 1)
    if n_repeated:
        found.append(
            f"{n_repeated} of {len(per_reply)} replies have more than one score; each reply's "
            "scores are averaged and count once"
        )
    if raters is not None:
        items_raters: dict[Hashable, set[Hashable]] = {}
        for rater, item in zip(raters, items, strict=True):
            items_raters.setdefault(rater, set()).add(item)
        busy = sum(1 for rated in items_raters.values() if len(rated) > 1)
        if busy:
            found.append(
                f"{busy} of {len(items_raters)} raters scored several prompts, so prompts and "
                "raters are crossed; this comparison takes the raters as given, and its interval "
                "speaks of further prompts before these same raters (for further raters too, use "
                "'qingting stats ratings')"
            )
    if clusters is not None:
        sizes = Counter(dict(zip(items, clusters, strict=True)).values())
        if len(sizes) < 10:
            found.append(
                f"only {len(sizes)} independent units (dialogues): the interval and the test are "
                "coarse"
            )
    return tuple(found)
