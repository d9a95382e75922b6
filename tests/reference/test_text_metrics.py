"""Text metrics against other implementations and stored numbers.

The stored numbers were computed with sacrebleu 2.6.0, rouge_score 0.1.2 (with a tokenizer by
character), rouge_chinese 1.0.3 and nltk 3.10.4 on the pair below.
"""

import random

import pytest
import sacrebleu
from nltk.stem.porter import PorterStemmer
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from nltk.translate.meteor_score import single_meteor_score

from qingting.metrics.stem import porter_stem
from qingting.metrics.text import score_texts
from qingting.metrics.tokenize import tokenize, tokenizer_name

REFERENCE = "我理解你现在的感受,失眠让你很焦虑。"
HYPOTHESIS = "我理解你的感受,失眠确实让人焦虑。"

ZH = (
    "我理解你现在的感受，失眠让你很焦虑。我们可以一起看看最近发生了什么。听起来你最近压力很大，"
    "晚上总是睡不着，白天又没有精神。你愿意多说一些吗？我在这里听你说。有时候，把心里的话说出来，"
    "会让人轻松一点。你提到和妈妈的争吵，那时你是什么感受？试试CBT里的方法，每天写3次，给情绪打0-10分。"
)
EN = (
    "I hear that you have been feeling anxious, and that sleeping has been hard. It sounds as if "
    "the meetings at work were exhausting; you don't feel heard. Would you like to tell me more "
    "about what happened? Sometimes naming a feeling makes it easier to carry. We could try a "
    "breathing exercise, 3 times a day, and rate your feelings from 0 to 10 afterwards. You were "
    "hoping that things would get easier, hopefully and carefully, relational or conditional."
)


class _NoWordNet:
    @staticmethod
    def synsets(word):
        return []


class _NoStemmer:
    @staticmethod
    def stem(word):
        return word


def _samples(language, n_items=150):
    rng = random.Random(7)
    source = ZH if language == "zh" else EN.split()

    def piece(n):
        start = rng.randrange(len(source) - n)
        part = source[start : start + n]
        return part if language == "zh" else " ".join(part)

    longest = 60 if language == "zh" else 25
    hyps = [piece(rng.randrange(longest)) for _ in range(n_items)]
    refs = [piece(rng.randrange(1, longest)) for _ in range(n_items)]
    hyps[:20] = refs[:20]
    return hyps, refs


@pytest.fixture(scope="module", params=[("zh", "char"), ("zh", "word"), ("en", "word")])
def scored(request):
    language, unit = request.param
    hyps, refs = _samples(language)
    metrics = ["bleu", "rouge", "meteor", "meteor-stem", "chrf"]
    scores = score_texts(hyps, refs, metrics=metrics, language=language, unit=unit)
    name = tokenizer_name(language, unit)
    tokens = [(tokenize(h, name), tokenize(r, name)) for h, r in zip(hyps, refs, strict=True)]
    return scores, tokens, hyps, refs


def test_bleu_of_each_reply_equals_sacrebleu_on_the_same_tokens(scored):
    scores, tokens, _, _ = scored
    oracle = sacrebleu.BLEU(tokenize="none", effective_order=True, force=True)
    for index, (hyp, ref) in enumerate(tokens):
        expected = oracle.sentence_score(" ".join(hyp), [" ".join(ref)]).score / 100
        assert scores["bleu"].item(index) == pytest.approx(expected, abs=1e-12)


def test_bleu_of_the_corpus_equals_sacrebleu_on_the_same_tokens(scored):
    scores, tokens, _, _ = scored
    hyps = [" ".join(hyp) for hyp, _ in tokens]
    refs = [" ".join(ref) for _, ref in tokens]
    oracle = sacrebleu.BLEU(tokenize="none", force=True).corpus_score(hyps, [refs])
    assert scores["bleu"].corpus == pytest.approx(oracle.score / 100, abs=1e-12)


def test_chrf_equals_sacrebleu(scored):
    scores, _, hyps, refs = scored
    oracle = sacrebleu.CHRF()
    for index, (hyp, ref) in enumerate(zip(hyps, refs, strict=True)):
        expected = oracle.sentence_score(hyp, [ref]).score / 100
        assert scores["chrf"].item(index) == pytest.approx(expected, abs=1e-12)
    corpus = oracle.corpus_score(hyps, [refs]).score / 100
    assert scores["chrf"].corpus == pytest.approx(corpus, abs=1e-12)


