"""The labelled requests that ship: enough, distinct, marked as synthetic."""

import json
from collections import Counter

from qingting.data.near_duplicates import group_near_duplicates
from qingting.data.texts import language_of_text
from qingting.domains.packs import find_pack

ROWS = [
    json.loads(line)
    for line in find_pack("counselling").requests.read_text(encoding="utf-8").splitlines()
]


def test_there_are_enough_of_each_kind_in_each_language():
    counts = Counter((row["language"], row["label"]) for row in ROWS)
    assert len(ROWS) >= 600
    assert set(counts) == {(n, k) for n in ("zh", "en") for k in ("psychological", "other")}
    assert min(counts.values()) >= 120
    for language in ("zh", "en"):
        gap = abs(counts[language, "psychological"] - counts[language, "other"])
        assert gap <= 0.05 * counts[language, "other"]


def test_every_request_is_marked_and_complete():
    for row in ROWS:
        assert set(row) == {"id", "text", "label", "language", "synthetic"}
        assert row["synthetic"] is True
        assert row["text"] == row["text"].strip()
        assert 4 <= len(row["text"]) <= 160
        assert language_of_text(row["text"]) == row["language"]
    assert len({row["id"] for row in ROWS}) == len(ROWS)


def test_no_two_requests_are_alike():
    texts = [row["text"].lower() for row in ROWS]
    assert len(set(texts)) == len(texts)
    groups = Counter(group_near_duplicates(texts, threshold=0.5))
    assert max(groups.values()) == 1


def test_length_does_not_give_the_label_away():
    """The best split by length alone is hardly better than chance."""
    for language in ("zh", "en"):
        rows = [row for row in ROWS if row["language"] == language]
        best = max(
            abs(
                sum((len(r["text"]) > limit) == (r["label"] == "psychological") for r in rows)
                / len(rows)
                - 0.5
            )
            for limit in range(5, 120)
        )
        assert best < 0.2
