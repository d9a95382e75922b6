import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qingting.core.errors import SpecificationError
from qingting.core.missing import Missing
from qingting.metrics.text import METRICS, load_metric, score_texts

ALL = tuple(METRICS)
# Self-BLEU compares replies with each other.
ITEM_BY_ITEM = tuple(name for name in METRICS if name != "self-bleu")
OVERLAP = ("bleu", "rouge", "meteor", "meteor-stem", "chrf")

texts = st.text(alphabet="我你的很焦虑感受。，ab c1'.\n", max_size=24)
pairs = st.lists(st.tuples(texts, texts), min_size=1, max_size=6)


def score(items, *, metrics=ALL, language="zh", unit=None):
    hyps, refs = [hyp for hyp, _ in items], [ref for _, ref in items]
    return score_texts(hyps, refs, metrics=metrics, language=language, unit=unit)


@given(pairs, st.sampled_from([None, "word"]))
@settings(max_examples=60, deadline=None)
def test_a_batch_equals_its_items_one_by_one(items, unit):
    batch = score(items, metrics=ITEM_BY_ITEM, unit=unit)
    for index, item in enumerate(items):
        alone = score([item], metrics=ITEM_BY_ITEM, unit=unit)
        for name, scores in batch.scores.items():
            assert scores.item(index) == alone[name].item(0)


