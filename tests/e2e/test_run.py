"""The main job, end to end, on two of the small models."""

import json
import os
import shutil
import signal
import time

import pytest

from e2e.running import SMALL, Run, outcomes
from qingting.report.results import Results


def test_a_run_leaves_a_report_a_comparison_and_results(finished):
    page = (finished / "report" / "index.html").read_text(encoding="utf-8")
    assert "gpt-oss-tiny" in page
    assert "qwen2.5-tiny" in (finished / "report" / "performance_comparison.md").read_text("utf-8")
    results = Results.model_validate_json((finished / "results.json").read_bytes())
    assert [arm.status for arm in results.outcomes.arms] == ["done"] * 4
    assert results.outcomes.data.sources == ("counselling",)
    assert "The data are synthetic" in page
    metrics = {score.metric for score in results.outcomes.arms[0].scores}
    assert {"bits-per-byte", "bleu", "rouge-l-f", "meteor", "chrf"} <= metrics
    assert {"knowledge-likelihood-exact", "knowledge-generation-elastic"} <= metrics
    proofs = [proof for arm in results.outcomes.arms for proof in arm.proofs]
    assert proofs
    assert all(proof.passed for proof in proofs)
    assert all(len(arm.inference) == 2 for arm in results.measurements.arms)


def test_outcomes_hold_no_path_of_the_machine(finished):
    assert str(finished.parent) not in outcomes(finished)
    assert os.path.expanduser("~") + "/" not in outcomes(finished)


def test_a_second_run_does_nothing_and_says_so(finished, small_spec):
    before = outcomes(finished)
    status, out, err = Run(small_spec, finished, "--json").finish()
    assert status == 0, err
    said = json.loads(out)
    assert said["n_run"] == 0
    assert said["n_cached"] > 20
    assert outcomes(finished) == before


def test_the_plan_of_a_finished_run_is_all_cached(finished, small_spec):
    status, out, _ = Run(small_spec, finished, "--json", command="plan").finish()
    assert status == 0
    assert {stage["status"] for stage in json.loads(out)["stages"]} == {"cached"}


def test_another_learning_rate_repeats_only_what_depends_on_it(finished, small_spec):
    status, out, _ = Run(
        small_spec, finished, "--json", "--set", "recipe.learning_rate=1e-3", command="plan"
    ).finish()
    assert status == 0
    stages = {stage["stage"]: stage for stage in json.loads(out)["stages"]}
    assert stages["score/qwen2.5-tiny/base"]["status"] == "cached"
    assert stages["schedule"]["status"] == "cached"
    assert "learning_rate: 0.002 → 0.001" in stages["train/qwen2.5-tiny/lora"]["reason"]


def test_a_changed_artifact_is_made_again(finished, small_spec, tmp_path):
    work = tmp_path / "work"
    shutil.copytree(finished, work)
    before = outcomes(work)
    victim = next((work / "artifacts").glob("*/schedule-42.json"))
    victim.write_bytes(victim.read_bytes().replace(b'"steps"', b'"stepz"'))
    status, out, err = Run(small_spec, work, "--json").finish()
    assert status == 0, err
    assert json.loads(out)["n_run"] == 1
    assert outcomes(work) == before


def test_a_run_with_nothing_to_do_starts_no_worker(finished, small_spec):
    began = time.monotonic()
    run = Run(small_spec, finished)
    seen = set()
    while run.process.poll() is None:
        seen.update(run.workers())
        time.sleep(0.01)
    run.finish()
    assert not seen
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_no_process_and_resumes(small_spec, tmp_path, finished, sent):
    work = tmp_path / "work"
    run = Run(small_spec, work)
    _wait_for_workers(run)
    run.process.send_signal(sent)
    status, _, err = run.finish(60)
    assert status == 130, err
    assert "run again to go on" in err
    assert "Traceback" not in err
    assert run.wait_until_gone() == []
    assert Run(small_spec, work).finish()[0] == 0
    assert outcomes(work) == outcomes(finished)


def _wait_for_workers(run):
    deadline = time.monotonic() + 120
    while not run.workers() and time.monotonic() < deadline and run.process.poll() is None:
        time.sleep(0.05)
    time.sleep(8)


def test_a_failing_arm_does_not_stop_the_others(small_spec, tmp_path):
    """An arm whose weights hold NaN fails with its step named; the other arm's report is there."""
    import torch
    from safetensors.torch import load_file, save_file

    from qingting.models.resolve import shipped_models

    broken = tmp_path / "broken"
    shutil.copytree(shipped_models()["llama3.1-tiny"], broken)
    weights = load_file(broken / "model.safetensors")
    name = next(name for name in weights if "mlp.down_proj" in name)
    weights[name] = torch.full_like(weights[name], float("nan"))
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        SMALL.replace("  - qwen2.5-tiny\n", f"  - qwen2.5-tiny\n  - {broken}\n").replace(
            "  - model: gpt-oss-tiny\n    recipe: {lora: {dropout: 0.0, experts: true}}\n", ""
        ),
        encoding="utf-8",
    )
    status, out, _ = Run(spec, tmp_path / "work", "--json").finish()
    assert status == 1
    said = json.loads(out)
    assert any("step 1" in failure["reason"] for failure in said["failures"]), said
    results = Results.model_validate_json((tmp_path / "work" / "results.json").read_bytes())
    arms = {arm.id: arm for arm in results.outcomes.arms}
    assert arms["qwen2.5-tiny/lora"].status == "done"
    assert arms["broken/lora"].status == "failed"
    assert "NaN" in (arms["broken/lora"].reason or "")
    assert "broken" in (tmp_path / "work" / "report" / "index.html").read_text("utf-8")
