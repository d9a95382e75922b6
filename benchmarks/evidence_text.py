"""BLEU, ROUGE, METEOR and chrF of Chinese replies, against nltk, rouge-score and the rest.

Pairs are made from the counselling dialogues that the package ships: a reference is 200 characters
of consecutive counsellor turns, a reply is the reference with some two thirds of its sentences
exchanged for others. The others score every 20th pair and their seconds are multiplied, because
they work item by item; here all pairs are scored.
"""

from __future__ import annotations

import json
import random
import re
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from importlib.resources import files
from typing import NamedTuple

from evidence_row import Row

N_PAIRS, N_CHARACTERS, EVERY, N_ROUNDS = 10_000, 200, 20, 3


class Pairs(NamedTuple):
    hypotheses: list[str]
    references: list[str]

    def every(self, step: int) -> Pairs:
        return Pairs(self.hypotheses[::step], self.references[::step])


def make_pairs(n_pairs: int, *, seed: int = 1) -> Pairs:
    """Return pairs of exactly ``N_CHARACTERS`` characters each."""
    rng = random.Random(seed)
    folder = files("qingting.domains.counselling") / "dialogues"
    dialogues = []
    for path in folder.iterdir():
        if path.name.startswith("zh"):
            for line in path.read_text(encoding="utf-8").splitlines():
                turns = json.loads(line)["messages"]
                said = "".join(turn["content"] for turn in turns if turn["role"] == "assistant")
                dialogues.append(re.findall(r"[^。？！]+[。？！]?", said))
    pool = [sentence for dialogue in dialogues for sentence in dialogue]

    def filled(sentences: Sequence[str]) -> str:
        text = "".join(sentences)
        while len(text) < N_CHARACTERS:
            text += rng.choice(pool)
        return text[:N_CHARACTERS]

    hypotheses, references = [], []
    for _ in range(n_pairs):
        dialogue = rng.choice(dialogues)
        kept = dialogue[rng.randrange(len(dialogue)) :]
        references.append(filled(kept))
        hypotheses.append(filled([s if rng.random() < 1 / 3 else rng.choice(pool) for s in kept]))
    return Pairs(hypotheses, references)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(theirs: Callable[[], object], ours: Callable[[], object]) -> tuple[float, float]:
    """Return the fastest of a few interleaved rounds of each, theirs for all pairs."""
    other, own = [], []
    for _ in range(N_ROUNDS):
        other.append(seconds(theirs))
        own.append(seconds(ours))
    return min(other) * EVERY, min(own)


def ours(pairs: Pairs, metrics: Sequence[str], unit: str) -> dict[str, list[float]]:
    from qingting.metrics.text import score_texts

    found = score_texts(
        pairs.hypotheses, pairs.references, metrics=metrics, language="zh", unit=unit
    )
    return {name: one.values.tolist() for name, one in found.scores.items()}


def nltk_and_rouge_score(pairs: Pairs, cut: Callable[[str], list[str]]) -> dict[str, list[float]]:
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
    from rouge_score.rouge_scorer import RougeScorer

    class Tokens:
        def tokenize(self, text: str) -> list[str]:
            return cut(text)

    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], tokenizer=Tokens())
    smoothing = SmoothingFunction().method3
    found: dict[str, list[float]] = {"bleu": []}
    for hyp, ref in zip(*pairs, strict=True):
        found["bleu"].append(sentence_bleu([cut(ref)], cut(hyp), smoothing_function=smoothing))
        for name, score in scorer.score(ref, hyp).items():
            found.setdefault(f"rouge-{name[5:].lower()}-f", []).append(score.fmeasure)
    return found


def jieba_and_rouge_chinese(pairs: Pairs) -> dict[str, list[float]]:
    import jieba
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
    from rouge_chinese import Rouge

    jieba.setLogLevel(60)
    rouge, smoothing = Rouge(), SmoothingFunction().method3
    found: dict[str, list[float]] = {"bleu": []}
    for hyp, ref in zip(*pairs, strict=True):
        hyp_words, ref_words = jieba.lcut(hyp), jieba.lcut(ref)
        found["bleu"].append(sentence_bleu([ref_words], hyp_words, smoothing_function=smoothing))
        for name, score in rouge.get_scores(" ".join(hyp_words), " ".join(ref_words))[0].items():
            found.setdefault(f"{name}-f", []).append(score["f"])
    return found


def apart(one: dict[str, list[float]], other: dict[str, list[float]], step: int) -> float:
    """Return the largest difference between every score of ``one`` and ours of the same pair."""
    return max(
        abs(a - b) for name in one for a, b in zip(one[name], other[name][::step], strict=True)
    )


