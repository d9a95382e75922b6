"""The closed form against the exact count; whole models, nothing extrapolated."""

from dataclasses import replace

import pytest
import torch

from qingting.core.errors import ModelError
from qingting.engines.native.attention import window_mask
from qingting.engines.native.memory_trace import trace_training
from qingting.models.memory import TrainingSetup, estimate_training
from qingting.models.resolve import read_config, shipped_models
from unit.models.published_shapes import PUBLISHED

TOLERANCE = 0.05
SHIPPED = {
    name: read_config(folder)
    for name, folder in shipped_models().items()
    if read_config(folder)["model_type"] in ("llama", "qwen2", "glm", "gpt_oss")
}
BASE = TrainingSetup(micro_batch=4, length=1024)
SETUPS = {
    "chunked": BASE,
    "full-logits": replace(BASE, logits="full"),
    "no-checkpointing": replace(BASE, gradient_checkpointing=False),
    "full-logits-no-checkpointing": replace(BASE, logits="full", gradient_checkpointing=False),
    "no-dropout": replace(BASE, lora_dropout=0.0),
}
FULL = {
    "chunked": replace(BASE, method="full"),
    "no-checkpointing": replace(BASE, method="full", gradient_checkpointing=False),
    "full-logits": replace(BASE, method="full", logits="full"),
}


def difference(config, setup):
    traced = trace_training(config, setup).peak_bytes
    return estimate_training(config, setup).allocated / traced - 1


@pytest.mark.parametrize("setup", ["chunked", "full-logits", "no-checkpointing"])
@pytest.mark.parametrize("name", ["qwen2.5-tiny", "chatglm3-tiny", "gpt-oss-tiny"])
def test_the_closed_form_meets_the_count_on_models_that_ship(name, setup):
    assert abs(difference(SHIPPED[name], SETUPS[setup])) <= TOLERANCE


@pytest.mark.parametrize("setup", FULL.values(), ids=FULL)
def test_full_fine_tuning_is_met_too(setup):
    assert abs(difference(SHIPPED["qwen2.5-tiny"], setup)) <= TOLERANCE


def test_weights_and_moments_are_counted_as_they_are():
    trace = trace_training(SHIPPED["qwen2.5-tiny"], BASE)
    estimate = estimate_training(SHIPPED["qwen2.5-tiny"], BASE)
    assert trace.weights == pytest.approx(estimate.weights, rel=0.02)  # blocks of 512 bytes
    assert trace.optimiser == pytest.approx(2 * trace.adapters)
    assert trace.gradients == trace.adapters
    parts = trace.weights + trace.adapters + trace.gradients + trace.optimiser
    assert parts + trace.activations + trace.logits == trace.peak_bytes


def test_a_trace_leaves_nothing_without_data_behind():
    trace_training(SHIPPED["gpt-oss-tiny"], BASE)
    mask = window_mask(4, 2, torch.float32, torch.device("cpu"))
    assert float(mask[0, 0]) == 0.0


def test_four_bit_weights_are_refused():
    with pytest.raises(ModelError, match="QLoRA"):
        trace_training(SHIPPED["qwen2.5-tiny"], replace(BASE, method="qlora"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setup", "decimal_gb"),
    [
        (TrainingSetup(micro_batch=8, length=3072, logits="full"), 65.7),
        (TrainingSetup(micro_batch=8, length=3072), 30.7),
        (TrainingSetup(micro_batch=8, length=1024, logits="full"), 32.2),
        (TrainingSetup(micro_batch=1, length=3072, logits="full"), 21.8),
    ],
)
def test_known_traces_of_qwen_are_found_again(setup, decimal_gb):
    config = PUBLISHED["Qwen2.5-7B"]
    assert trace_training(config, setup).peak_bytes / 1e9 == pytest.approx(decimal_gb, rel=0.05)
    assert abs(difference(config, setup)) <= TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("setup", SETUPS.values(), ids=SETUPS)
@pytest.mark.parametrize("name", PUBLISHED)
def test_the_closed_form_meets_the_count_on_published_models(name, setup):
    assert abs(difference(PUBLISHED[name], setup)) <= TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("setup", FULL.values(), ids=FULL)
@pytest.mark.parametrize("name", ["Qwen2.5-1.5B", "Qwen3-8B", "ChatGLM3-6B"])
def test_full_fine_tuning_of_published_models_is_met(name, setup):
    assert abs(difference(PUBLISHED[name], setup)) <= TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("setup", SETUPS.values(), ids=SETUPS)
@pytest.mark.parametrize("name", SHIPPED)
def test_the_closed_form_meets_the_count_on_all_that_ship(name, setup):
    assert abs(difference(SHIPPED[name], setup)) <= TOLERANCE
