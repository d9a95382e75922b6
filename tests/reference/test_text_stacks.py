"""The numbers that other stacks print for eight pairs, and their parts on random text.

``PRINTED`` holds what the stacks' own functions returned when run on ``PAIRS`` one by one:
EvalScope 1.14.1 (``bleu_ngram_one_sample``, ``compute_rouge_score_one_sample_zh``), LLaMA-Factory
0.9 (``ComputeSimilarity``), ms-swift 4.6.0 (``compute_rouge_bleu``), EmoLLM's
``evaluate/metric.py`` (2024) and rouge-chinese 1.0.3, with jieba 0.42.1, nltk 3.10.4 and
rouge 1.0.1. ``None``: the stack raised an error, or needed a download (EvalScope's BLEU).
sacreBLEU and nltk are compared directly.
"""

import json
import random
from pathlib import Path

import pytest
import sacrebleu
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a
from sacrebleu.tokenizers.tokenizer_zh import TokenizerZh

from qingting.core.missing import Missing
from qingting.metrics.compatibility import STACKS, nltk_bleu, score_like
from qingting.metrics.foreign_rouge import common_words
from qingting.metrics.foreign_tokens import cut_like_jieba, tokenize_13a, tokenize_zh
from qingting.metrics.ngrams import Encoder, match_ngrams
from qingting.metrics.text import score_texts