@pytest.mark.parametrize("name", ["meteor", "meteor-stem"])
def test_meteor_equals_nltk_without_wordnet(scored, name):
    scores, tokens, _, _ = scored
    stemmer = PorterStemmer(mode="ORIGINAL_ALGORITHM") if name == "meteor-stem" else _NoStemmer
    for index, (hyp, ref) in enumerate(tokens):
        expected = single_meteor_score(ref, hyp, stemmer=stemmer, wordnet=_NoWordNet)
        assert scores[name].item(index) == pytest.approx(expected, abs=1e-12)


def test_rouge_equals_its_definition(scored):
    scores, tokens, _, _ = scored
    for index, (hyp, ref) in enumerate(tokens):
        hyp, ref = [t.lower() for t in hyp], [t.lower() for t in ref]
        for n in (1, 2):
            grams = [
                [tuple(side[k : k + n]) for k in range(len(side) - n + 1)] for side in (hyp, ref)
            ]
            if not grams[1]:
                continue
            common = sum(min(grams[0].count(g), grams[1].count(g)) for g in set(grams[0]))
            assert scores[f"rouge-{n}-recall"].item(index) == common / len(grams[1])
            assert scores[f"rouge-{n}-precision"].item(index) == common / max(len(grams[0]), 1)
        table = [[0] * (len(ref) + 1) for _ in range(len(hyp) + 1)]
        for i, a in enumerate(hyp):
            for j, b in enumerate(ref):
                longer = max(table[i][j + 1], table[i + 1][j])
                table[i + 1][j + 1] = table[i][j] + 1 if a == b else longer
        assert scores["rouge-l-recall"].item(index) == table[-1][-1] / len(ref)


def test_the_stored_numbers_of_one_chinese_pair():
    scores = score_texts(
        [HYPOTHESIS], [REFERENCE], metrics=["bleu", "rouge", "chrf"], language="zh"
    )
    # sacreBLEU sentence level with its tokenizer zh, and nltk's method 3 by character.
    assert scores["bleu"].item(0) == pytest.approx(0.4825893492910237, abs=1e-12)
    assert scores["bleu"].item(0) == pytest.approx(0.48258934929102376, abs=1e-12)
    assert scores["chrf"].item(0) == pytest.approx(0.38635470777272836, abs=1e-12)
    # rouge_chinese by character agrees on bigrams; its ROUGE-1 counts sets and says 0.8235.
    assert scores["rouge-2-f"].item(0) == pytest.approx(0.6061, abs=5e-5)
    # rouge_score with a tokenizer by character.
    assert scores["rouge-1-f"].item(0) == pytest.approx(0.8, abs=1e-12)
    assert scores["rouge-l-f"].item(0) == pytest.approx(0.8, abs=1e-12)


def test_bleu_equals_nltk_method_3_by_character():
    expected = sentence_bleu(
        [list(REFERENCE)], list(HYPOTHESIS), smoothing_function=SmoothingFunction().method3
    )
    scores = score_texts([HYPOTHESIS], [REFERENCE], metrics=["bleu"], language="zh")
    assert scores["bleu"].item(0) == pytest.approx(expected, abs=1e-12)


def test_identical_chinese_scores_one_where_rouge_score_gives_zero():
    scores = score_texts([REFERENCE], [REFERENCE], metrics=["rouge"], language="zh")
    assert scores["rouge-l-f"].item(0) == 1.0


def test_stems_equal_nltk_in_its_original_mode():
    oracle = PorterStemmer(mode="ORIGINAL_ALGORITHM")
    listed = (
        "caresses ponies ties caress cats feed agreed plastered bled motoring sing conflated "
        "troubled sized hopping tanned falling hissing fizzed failing filing happy sky relational "
        "conditional rational valenci hesitanci digitizer conformabli radicalli differentli vileli "
        "analogousli vietnamization predication operator feudalism decisiveness hopefulness "
        "callousness formaliti sensitiviti sensibiliti triplicate formative formalize electriciti "
        "electrical hopeful goodness revival allowance inference airliner gyroscopic adjustable "
        "defensible irritant replacement adjustment dependent adoption homologou communism "
        "activate angulariti homologous effective bowdlerize probate rate cease controll roll "
        "don't a is be the generalizations oscillators yes sayings dying"
    )
    words = listed.split() + [word.strip(".,;?").lower() for word in EN.split()]
    for word in words:
        assert porter_stem(word) == oracle.stem(word), word
