import random

import pytest
import sacrebleu

from qingting.core.missing import Missing
from qingting.metrics.text import score_texts


def self_bleu(texts):
    return score_texts(texts, metrics=["self-bleu"], language="zh")["self-bleu"]


def test_each_reply_equals_sacrebleu_with_the_others_as_references():
    rng = random.Random(3)
    texts = ["".join(rng.choices("你我他她的是了", k=rng.randint(1, 12))) for _ in range(30)]
    texts += [texts[3], texts[4] + "呀"]
    oracle = sacrebleu.BLEU(tokenize="none", effective_order=True)
    found = self_bleu(texts)
    for index, text in enumerate(texts):
        others = [" ".join(one) for k, one in enumerate(texts) if k != index]
        expected = oracle.sentence_score(" ".join(text), others).score / 100
        assert found.item(index) == pytest.approx(expected, abs=1e-12)
    assert found.corpus == pytest.approx(sum(found.items()) / len(texts))


def test_equal_replies_score_one_and_strangers_zero():
    assert self_bleu(["我在听你说", "我在听你说"]).items() == pytest.approx((1.0, 1.0))
    assert self_bleu(["我在听", "好吧呀"]).items() == (0.0, 0.0)


def test_the_order_of_replies_does_not_matter():
    texts = ["我在听你说", "我在想你说的", "你在听吗", "好"]
    forwards, backwards = self_bleu(texts), self_bleu(texts[::-1])
    assert forwards.items() == backwards.items()[::-1]


def test_a_lone_reply_and_an_empty_one_have_no_value():
    assert self_bleu(["我在听"]).item(0) == Missing("there is no other reply")
    found = self_bleu(["我在听", "", Missing("no answer"), "我在听"])
    assert found.item(1) == Missing("the reply is empty")
    assert found.item(2) == Missing("no answer")
    assert found.corpus == pytest.approx(1.0)
    assert isinstance(self_bleu([]).corpus, Missing)


def test_a_large_vocabulary_stays_exact():
    words = [f"w{k}" for k in range(40_000)]
    texts = [" ".join(words[k::2]) for k in range(2)] + [" ".join(words[0::2])]
    found = score_texts(texts, metrics=["self-bleu"], language="en")["self-bleu"]
    assert found.items() == pytest.approx((1.0, 0.0, 1.0))