def rows(scale: float = 1.0) -> Iterable[Row]:
    """Yield the rows; ``scale`` shrinks the number of pairs."""
    warnings.filterwarnings("ignore", category=SyntaxWarning)
    warnings.filterwarnings("ignore", category=UserWarning)
    pairs = make_pairs(max(10 * EVERY, int(N_PAIRS * scale)))
    sample = pairs.every(EVERY)
    overlap = ("bleu", "rouge")
    size = f"{len(pairs.hypotheses):,} Chinese pairs of {N_CHARACTERS} characters"
    work = f"BLEU-4 + ROUGE-1/2/L per item, {size}"

    other, own = compare(
        lambda: nltk_and_rouge_score(sample, list), lambda: ours(pairs, overlap, "char")
    )
    difference = apart(
        nltk_and_rouge_score(sample, _characters), ours(pairs, overlap, "char"), EVERY
    )
    yield Row(
        f"{work}, by character",
        "nltk + rouge-score",
        other,
        own,
        other / own,
        "≥ 60×, within 1e-12",
        f"{difference:.1e} apart on the same tokens",
    )

    jieba_and_rouge_chinese(sample.every(len(sample.hypotheses)))  # loads the dictionary
    other, own = compare(
        lambda: jieba_and_rouge_chinese(sample), lambda: ours(pairs, overlap, "word")
    )
    difference = apart(nltk_and_rouge_score(sample, _words), ours(pairs, overlap, "word"), EVERY)
    yield Row(
        f"{work}, by word",
        "jieba + nltk + rouge-chinese",
        other,
        own,
        other / own,
        "≥ 40×, within 1e-12",
        f"{difference:.1e} from nltk + rouge-score on the same words",
    )
    yield _like_rouge_chinese(pairs, sample, size)
    yield _meteor(pairs, sample, size)
    yield _chrf(pairs, sample, size)


def _characters(text: str) -> list[str]:
    from qingting.metrics.tokenize import tokenize

    return tokenize(text, "char")


def _words(text: str) -> list[str]:
    from qingting.metrics.tokenize import cut_words

    return cut_words(text)


def _like_rouge_chinese(pairs: Pairs, sample: Pairs, size: str) -> Row:
    from qingting.metrics.compatibility import score_like

    def like(some: Pairs) -> dict[str, list[float]]:
        scores = score_like(some.hypotheses, some.references, like="rouge-chinese").scores
        return {name: one.values.tolist() for name, one in scores.items()}

    def theirs() -> dict[str, list[float]]:
        import jieba
        from rouge_chinese import Rouge

        rouge, found = Rouge(), {}
        for hyp, ref in zip(*sample, strict=True):
            scores = rouge.get_scores(" ".join(jieba.cut(hyp)), " ".join(jieba.cut(ref)))[0]
            for name, score in scores.items():
                found.setdefault(f"{name}-f", []).append(score["f"])
        return found

    other, own = compare(theirs, lambda: like(pairs))
    difference = apart(theirs(), like(pairs), EVERY)
    return Row(
        f"--like rouge-chinese, {size}",
        "jieba + rouge-chinese",
        other,
        own,
        other / own,
        "none; the same numbers",
        f"{difference:.1e} apart",
    )


def _meteor(pairs: Pairs, sample: Pairs, size: str) -> Row:
    from nltk.translate.meteor_score import single_meteor_score

    class Nothing:
        @staticmethod
        def synsets(word: str) -> list[str]:
            return []

        @staticmethod
        def stem(word: str) -> str:
            return word

    def theirs(cut: Callable[[str], list[str]] = list) -> dict[str, list[float]]:
        nothing = Nothing()
        return {
            "meteor": [
                single_meteor_score(cut(ref), cut(hyp), stemmer=nothing, wordnet=nothing)
                for hyp, ref in zip(*sample, strict=True)
            ]
        }

    other, own = compare(theirs, lambda: ours(pairs, ["meteor"], "char"))
    difference = apart(theirs(_characters), ours(pairs, ["meteor"], "char"), EVERY)
    return Row(
        f"METEOR (exact) per item, {size}",
        "nltk",
        other,
        own,
        other / own,
        "≥ 2.5×, same values",
        f"{difference:.1e} apart",
    )


def _chrf(pairs: Pairs, sample: Pairs, size: str) -> Row:
    import sacrebleu

    def theirs() -> dict[str, list[float]]:
        return {
            "chrf": [
                sacrebleu.sentence_chrf(hyp, [ref]).score / 100
                for hyp, ref in zip(*sample, strict=True)
            ]
        }

    other, own = compare(theirs, lambda: ours(pairs, ["chrf"], "char"))
    difference = apart(theirs(), ours(pairs, ["chrf"], "char"), EVERY)
    return Row(
        f"chrF per item, {size}",
        "sacrebleu",
        other,
        own,
        other / own,
        "≥ 9×, same values",
        f"{difference:.1e} apart",
    )


if __name__ == "__main__":
    for row in rows():
        print(row, flush=True)