# fmt: off
PAIRS = (
    ('我理解你的感受,失眠确实让人焦虑。', '我理解你现在的感受,失眠让你很焦虑。'),
    ('听起来，这段时间你压力很大……你愿意多说一些吗？我在这里听。', '听起来你最近压力很大，晚上也睡不好。愿意多说一点吗？我在听你说。'),
    ('SCL-90的总分是160.5分，比上次低3.5%。 我们一起看看？', '你的SCL-90总分160.5分，比上次低了。我们一起看看哪一项变了？'),
    ('的的的的', '的'),
    ('好的', '好'),
    ('嗯。', '我在。'),
    ('', '我在听。'),
    ('你提到和妈妈的争吵。\n那时你是什么感受?', '和妈妈争吵的时候，你的感受是什么？\n\n可以慢慢说。'),
)
PRINTED = {
    'evalscope': {
        'bleu-1': [0.7667036788577695, 0.6640732482052818, 0.7191070868408715, 0.25, 0.5, 0.3032653298563167, None, 0.576512676432421],
        'bleu-2': [0.5018424079796309, 0.3043669054274208, 0.42696983281176754, 2.2250738585072626e-308, 2.2250738585072626e-308, 1.3495755153097447e-308, None, 0.12417196107775222],
        'bleu-3': [0.276013324388797, 0.13696510744233936, 0.3013904702200712, 2.2250738585072626e-308, 2.2250738585072626e-308, 1.3495755153097447e-308, None, 1.7958965995989704e-308],
        'bleu-4': [0.10222715718103591, 0.048057932435908536, 0.16011368730441283, 2.2250738585072626e-308, 2.2250738585072626e-308, 1.3495755153097447e-308, None, 1.7958965995989704e-308],
        'rouge-1-recall': [0.8333333333333334, 0.7, 0.7619047619047619, 1.0, 1.0, 0.3333333333333333, 0.0, 0.6666666666666666],
        'rouge-1-precision': [0.8333333333333334, 0.7368421052631579, 0.8888888888888888, 1.0, 0.5, 0.5, 0.0, 0.7692307692307693],
        'rouge-1-f': [0.8333333283333335, 0.7179487129520054, 0.8205128155424064, 0.999999995, 0.6666666622222223, 0.39999999520000007, 0.0, 0.7142857093112245],
        'rouge-2-recall': [0.5, 0.30434782608695654, 0.47619047619047616, 0.0, 0.0, 0.0, 0.0, 0.125],
        'rouge-2-precision': [0.5454545454545454, 0.3333333333333333, 0.5882352941176471, 0.0, 0.0, 0.0, 0.0, 0.15384615384615385],
        'rouge-2-f': [0.5217391254442345, 0.3181818131921489, 0.526315784529086, 0.0, 0.0, 0.0, 0.0, 0.13793102953626654],
        'rouge-l-recall': [0.7692307692307693, 0.5833333333333334, 0.6818181818181818, 1.0, 1.0, 0.3333333333333333, 0.0, 0.35294117647058826],
        'rouge-l-precision': [0.8333333333333334, 0.6363636363636364, 0.8333333333333334, 0.25, 0.5, 0.5, 0.0, 0.42857142857142855],
        'rouge-l-f': [0.7999999950080001, 0.6086956471833649, 0.74999999505, 0.39999999680000003, 0.6666666622222223, 0.39999999520000007, 0.0, 0.3870967692403746],
    },
    'llama-factory': {
        'rouge-1-f': [83.3333, 71.7949, 82.0513, 100.0, 66.6667, 40.0, 0.0, 71.4286],
        'rouge-2-f': [52.1739, 31.8182, 52.6316, 0.0, 0.0, 0.0, 0.0, 13.7931],
        'rouge-l-f': [80.0, 60.8696, 75.0, 40.0, 66.6667, 40.0, 0.0, 38.7097],
        'bleu-4': [48.2589, 31.1297, 57.8215, 15.9736, 29.7302, 18.0323, 0.0, 12.99],
    },
    'ms-swift': {
        'rouge-1-f': [83.333333, 71.794871, 80.95238, 100.0, 66.666666, 40.0, 0.0, 69.230769],
        'rouge-2-f': [52.173913, 31.818181, 53.658536, 0.0, 0.0, 0.0, 0.0, 15.384615],
        'rouge-l-f': [83.333333, 66.666666, 76.190476, 100.0, 66.666666, 40.0, 0.0, 46.153846],
        'bleu-4': [32.279203, 19.098405, 39.794811, 15.973578, 29.730178, 18.032264, 0.0, 8.151932],
    },
    'emollm': {
        'bleu-1': [76.67036788577694, 66.40732482052817, 71.17665803704959, 25.0, 50.0, 30.326532985631673, 0.0, 57.6512676432421],
        'bleu-2': [62.029381780316385, 44.95797143259214, 57.90144380242164, 9.12870929175277, 22.360679774997898, 13.562437855552414, 0.0, 26.755692780938666],
        'bleu-3': [47.35599701066678, 30.251096351800822, 48.97212916805771, 7.4690079109286085, 17.099759466766976, 10.371528390305523, 0.0, 7.837833207749881],
        'bleu-4': [32.27920346036176, 19.098405485234192, 39.79481147309538, 8.034284189446518, 14.95348781221221, 9.069748827745896, 0.0, 4.335438858361633],
        'rouge-1-f': [83.33333283333334, 71.79487129520054, 80.95238045351475, 99.9999995, 66.66666622222223, 39.99999952000001, None, 69.23076873372783],
        'rouge-2-f': [52.17391254442345, 31.81818131921489, 53.658536088042844, 0.0, 0.0, 0.0, None, 15.38461488757398],
        'rouge-l-f': [83.33333283333334, 66.66666616699541, 76.19047569160999, 99.9999995, 66.66666622222223, 39.99999952000001, None, 46.153845656804734],
    },
    'rouge-chinese': {
        'rouge-1-recall': [0.8333333333333334, 0.7, 0.7619047619047619, 1.0, 1.0, 0.3333333333333333, None, 0.6666666666666666],
        'rouge-1-precision': [0.8333333333333334, 0.7368421052631579, 0.8888888888888888, 1.0, 0.5, 0.5, None, 0.7692307692307693],
        'rouge-1-f': [0.8333333283333335, 0.7179487129520054, 0.8205128155424064, 0.999999995, 0.6666666622222223, 0.39999999520000007, None, 0.7142857093112245],
        'rouge-2-recall': [0.5, 0.30434782608695654, 0.47619047619047616, 0.0, 0.0, 0.0, None, 0.125],
        'rouge-2-precision': [0.5454545454545454, 0.3333333333333333, 0.5882352941176471, 0.0, 0.0, 0.0, None, 0.15384615384615385],
        'rouge-2-f': [0.5217391254442345, 0.3181818131921489, 0.526315784529086, 0.0, 0.0, 0.0, None, 0.13793102953626654],
        'rouge-l-recall': [0.7692307692307693, 0.5833333333333334, 0.6818181818181818, 1.0, 1.0, 0.3333333333333333, None, 0.35294117647058826],
        'rouge-l-precision': [0.8333333333333334, 0.6363636363636364, 0.8333333333333334, 0.25, 0.5, 0.5, None, 0.42857142857142855],
        'rouge-l-f': [0.7999999950080001, 0.6086956471833649, 0.74999999505, 0.39999999680000003, 0.6666666622222223, 0.39999999520000007, None, 0.3870967692403746],
    },
    'rouge-chinese-char': {
        'rouge-1-recall': [0.8235294117647058, 0.6785714285714286, 0.8333333333333334, 1.0, 1.0, 0.3333333333333333, None, 0.6666666666666666],
        'rouge-1-precision': [0.8235294117647058, 0.7307692307692307, 0.8928571428571429, 1.0, 0.5, 0.5, None, 0.7777777777777778],
        'rouge-1-f': [0.8235294067647059, 0.7037036987105626, 0.8620689605231867, 0.999999995, 0.6666666622222223, 0.39999999520000007, None, 0.7179487129783038],
        'rouge-2-recall': [0.5882352941176471, 0.3870967741935484, 0.6470588235294118, 0.0, 0.0, 0.0, None, 0.25],
        'rouge-2-precision': [0.625, 0.41379310344827586, 0.7096774193548387, 0.0, 0.0, 0.0, None, 0.3157894736842105],
        'rouge-2-f': [0.6060606010651974, 0.39999999500555555, 0.6769230719337278, 0.0, 0.0, 0.0, None, 0.27906976250946464],
        'rouge-l-recall': [0.7777777777777778, 0.59375, 0.7714285714285715, 1.0, 1.0, 0.3333333333333333, None, 0.4],
        'rouge-l-precision': [0.8235294117647058, 0.6333333333333333, 0.8181818181818182, 0.25, 0.5, 0.5, None, 0.5],
        'rouge-l-f': [0.7999999950040816, 0.6129032208116546, 0.7941176420631489, 0.39999999680000003, 0.6666666622222223, 0.39999999520000007, None, 0.4444444395061729],
    },
}
BLEU_4 = {'evalscope': 0.1022, 'llama-factory': 48.2589, 'ms-swift': 32.2792, 'emollm': 32.2792}
# fmt: on

