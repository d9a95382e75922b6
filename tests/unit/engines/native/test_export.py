"""An export must be what was trained, and a sabotaged one must be found out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from toys import FAMILIES, Events
from transformers import AutoModelForCausalLM

from qingting.core.errors import EngineError
from qingting.engines.native import export as export_module
from qingting.engines.native.export import export
from qingting.engines.native.training import train
from qingting.engines.protocol import ExportJob, TrainJob
from qingting.spec.recipe import LoraRecipe

MakeJob = Callable[..., TrainJob]


def export_job(job: TrainJob, **changes: object) -> ExportJob:
    output = Path(job.output).parent / "export"
    output.mkdir()
    settings = {
        "output": str(output),
        "state": job.state,
        "runtime": job.runtime,
        "checkpoint": job.checkpoint,
        "trained": job.output,
        "probes": job.validation,
        # random toy weights are far from those of a trained model, and round worse
        "max_rounding_kl": 0.1,
        "min_rounding_agreement": 0.8,
    }
    return ExportJob(**(settings | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_exports_with_all_proofs(make_job: MakeJob, family: str) -> None:
    is_mixture = family == "gpt_oss"
    lora = LoraRecipe(experts=is_mixture, dropout=0.0 if is_mixture else 0.1)
    job = make_job(family, lora=lora)
    train(job, Events())
    done = export(export_job(job), Events())
    proofs = json.loads((Path(job.output).parent / "export" / "proofs.json").read_text())
    assert done["proofs"] == proofs
    assert all(proof["holds"] for proof in proofs.values())
    assert proofs["merge_error"]["value"] <= 1e-5
    assert proofs["training_changes_logits"]["value"] > 0.01
    assert proofs["weights_differing_after_reload"]["value"] == 0


def test_an_fp32_export_equals_plain_peft_on_stock_software(
    make_job: MakeJob, expert_lora: LoraRecipe
) -> None:
    job = make_job("gpt_oss", lora=expert_lora)
    train(job, Events())
    done = export_job(job, dtype="float32")
    export(done, Events())
    ids = torch.arange(60, 100)[None]
    base = AutoModelForCausalLM.from_pretrained(job.checkpoint, attn_implementation="eager")
    adapted = PeftModel.from_pretrained(base, Path(job.output) / "adapter").eval()
    exported = AutoModelForCausalLM.from_pretrained(
        Path(done.output) / "model", attn_implementation="eager"
    )
    with torch.no_grad():
        expected, found = adapted(ids).logits, exported(ids).logits
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_full_fine_tuning_exports_without_a_merge(make_job: MakeJob) -> None:
    job = make_job("llama3", method="full", learning_rate=1e-3)
    train(job, Events())
    done = export_job(job, shard_bytes=20_000)
    result = export(done, Events())
    assert result["n_shards"] > 1
    assert result["proofs"]["merge_error"]["value"] == 0
    names = {path.name for path in (Path(done.output) / "model").iterdir()}
    assert {"config.json", "tokenizer.json", "chat_template.jinja"} <= names
    assert not any(name.endswith(".bin") for name in names)


def test_an_adapter_that_changes_nothing_fails_by_name(make_job: MakeJob) -> None:
    job = make_job()
    train(job, Events())
    path = Path(job.output) / "adapter" / "adapter_model.safetensors"
    silenced = {n: t * 0 if "lora_B" in n else t for n, t in load_file(path).items()}
    save_file(silenced, path, metadata={"format": "pt"})
    done = export_job(job)
    with pytest.raises(EngineError, match="training_changes_logits is 0, must be > 0"):
        export(done, Events())
    proofs = json.loads((Path(done.output) / "proofs.json").read_text())
    assert not proofs["training_changes_logits"]["holds"]


def test_an_export_that_rounds_too_much_fails_by_name(make_job: MakeJob) -> None:
    job = make_job()
    train(job, Events())
    with pytest.raises(EngineError, match="rounding_kl"):
        export(export_job(job, max_rounding_kl=1e-12), Events())


def test_weights_that_change_on_the_way_to_disk_fail_by_name(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job()
    train(job, Events())
    save = export_module.save_model

    def save_and_spoil(model, folder, **options):  # type: ignore[no-untyped-def]
        save(model, folder, **options)
        weights = load_file(folder / "model.safetensors")
        weights["model.norm.weight"][0] += 1
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    monkeypatch.setattr(export_module, "save_model", save_and_spoil)
    with pytest.raises(EngineError, match="weights_differing_after_reload is 1"):
        export(export_job(job), Events())


def test_a_template_that_changed_fails_by_name(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job()
    train(job, Events())
    done = export_job(job)
    real = export_module.save_model

    def save_with_other_template(model, folder, **options):  # type: ignore[no-untyped-def]
        real(model, folder, **options)
        path = folder / "chat_template.jinja"
        path.write_text(path.read_text().replace("<|im_end|>", "<|im_end|> "))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export_module, "save_model", save_with_other_template)
        with pytest.raises(EngineError, match="probes_encoded_differently"):
            export(done, Events())
