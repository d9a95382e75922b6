"""Sorting texts and going on with them in the native worker, on tiny random models."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[3]))
from transformers import AutoModelForCausalLM, BertConfig, BertForMaskedLM

from e2e.texts import save_gpt2
from qingting.core.dialogue import Origin
from qingting.core.errors import DataError, ModelError
from qingting.data.texts import as_dialogue
from qingting.engines.native import checkpoints
from qingting.engines.native.classifiers import heads, label_logits, load_classifier
from qingting.engines.native.export import export
from qingting.engines.native.predicting import predict
from qingting.engines.native.scoring import score
from qingting.engines.native.training import _Trainer, train
from qingting.engines.protocol import ExportJob, PredictJob, Runtime, ScoreJob, TrainJob
from qingting.models.resolve import shipped_models
from qingting.models.templates import TextTemplate
from qingting.spec.recipe import LoraRecipe, Recipe

LABELS = ("other", "psychological")
CPU = torch.device("cpu")
WORDS = {
    "psychological": ("我很难过", "I feel so low", "心里发慌", "I cannot sleep", "总想哭"),
    "other": ("怎么煮饭", "Fix my code", "高铁几点", "Translate this", "写首诗"),
}


def said(*_: Any, **__: Any) -> None:
    """Take events and keep none."""


def texts(n: int, *, prefix: str = "t") -> list[dict[str, Any]]:
    rows = []
    for number in range(n):
        label = LABELS[number % 2]
        words = f"{WORDS[label][number % 5]}，{number}。然后呢？"
        text = as_dialogue(
            f"{prefix}{number}", words, label=label, language=None, origin=Origin("t", number)
        )
        rows.append(text.to_record())
    return rows


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    bert = root / "bert"
    bert.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(shipped_models()["bert-tiny"] / name, bert / name)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=3328,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=32,
    )
    BertForMaskedLM(config).save_pretrained(bert)
    shipped = shipped_models()["bert-tiny"]
    return {"bert": bert, "shipped": shipped, "gpt2": save_gpt2(root / "gpt2", n_positions=48)}


MakeJob = Callable[..., TrainJob]


@pytest.fixture
def make_job(tmp_path: Path, models: dict[str, Path]) -> MakeJob:
    def make(
        model: str = "bert",
        *,
        task: str = "classification",
        name: str = "train",
        micro_batch: int = 4,
        n_steps: int = 4,
        seed: int = 1,
        precision: str = "fp32",
        **recipe: Any,
    ) -> TrainJob:
        folder = tmp_path / name
        (folder / "output").mkdir(parents=True)
        rows, held_out = texts(16), texts(6, prefix="v")
        steps = [[row["id"] for row in rows[i : i + 8]] for i in (0, 8)]
        schedule = {
            "steps": [steps[n % 2] for n in range(n_steps)],
            "n_messages": {row["id"]: len(row["messages"]) for row in rows + held_out},
        }
        (folder / "schedule.json").write_text(json.dumps(schedule))
        settings = {
            "max_length": 32,
            "learning_rate": 1e-2,
            "log_every": 2,
            "validate_every": 2,
            "save_every": 2,
            "n_samples": 1,
        }
        return TrainJob(
            output=str(folder / "output"),
            state=str(folder / "state"),
            runtime=Runtime(precision=precision),  # type: ignore[arg-type]
            checkpoint=str(models[model]),
            task=task,  # type: ignore[arg-type]
            labels=LABELS if task == "classification" else (),
            dialogues=write(folder / "train.jsonl", rows),
            validation=write(folder / "validation.jsonl", held_out),
            schedule=str(folder / "schedule.json"),
            recipe=Recipe(**(settings | recipe)),
            seed=seed,
            micro_batch=micro_batch,
            gradient_checkpointing=False,
        )

    return make


def classifier(folder: Path, **options: Any) -> Any:
    settings = {"device": CPU, "dtype": torch.float32, "pad_id": 0} | options
    return load_classifier(folder, LABELS, **settings)


# -- loading ----------------------------------------------------------------------------------------


def test_what_a_folder_has_no_weights_for_is_named_and_seeded(models: dict[str, Path]) -> None:
    found = classifier(models["bert"], seed=5)
    assert found.fresh == ("bert.pooler.dense", "classifier")
    assert heads(found.model) == ("classifier",)
    again, other = classifier(models["bert"], seed=5), classifier(models["bert"], seed=6)
    assert torch.equal(found.model.classifier.weight, again.model.classifier.weight)
    assert not torch.equal(found.model.classifier.weight, other.model.classifier.weight)
    assert classifier(models["gpt2"]).fresh == ("score",)


def test_a_classifier_for_other_labels_is_refused(models: dict[str, Path], tmp_path: Path) -> None:
    found = classifier(models["bert"])
    found.model.save_pretrained(tmp_path / "made")
    assert classifier(tmp_path / "made").fresh == ()
    with pytest.raises(ModelError, match="sorts into other, psychological, the data hold a, b"):
        load_classifier(tmp_path / "made", ("a", "b"), device=CPU, dtype=torch.float32, pad_id=0)


def test_a_body_with_a_missing_weight_is_refused(models: dict[str, Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    broken = tmp_path / "broken"
    shutil.copytree(models["bert"], broken)
    weights = load_file(broken / "model.safetensors")
    name = next(n for n in sorted(weights) if "layer.1.attention" in n)
    del weights[name]
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="1 weights are missing"):
        classifier(broken)


@pytest.mark.parametrize("name", ["bert", "gpt2"])
def test_a_text_gets_the_same_logits_alone_and_padded(models: dict[str, Path], name: str) -> None:
    template = TextTemplate.load(models[name], "classification")
    model = classifier(models[name], pad_id=template.pad_id).model
    ids = [[*range(5, 5 + n)] for n in (3, 9, 6)]
    with torch.no_grad():
        together = label_logits(model, ids, pad_id=template.pad_id)
        alone = torch.cat([label_logits(model, [one], pad_id=template.pad_id) for one in ids])
    assert torch.allclose(together, alone, atol=1e-5)


# -- training ---------------------------------------------------------------------------------------


def gradient(trainer: _Trainer) -> torch.Tensor:
    torch.manual_seed(0)
    trainer.model.eval()  # dropout is drawn per micro-batch
    batches = trainer._batches([trainer.plan.examples[i] for i in trainer.plan.steps[0]])
    n = sum(len(batch.labels) for batch in batches)
    for batch in batches:
        (trainer.objective.losses(trainer.model, batch).total / n).backward()  # type: ignore[no-untyped-call]
    return torch.cat([p.grad.flatten() for p in trainer.trainable.parameters.values()])


@pytest.mark.parametrize(
    ("model", "method"), [("bert", "full"), ("bert", "lora"), ("gpt2", "lora")]
)
def test_how_a_step_is_cut_into_micro_batches_changes_nothing(
    make_job: MakeJob, model: str, method: str
) -> None:
    found = [
        gradient(_Trainer(make_job(model, name=str(n), micro_batch=n, method=method), said))
        for n in (1, 8)
    ]
    assert torch.allclose(*found, atol=1e-6)
    assert found[0].abs().max() > 0


@pytest.mark.parametrize("model", ["shipped", "gpt2"])
@pytest.mark.parametrize("method", ["full", "lora"])
def test_it_learns_exports_and_sorts(
    make_job: MakeJob, tmp_path: Path, model: str, method: str
) -> None:
    rate = 5e-3 if model == "shipped" else 2e-2
    learns = (model, method) != ("gpt2", "lora")  # an adapter on random weights learns little
    n_steps = 60 if learns else 8
    job = make_job(model, method=method, n_steps=n_steps, learning_rate=rate)
    trained = train(job, said)
    assert trained["final_loss"] < (0.3 if learns else 1.0)
    folder = tmp_path / "export"
    folder.mkdir()
    made = export(
        ExportJob(
            output=str(folder),
            state=str(tmp_path / "s"),
            runtime=job.runtime,
            checkpoint=job.checkpoint,
            task="classification",
            labels=LABELS,
            trained=job.output,
            probes=job.validation,
        ),
        said,
    )
    assert all(one["holds"] for one in made["proofs"].values())
    assert made["proofs"]["merge_error"]["value"] <= 1e-5
    rows = predictions(tmp_path, folder / "model", job.dialogues)
    right = [
        LABELS[max(range(2), key=row["probabilities"].__getitem__)]
        == LABELS[int(row["id"][1:]) % 2]
        for row in rows
    ]
    assert len(right) == 16
    assert all(right) or not learns
    config = json.loads((folder / "model" / "config.json").read_text())
    assert config["id2label"] == {"0": "other", "1": "psychological"}


def predictions(tmp_path: Path, model: Path, path: str, **options: Any) -> list[dict[str, Any]]:
    settings = {"labels": LABELS, "max_length": 32, "batch_size": 5} | options
    output = tmp_path / "predicted"
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir()
    predict(
        PredictJob(
            output=str(output),
            state=str(settings.pop("state", tmp_path / "predicting")),
            runtime=Runtime(),
            checkpoint=str(model),
            task="classification",
            texts=path,
            **settings,
        ),
        said,
    )
    lines = (output / "predictions.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_a_run_that_was_stopped_ends_in_the_same_bytes(make_job: MakeJob) -> None:
    whole, broken = make_job(name="whole"), make_job(name="broken")
    train(whole, said)

    class StoppedError(Exception):
        pass

    def stop(event: str, /, **fields: Any) -> None:
        if event == "progress" and fields["done"] == 3:
            raise StoppedError

    with pytest.raises(StoppedError):
        train(broken, stop)
    assert checkpoints.load_newest(Path(broken.state)) is not None
    train(broken, said)
    for name in ("adapter/adapter_model.safetensors", "log.jsonl"):
        assert Path(whole.output, name).read_bytes() == Path(broken.output, name).read_bytes()


def test_the_classifier_and_the_pooler_are_saved_with_the_adapter(make_job: MakeJob) -> None:
    from safetensors.torch import load_file

    job = make_job(lora=LoraRecipe(rank=2, alpha=4, dropout=0.0))
    train(job, said)
    saved = load_file(Path(job.output) / "adapter" / "adapter_model.safetensors")
    assert any(name.endswith("classifier.weight") for name in saved)
    assert any(name.endswith("pooler.dense.weight") for name in saved)
    config = json.loads((Path(job.output) / "adapter" / "adapter_config.json").read_text())
    assert config["task_type"] == "SEQ_CLS"


def test_half_precision_trains_an_adapter_with_a_classifier_in_fp32(make_job: MakeJob) -> None:
    trainer = _Trainer(make_job(precision="bf16"), said)
    kept = {n: p.dtype for n, p in trainer.trainable.parameters.items()}
    assert set(kept.values()) == {torch.float32}
    assert trainer.run()["final_loss"] > 0


@pytest.mark.parametrize(("model", "task"), [("bert", "classification"), ("gpt2", "generation")])
def test_recomputing_activations_changes_nothing(make_job: MakeJob, model: str, task: str) -> None:
    found = []
    for is_on in (False, True):
        job = make_job(model, task=task, name=f"checkpointed-{is_on}", method="full")
        job = job.model_copy(update={"gradient_checkpointing": is_on})
        train(job, said)
        found.append((Path(job.output) / "log.jsonl").read_bytes())
    assert found[0] == found[1]


def test_an_unknown_label_is_an_error(make_job: MakeJob) -> None:
    job = make_job()
    with pytest.raises(DataError, match="is none of the labels"):
        train(job.model_copy(update={"labels": ("a", "b")}), said)


# -- predicting -------------------------------------------------------------------------------------


def test_an_untrained_model_sorts_nothing(
    models: dict[str, Path], tmp_path: Path, make_job: MakeJob
) -> None:
    with pytest.raises(ModelError, match="no trained classifier"):
        predictions(tmp_path, models["bert"], make_job().dialogues)


def test_probabilities_do_not_depend_on_the_batch_and_long_texts_are_cut(
    models: dict[str, Path], tmp_path: Path
) -> None:
    made = classifier(models["bert"]).model
    made.save_pretrained(tmp_path / "made")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(models["bert"] / name, tmp_path / "made" / name)
    rows = texts(7)
    rows[2]["messages"] = [{"role": "assistant", "content": "很长" * 40}]
    path = write(tmp_path / "texts.jsonl", rows)
    found = [
        predictions(tmp_path, tmp_path / "made", path, batch_size=n, state=tmp_path / f"s{n}")
        for n in (1, 7)
    ]
    for one, other in zip(*found, strict=True):
        assert one["id"] == other["id"]
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-6)
        assert sum(one["probabilities"]) == pytest.approx(1, abs=1e-12)
    assert [row["is_cut"] for row in found[0]] == [n == 2 for n in range(7)]
    assert found[0][2]["n_tokens"] == 32


def test_finished_batches_are_not_sorted_again(models: dict[str, Path], tmp_path: Path) -> None:
    made = classifier(models["bert"]).model
    made.save_pretrained(tmp_path / "made")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(models["bert"] / name, tmp_path / "made" / name)
    path = write(tmp_path / "texts.jsonl", texts(7))
    state = tmp_path / "state"
    (state / "batches").mkdir(parents=True)
    kept = {"probabilities": [[0.25, 0.75]] * 5, "wall_s": 1.0}
    (state / "batches" / "000000.json").write_text(json.dumps(kept))
    found = predictions(tmp_path, tmp_path / "made", path, state=state)
    assert sum(row["probabilities"] == [0.25, 0.75] for row in found) == 5


# -- going on with texts ----------------------------------------------------------------------------


def test_gpt2_loses_what_stock_transformers_says(models: dict[str, Path], tmp_path: Path) -> None:
    """Nats per text equal cross-entropy of the stock model, also in windows past its positions."""
    rows = texts(4)
    long = "A sentence of some length. " * 8
    rows.append(
        as_dialogue("long", long, label=None, language="en", origin=Origin("t", 9)).to_record()
    )
    path = write(tmp_path / "texts.jsonl", rows)
    output = tmp_path / "scored"
    output.mkdir()
    score(
        ScoreJob(
            output=str(output),
            state=str(tmp_path / "s"),
            runtime=Runtime(),
            checkpoint=str(models["gpt2"]),
            task="generation",
            references=path,
        ),
        said,
    )
    found = [json.loads(line) for line in (output / "references.jsonl").read_text().splitlines()]
    model = AutoModelForCausalLM.from_pretrained(models["gpt2"], dtype=torch.float32).eval()
    template = TextTemplate.load(models["gpt2"], "generation")
    for row, one in zip(rows, found, strict=True):
        whole = "".join(message["content"] for message in row["messages"])
        assert one["n_bytes"] == len(whole.encode())
        body = [i for m in row["messages"] for i in template._encode_content(m["content"])]
        nats = 0.0
        pieces = [body[n : n + 47] for n in range(0, len(body) + 1, 47)]
        for piece in pieces:
            ids = torch.tensor([[0, *piece]])
            with torch.no_grad():
                logits = model(input_ids=ids).logits[0, :-1]
            nats += float(torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum"))
        assert one["n_tokens"] == len(body)
        assert one["nats"] == pytest.approx(nats, rel=1e-5)
    assert len(body) > 48


@pytest.mark.parametrize("method", ["full", "lora"])
def test_gpt2_learns_all_words_of_a_text_and_exports(
    make_job: MakeJob, tmp_path: Path, method: str
) -> None:
    job = make_job("gpt2", task="generation", method=method, n_steps=30, max_length=48)
    trained = train(job, said)
    rows = [json.loads(line) for line in (Path(job.output) / "log.jsonl").read_text().splitlines()]
    assert trained["final_loss"] < (0.8 if method == "full" else 0.97) * rows[0]["loss"]
    template = TextTemplate.load(Path(job.checkpoint), "generation")
    encoded = [template.encode(as_dialogue_messages(row)) for row in texts(8)]
    assert rows[0]["n_target_tokens"] == sum(len(one.input_ids) - 1 for one in encoded)
    folder = tmp_path / "export"
    folder.mkdir()
    made = export(
        ExportJob(
            output=str(folder),
            state=str(tmp_path / "s"),
            runtime=job.runtime,
            checkpoint=job.checkpoint,
            task="generation",
            trained=job.output,
            probes=job.validation,
        ),
        said,
    )
    assert all(one["holds"] for one in made["proofs"].values())


def as_dialogue_messages(row: dict[str, Any]) -> Any:
    from qingting.core.dialogue import Dialogue

    return Dialogue.from_record(row).messages