PIECES = (
    "我 感到焦虑 睡不着 你最近 怎么样 CBT SCL-90 3.5 10,000 5- -5 。 ， ？ ！ ” …… ... . , ok T恤 ? don't "
    "( ) / & &amp; &quot; <skipped> $ 50% C++ 😀 ① ＡＢ “ — · é 々 龥 𠮷 \u2001 \u2a6d ⽅"
)


def random_texts(n_texts, *, seed, longest=12):
    rng = random.Random(seed)
    pieces = [*PIECES.split(" "), " ", "\n", "\t", "-\n"]
    return [
        "".join(rng.choice(pieces) for _ in range(rng.randint(0, longest))) for _ in range(n_texts)
    ]


@pytest.mark.parametrize("stack", PRINTED)
def test_each_stack_prints_what_it_printed(stack):
    hyps, refs = zip(*PAIRS, strict=True)
    found = score_like(hyps, refs, like=stack)
    assert set(found.scores) == set(PRINTED[stack])
    for name, printed in PRINTED[stack].items():
        for index, value in enumerate(printed):
            ours = found[name].item(index)
            if value is not None:
                # ms-swift rounds what it prints to 6 digits.
                near = 5.1e-7 if stack == "ms-swift" else 1e-12
                assert ours == pytest.approx(value, abs=near), (name, index)
            elif name.startswith("bleu"):
                assert ours == 0.0  # with its download EvalScope gives 0 here, without it too
            else:
                assert isinstance(ours, Missing)


