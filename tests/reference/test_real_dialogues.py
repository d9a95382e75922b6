"""Real dialogues of counselling: rules that look for names and numbers leave them as they are."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from qingting.judging.blinding import mask_names, normalise_formatting
from qingting.judging.scrubbing import scrub

SHARED = Path(__file__).parents[3] / "shared" / "data"

pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.skipif(not SHARED.exists(), reason="the public data sets are not here"),
]


def texts(n_every: int) -> list[str]:
    files = sorted((SHARED / "cpsycoun" / "CPsyCounD").rglob("*.txt"))[::n_every]
    return [file.read_text(encoding="utf-8") for file in files]


def test_counselling_in_chinese_names_no_model_and_is_not_scrubbed():
    found = texts(8)
    assert len(found) > 300
    assert [text for text in found if mask_names(text, language="zh").n_masked] == []
    assert [text for text in found if scrub(text).counts] == []


def test_counselling_keeps_its_words_when_its_form_is_made_alike():
    for text in texts(20):
        alike = normalise_formatting(text)
        assert Counter(filter(str.isalnum, alike)) == Counter(filter(str.isalnum, text))


def test_a_model_that_was_taught_its_name_never_says_it():
    rows = json.loads((SHARED / "emollm" / "self_cognition_EmoLLM.json").read_text("utf-8"))
    said = [row["output"] for row in rows]
    assert len(said) > 50
    assert sum("EmoLLM" in one for one in said) > 30
    for one in said:
        assert "EmoLLM" not in mask_names(one, language="zh").text


def test_numbers_and_addresses_in_real_conversations_are_found():
    path = SHARED / "hh_rlhf" / "harmless-base_test.jsonl.gz"
    counts: Counter[str] = Counter()
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            for text in json.loads(line).values():
                counts.update(scrub(text).counts)
    # Seen by eye in these 2,312 rows; written for the assistant's part, so most are invented.
    assert counts["phone"] >= 20
    assert counts["address"] >= 30
    assert counts["e-mail"] >= 8
    assert counts["number"] == 0
