"""Sorting texts and going on with them, from the experiment file to the report."""

import json

import numpy as np
import pytest
from sklearn import metrics

from e2e.running import Run, outcomes
from e2e.texts import GOING_ON, PRIMER, SORTING, save_gpt2
from qingting.report.results import Results
from qingting.store.artifacts import ArtifactStore


@pytest.fixture(scope="module")
def sorted_texts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sorting")
    spec = folder / "sorting.yaml"
    spec.write_text(SORTING, encoding="utf-8")
    status, _, err = Run(spec, folder / "work").finish()
    assert status == 0, err
    return spec, folder / "work"


@pytest.fixture(scope="module")
def went_on(tmp_path_factory):
    folder = tmp_path_factory.mktemp("going-on")
    spec = folder / "going-on.yaml"
    model = save_gpt2(folder / "gpt2")
    words = GOING_ON.replace("GPT2", str(model)).replace("TEXTS", str(PRIMER))
    spec.write_text(words, encoding="utf-8")
    status, _, err = Run(spec, folder / "work").finish()
    assert status == 0, err
    return spec, folder / "work"


def results_of(work):
    return Results.model_validate_json((work / "results.json").read_bytes()).outcomes


def predictions_of(work, arm):
    """Return what the evaluation of an arm stored, one row a text."""
    store = ArtifactStore.for_reading(work)
    for key in store.artifact_keys():
        artifact = store.find(key)
        if artifact is not None and artifact.manifest["stage"] == f"evaluate/{arm}":
            lines = (artifact / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
            return [json.loads(line) for line in lines]
    raise AssertionError(f"no predictions of {arm}")


def test_the_figures_are_those_of_scikit_learn(sorted_texts):
    """Every figure of the results, computed again from the stored predictions, within 1e-12."""
    _, work = sorted_texts
    found = results_of(work)
    assert [arm.status for arm in found.arms] == ["done", "done"]
    for arm in found.arms:
        rows = predictions_of(work, arm.id)
        assert len(rows) == 60
        labels = list(arm.classification.labels)
        true, guess = [r["label"] for r in rows], [r["predicted"] for r in rows]
        shares = np.array([[r["probabilities"][label] for label in labels] for r in rows])
        assert guess == [labels[n] for n in shares.argmax(axis=1)]
        scores = {s.metric: s.mean for s in arm.scores if s.language is None}
        close = {"rel": 0, "abs": 1e-12}
        assert scores["accuracy"] == pytest.approx(metrics.accuracy_score(true, guess), **close)
        assert scores["log-loss"] == pytest.approx(
            metrics.log_loss(true, shares, labels=labels), **close
        )
        positive = [label == labels[1] for label in true]
        assert scores["brier"] == pytest.approx(
            2 * metrics.brier_score_loss(positive, shares[:, 1]), **close
        )
        assert np.array_equal(
            arm.classification.confusion, metrics.confusion_matrix(true, guess, labels=labels)
        )
        expected = metrics.precision_recall_fscore_support(
            true, guess, labels=labels, zero_division=np.nan
        )
        for one, precision, recall, f1, n_true in zip(
            arm.classification.classes, *expected, strict=True
        ):
            assert one.n_true == n_true
            assert one.recall.value == pytest.approx(recall, **close)
            assert one.f1.value == pytest.approx(f1, **close)
            if one.n_predicted:
                assert one.precision.value == pytest.approx(precision, **close)
            for share in (one.recall, one.f1):
                assert share.interval.low <= share.value <= share.interval.high
        assert arm.classification.mcc == pytest.approx(
            metrics.matthews_corrcoef(true, guess), **close
        )
        auroc = metrics.roc_auc_score(positive, shares[:, 1])
        assert arm.classification.auroc == pytest.approx(auroc, **close)
        macro = metrics.f1_score(true, guess, labels=labels, average="macro", zero_division=0)
        assert arm.classification.macro_f1.value == pytest.approx(macro, **close)


def test_accuracies_of_each_language_are_reported(sorted_texts):
    _, work = sorted_texts
    for arm in results_of(work).arms:
        rows = predictions_of(work, arm.id)
        for language in ("zh", "en"):
            mine = [r["label"] == r["predicted"] for r in rows if r["language"] == language]
            score = next(s for s in arm.scores if s.metric == "accuracy" and s.language == language)
            assert score.mean == pytest.approx(np.mean(mine), abs=1e-12)
            assert score.n_valid == len(mine)


def test_the_reliability_bins_hold_every_text_once(sorted_texts):
    _, work = sorted_texts
    for arm in results_of(work).arms:
        found = arm.classification
        rows = predictions_of(work, arm.id)
        confidence = [max(r["probabilities"].values()) for r in rows]
        assert sum(one.n for one in found.reliability) == len(rows)
        assert found.mean_confidence == pytest.approx(np.mean(confidence), abs=1e-12)
        gap = sum(one.n * abs(one.confidence - one.accuracy) for one in found.reliability)
        assert found.ece == pytest.approx(gap / len(rows), abs=1e-12)


def test_arms_are_contrasted_text_by_text(sorted_texts):
    _, work = sorted_texts
    found = results_of(work)
    contrast = next(c for c in found.contrasts if c.metric == "accuracy" and c.language is None)
    assert (contrast.family, contrast.n_items) == ("tuned vs tuned", 60)
    right = {
        arm: np.array([r["label"] == r["predicted"] for r in predictions_of(work, arm)], float)
        for arm in (contrast.arm, contrast.other)
    }
    difference = (right[contrast.arm] - right[contrast.other]).mean()
    assert contrast.difference == pytest.approx(difference, abs=1e-12)


def test_the_exported_classifier_is_the_trained_one_and_loads_elsewhere(sorted_texts):
    """Stock transformers, knowing nothing of this package, gives the stored probabilities."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    _, work = sorted_texts
    for arm in results_of(work).arms:
        assert {proof.name for proof in arm.proofs} >= {"merge_error", "rounding_agreement"}
        assert all(proof.passed for proof in arm.proofs)
    store = ArtifactStore.for_reading(work)
    exports = [
        artifact
        for key in store.artifact_keys()
        if (artifact := store.find(key)) and artifact.manifest["stage"] == "export/whole/full"
    ]
    model = AutoModelForSequenceClassification.from_pretrained(
        exports[0] / "model", dtype=torch.float32, local_files_only=True
    ).eval()
    tokenizer = AutoTokenizer.from_pretrained(exports[0] / "model", local_files_only=True)
    lines = (PRIMER.parent / "requests.jsonl").read_text(encoding="utf-8").splitlines()
    by_id = {one["id"]: one["text"] for one in map(json.loads, lines)}
    rows = predictions_of(work, "whole/full")[:10]
    for row in rows:
        encoded = tokenizer(by_id[row["id"]], return_tensors="pt")
        with torch.no_grad():
            shares = model(**encoded).logits.double().softmax(-1)[0]
        found = {model.config.id2label[n]: float(share) for n, share in enumerate(shares)}
        # the run may have computed in bf16, here it is fp32
        assert found == pytest.approx(row["probabilities"], abs=0.02)


def test_the_report_says_what_was_sorted_and_nothing_of_dialogues(sorted_texts):
    _, work = sorted_texts
    page = (work / "report" / "index.html").read_text(encoding="utf-8")
    for words in ("Confusion matrix", "混淆矩阵", "Calibration", "Errors differ in cost", "macro"):
        assert words.lower() in page.lower(), words
    for words in ("counsellor", "Dialogues", "Knowledge of psychology", "untuned bases included"):
        assert words not in page, words
    table = (work / "report" / "performance_comparison.md").read_text(encoding="utf-8")
    assert "Precision, recall and F1 of each label" in table
    assert "counsellor" not in table


def test_a_second_run_sorts_nothing_again(sorted_texts):
    spec, work = sorted_texts
    before = outcomes(work)
    status, out, err = Run(spec, work, "--json").finish()
    assert status == 0, err
    assert json.loads(out)["n_run"] == 0
    assert outcomes(work) == before


def test_a_language_model_goes_on_with_texts_and_is_measured(went_on):
    _, work = went_on
    found = results_of(work)
    assert found.task == "generation"
    assert [(arm.id.split("/")[1], arm.status) for arm in found.arms] == [
        ("base", "done"),
        ("lora", "done"),
        ("base", "done"),
        ("full", "done"),
    ]
    for arm in found.arms:
        assert {"bits-per-byte", "bleu", "chrf"} <= {score.metric for score in arm.scores}
        assert all(proof.passed for proof in arm.proofs)
        bits = next(score for score in arm.scores if score.metric == "bits-per-byte")
        assert bits.signature.split("|")[0] == "bits-per-byte"
        assert bits.n_valid == 12
    means = {
        a.id: next(s.mean for s in a.scores if s.metric == "bits-per-byte") for a in found.arms
    }
    assert means["whole/full"] < means["whole/base"]
    for example in found.examples:
        assert len(example.messages) == 1
        assert set(example.responses) == {arm.id for arm in found.arms}


def test_the_report_of_texts_says_nothing_of_counsellors(went_on):
    _, work = went_on
    page = (work / "report" / "index.html").read_text(encoding="utf-8")
    assert "How close continuations come to the original" in page
    assert "counsellor&#39;s own words" not in page
    assert "Knowledge of psychology" not in page


BAD = {
    "an unknown label": (
        "text,label\nhello there,other\nI feel low,psychologic\n",
        "labels: [other, psychological]",
        "bad.csv:3, column 'label': unknown label 'psychologic'",
    ),
    "one class only": (
        "text,label\none,other\ntwo,other\nthree,other\n",
        "",
        "bad.csv: all 3 texts",
    ),
    "an empty text": ("text,label\none,other\n  ,other\ntwo,b\n", "", "bad.csv:3, column 'text'"),
    "a missing column": ("words,label\none,other\n", "", "no column holds the text"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_texts_are_one_line_that_names_the_place(tmp_path, what):
    table, more, complaint = BAD[what]
    (tmp_path / "bad.csv").write_text(table, encoding="utf-8")
    spec = tmp_path / "spec.yaml"
    words = SORTING.replace("train: counselling", f"train: {tmp_path}/bad.csv")
    words = words.replace("max_dialogues: 240,", f"{more}," if more else "")
    spec.write_text(words, encoding="utf-8")
    status, _, err = Run(spec, tmp_path / "work").finish(120)
    assert status == 1, err
    assert "Traceback" not in err
    lines = [line for line in err.splitlines() if line.startswith("qingting: ")]
    assert len(lines) == 1, err
    assert complaint in lines[0]