def test_the_mean_is_rounded_as_the_stack_rounds_it():
    hyps, refs = zip(*PAIRS, strict=True)
    found = score_like(hyps, refs, like="ms-swift")["bleu-4"]
    assert found.corpus == round(sum(found.items()) / len(PAIRS), 6)
    assert "round:mean-6" in str(found.corpus_signature)


def test_one_chinese_reply_has_many_bleu_4():
    hyps, refs = [PAIRS[0][0]], [PAIRS[0][1]]
    four = {
        stack: score_like(hyps, refs, like=stack)["bleu-4"].item(0)
        for stack in ("evalscope", "llama-factory", "ms-swift", "emollm")
    }
    assert {name: round(value, 4) for name, value in four.items()} == BLEU_4
    signatures = {str(score_like(hyps, refs, like=stack)["bleu-4"].signature) for stack in four}
    assert len(signatures) == len(four)


@pytest.mark.parametrize("tokenizer", ["13a", "zh", "char"])
def test_sacrebleu_is_reproduced_per_reply_and_for_the_corpus(tokenizer):
    hyps, refs = random_texts(300, seed=2), random_texts(300, seed=3)
    hyps[:100] = [ref + "我 ok" for ref in refs[:100]]
    found = score_like(hyps, refs, like=f"sacrebleu-{tokenizer}")
    for index, (hyp, ref) in enumerate(zip(hyps, refs, strict=True)):
        bleu = sacrebleu.sentence_bleu(hyp, [ref], tokenize=tokenizer).score
        assert found["bleu"].item(index) == pytest.approx(bleu, abs=1e-10)
        chrf = sacrebleu.sentence_chrf(hyp, [ref]).score
        assert found["chrf"].item(index) == pytest.approx(chrf, abs=1e-10)
    corpus = sacrebleu.corpus_bleu(hyps, [refs], tokenize=tokenizer, force=True).score
    assert found["bleu"].corpus == pytest.approx(corpus, abs=1e-10)
    chrf = sacrebleu.corpus_chrf(hyps, [refs]).score
    assert found["chrf"].corpus == pytest.approx(chrf, abs=1e-10)


def test_a_corpus_of_short_replies_is_zero_to_sacrebleu_and_missing_to_us():
    assert score_like(["好的"], ["好的"], like="sacrebleu-zh")["bleu"].corpus == 0.0
    assert sacrebleu.corpus_bleu(["好的"], [["好的"]], tokenize="zh").score == 0.0
    ours = score_texts(["好的"], ["好的"], metrics=["bleu"], language="zh")
    assert isinstance(ours["bleu"].corpus, Missing)


@pytest.mark.parametrize(
    ("ours", "theirs"), [(tokenize_13a, Tokenizer13a()), (tokenize_zh, TokenizerZh())]
)
def test_sacrebleu_tokenizers_are_reproduced_on_random_text(ours, theirs):
    for text in random_texts(3000, seed=7):
        assert ours(text) == theirs(text.rstrip()).split(), text


def test_sacrebleu_tokenizer_zh_is_reproduced_on_every_character():
    oracle = TokenizerZh()
    for number in range(0x30000):
        if not 0xD800 <= number < 0xE000:
            text = f"a{chr(number)}b"
            assert tokenize_zh(text) == oracle(text).split(), hex(number)


@pytest.mark.parametrize(
    ("text", "words"),
    [  # as jieba.lcut 0.42.1 cuts them
        ("SCL-90量表", ["SCL", "-", "90", "量表"]),
        ("v1.2.3和C++", ["v1.2", ".", "3", "和", "C++"]),
        ("涨了3.5%。 a_b\r\n", ["涨", "了", "3.5%", "。", " ", "a", "_", "b", "\r\n"]),
        ("T恤𠮷𠮷--", ["T恤", "𠮷", "𠮷", "--"]),
        ("", []),
    ],
)
def test_words_are_cut_as_jieba_cuts_them(text, words):
    assert cut_like_jieba(text) == words