@given(pairs, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_permuting_items_permutes_scores_and_keeps_the_corpus(items, random):
    order = list(range(len(items)))
    random.shuffle(order)
    before, after = score(items), score([items[k] for k in order])
    for name, scores in before.scores.items():
        assert [scores.item(k) for k in order] == list(after[name].items())
        if isinstance(scores.corpus, Missing):
            assert scores.corpus == after[name].corpus
        else:
            assert math.isclose(scores.corpus, after[name].corpus, abs_tol=1e-12)


@given(pairs)
@settings(max_examples=60, deadline=None)
def test_every_value_lies_in_its_range_and_counts_add_up(items):
    for name, scores in score(items).scores.items():
        assert scores.n_valid + scores.n_missing == len(items)
        held = scores.values[scores.valid]
        assert np.isfinite(held).all()
        if name != "length":
            assert ((held >= 0) & (held <= 1)).all()


@given(st.lists(texts.filter(str.strip), min_size=1, max_size=4), st.sampled_from([None, "word"]))
@settings(max_examples=60, deadline=None)
def test_identity_scores_one(replies, unit):
    scored = score([(reply, reply) for reply in replies], metrics=OVERLAP, unit=unit)
    n_tokens = score([(reply, reply) for reply in replies], metrics=["length"], unit=unit)
    for name, scores in scored.scores.items():
        for index in np.flatnonzero(scores.valid):
            # METEOR's fragmentation penalty never vanishes: one chunk of m matches costs 0.5/m³.
            loss = 0.5 / n_tokens["length"].values[index] ** 3 if "meteor" in name else 0.0
            assert scores.values[index] == pytest.approx(1 - loss, abs=1e-12)


def test_swapping_the_sides_swaps_precision_and_recall():
    one = score([("我很焦虑", "我感到很焦虑。")], metrics=["rouge"])
    other = score([("我感到很焦虑。", "我很焦虑")], metrics=["rouge"])
    for n in ("1", "2", "l"):
        assert one[f"rouge-{n}-precision"].item(0) == other[f"rouge-{n}-recall"].item(0)
        assert one[f"rouge-{n}-f"].item(0) == other[f"rouge-{n}-f"].item(0)


def test_an_empty_reply_matches_nothing_and_has_no_diversity():
    scores = score([("", "你好")])
    for name, one in scores.scores.items():
        expected = {"distinct-1", "distinct-2", "repetition-4", "self-bleu"}
        if name in expected:
            assert isinstance(one.item(0), Missing)
        else:
            # ROUGE-2 is defined, for the reference has one bigram.
            assert one.item(0) == 0.0


def test_an_empty_reference_leaves_nothing_to_compare_with():
    scores = score([("你好", " \n"), ("你好", "你好")], metrics=OVERLAP)
    for one in scores.scores.values():
        assert one.item(0) == Missing("the reference is empty")
        assert (one.n_valid, one.n_missing) == (1, 1)


def test_a_reference_too_short_for_a_bigram_has_no_rouge_2():
    scores = score([("你好", "好")], metrics=["rouge"])
    assert scores["rouge-1-recall"].item(0) == 1.0
    assert isinstance(scores["rouge-2-f"].item(0), Missing)


def test_a_missing_reply_keeps_its_reason_and_is_not_scored():
    hyps = [Missing("timed out"), "你好"]
    for one in score_texts(hyps, ["你好", "你好"], metrics=ALL, language="zh").scores.values():
        assert one.item(0) == Missing("timed out")
        assert one.reasons[0] == "timed out"


def test_without_any_scorable_item_the_corpus_is_missing():
    for one in score([("你好", "")], metrics=OVERLAP).scores.values():
        assert isinstance(one.corpus, Missing)
    assert isinstance(score([("你", "你")], metrics=["bleu"])["bleu"].corpus, Missing)


def test_no_items_at_all_is_missing_too():
    for one in score([]).scores.values():
        assert isinstance(one.corpus, Missing)


def test_distinct_and_repetition_by_hand():
    # 我 我 我 你: unigrams {我, 你} of 4; bigrams 我我 ×2, 我你: 2 of 3.
    scores = score_texts(["我我我你", "你"], metrics=["distinct", "repetition"], language="zh")
    assert scores["distinct-1"].item(0) == 2 / 4
    assert scores["distinct-2"].item(0) == 2 / 3
    # Over both replies: {我, 你} of 5 unigrams.
    assert scores["distinct-1"].corpus == 2 / 5
    assert scores["distinct-2"].corpus == 2 / 3
    assert isinstance(scores["distinct-2"].item(1), Missing)
    # 啊 ×7 has four 4-grams, all the same.
    repeated = score_texts(["啊" * 7], metrics=["repetition"], language="zh")
    assert repeated["repetition-4"].item(0) == 3 / 4


def test_rouge_counts_repeated_words_as_often_as_the_reference_has_them():
    # 的 的 的 的 against 的: P = 1/4, R = 1, F = 0.4; counting sets gives 1.
    assert score([("的的的的", "的")], metrics=["rouge"])["rouge-1-f"].item(0) == pytest.approx(0.4)


def test_case_matters_to_bleu_and_chrf_only():
    scores = score([("I SEE YOU NOW", "i see you now")], metrics=OVERLAP, language="en")
    assert scores["bleu"].item(0) == 0.0
    assert scores["chrf"].item(0) == 0.0
    assert scores["rouge-l-f"].item(0) == 1.0


def test_stems_match_only_where_asked():
    scores = score([("she was feeling sad", "she feels sad")], metrics=OVERLAP, language="en")
    assert scores["meteor-stem"].item(0) > scores["meteor"].item(0)


def test_a_long_vocabulary_and_long_replies_stay_exact():
    # Codes of 4-grams over 2**17 words exceed 62 bits, so ranks replace them on the way.
    words = [f"w{k}" for k in range(150_000)]
    text = " ".join(words)
    scores = score([(text, text), ("w1 w2 w3", "w1 w2 w4")], metrics=["bleu"], language="en")
    assert scores["bleu"].item(0) == pytest.approx(1.0)
    # p = 2/3, 1/2, and an unmatched trigram: 1/(2·1); three orders, no brevity penalty.
    assert scores["bleu"].item(1) == pytest.approx((2 / 3 * 1 / 2 * 1 / 2) ** (1 / 3))


def test_every_metric_of_the_table_exists_and_has_unique_signatures():
    assert all(callable(load_metric(name)) for name in METRICS)
    scores = score([("你好吗朋友", "你好吗朋友")])
    signatures = [str(one.signature) for one in scores.scores.values()]
    assert len(set(signatures)) == len(signatures)
    for one in scores.scores.values():
        assert "level:item" in str(one.signature)
        assert "level:corpus" in str(one.corpus_signature)


def test_signatures_name_what_changes_the_number():
    by_char = score([("你好", "你好")], metrics=["bleu"])["bleu"].signature
    by_word = score([("你好", "你好")], metrics=["bleu"], unit="word")["bleu"].signature
    assert str(by_char) == "bleu|tok:char|n:4|smooth:exp|case:mixed|eff:yes|level:item|v:1"
    assert by_char != by_word


def test_an_unknown_metric_is_refused_with_the_near_name():
    with pytest.raises(SpecificationError, match="Did you mean 'bleu'"):
        score_texts(["a"], ["a"], metrics=["blue"], language="en")


def test_a_metric_without_its_references_is_refused():
    with pytest.raises(SpecificationError, match="needs references"):
        score_texts(["a"], metrics=["bleu"], language="en")


def test_different_numbers_of_texts_are_refused():
    with pytest.raises(ValueError, match="2 hypotheses but 1"):
        score_texts(["a", "b"], ["a"], metrics=["bleu"], language="en")


def test_values_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        score([("你好", "你好")])["bleu"].values[0] = 0.5