@pytest.mark.parametrize("smoothing", ["nltk-1", "nltk-3"])
def test_nltk_bleu_is_reproduced(smoothing):
    method = getattr(SmoothingFunction(), f"method{smoothing[-1]}")
    rng = random.Random(1)
    texts = [["".join(rng.choices("abc", k=rng.randint(0, 9))) for _ in "hr"] for _ in range(300)]
    hyps, refs = zip(*texts, strict=True)
    counts = match_ngrams(Encoder("letters", cut=list).encode(hyps, refs), n_max=4)
    for weights in ([1 / 4] * 4, [1 / 2] * 2, [1.0]):
        found = nltk_bleu(counts, smoothing=smoothing, weights=weights)
        for value, (hyp, ref) in zip(found, texts, strict=True):
            expected = sentence_bleu([list(ref)], list(hyp), weights, smoothing_function=method)
            assert value == pytest.approx(expected, abs=1e-12)


def test_common_words_follow_the_table_of_lengths():
    rng = random.Random(4)
    for _ in range(300):
        x, y = (rng.choices("abcd", k=rng.randint(1, 12)) for _ in "xy")
        table = [[0] * (len(y) + 1) for _ in range(len(x) + 1)]
        for i, a in enumerate(x, start=1):
            for j, b in enumerate(y, start=1):
                longest = max(table[i - 1][j], table[i][j - 1])
                table[i][j] = table[i - 1][j - 1] + 1 if a == b else longest
        i, j, expected = len(x), len(y), set()
        while i and j:
            if x[i - 1] == y[j - 1]:
                expected.add(x[i - 1])
                i, j = i - 1, j - 1
            elif table[i - 1][j] > table[i][j - 1]:
                i -= 1
            else:
                j -= 1
        assert common_words(x, y) == expected


def test_no_two_stacks_share_a_signature():
    hyps, refs = [PAIRS[0][0]], [PAIRS[0][1]]
    signatures = [
        str(one.signature)
        for stack in STACKS
        for one in score_like(hyps, refs, like=stack).scores.values()
    ]
    assert len(set(signatures)) == len(signatures)
    assert all("|like:" in one and "|scale:" in one for one in signatures)


ORACLE = Path(__file__).resolve().parents[2].parent / "shared/oracles/text_metrics_zh.json"


@pytest.mark.shared_data
@pytest.mark.skipif(not ORACLE.is_file(), reason=f"no published numbers at {ORACLE}")
def test_the_traps_of_chinese_text_are_reproduced():
    oracle = json.loads(ORACLE.read_text(encoding="utf-8"))
    hyps, refs = [oracle["hyp"]], [oracle["ref"]]
    zh = score_like(hyps, refs, like="sacrebleu-zh")
    assert zh["bleu"].item(0) == pytest.approx(oracle["sacrebleu_sentence_zh"], abs=1e-10)
    assert zh["chrf"].item(0) == pytest.approx(oracle["chrf"], abs=1e-10)
    western = score_like(hyps, refs, like="sacrebleu-13a")["bleu"].item(0)
    assert western == pytest.approx(oracle["sacrebleu_13a"], abs=5e-3)
    llama = score_like(hyps, refs, like="llama-factory")["bleu-4"].item(0)
    assert llama == round(100 * oracle["nltk_char_bleu_method3"], 4)
    by_character = score_like(hyps, refs, like="rouge-chinese-char")
    for name, value in oracle["rouge_chinese_char"].items():
        assert by_character[f"{name}-f"].item(0) == pytest.approx(value, abs=5e-5)
    trap = oracle["trap_rouge_chinese_rouge1('的 的 的 的' vs '的')"]
    theirs = score_like(["的的的的"], ["的"], like="rouge-chinese-char")["rouge-1-f"].item(0)
    ours = score_texts(["的的的的"], ["的"], metrics=["rouge"], language="zh")
    assert theirs == pytest.approx(trap["package_f"], abs=1e-9)
    assert ours["rouge-1-f"].item(0) == pytest.approx(trap["correct_clipped_f"], abs=1e-12)
