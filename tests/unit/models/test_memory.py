from dataclasses import replace

import pytest

from qingting.core.errors import ModelError, SpecificationError
from qingting.models.devices import DEVICES, decoding_rate, find_device, training_rate
from qingting.models.memory import (
    TrainingSetup,
    count_parameters,
    estimate_inference,
    estimate_training,
    n_parameters,
)
from qingting.models.memory_plan import choose_micro_batch, largest_micro_batch
from unit.models.published_shapes import PARAMETERS_B, PUBLISHED

QWEN = PUBLISHED["Qwen2.5-7B"]
PUBLISHED_RECIPE = TrainingSetup(micro_batch=8, length=3072)


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_those_of_the_published_files(name):
    assert n_parameters(PUBLISHED[name]) / 1e9 == pytest.approx(PARAMETERS_B[name], rel=1e-3)


def test_gpt_oss_activates_a_sixth_of_its_parameters():
    counts = count_parameters(PUBLISHED["GPT-OSS-20B"])
    assert counts.active / 1e9 == pytest.approx(4.19, abs=0.02)  # 3.61 without the input table


@pytest.mark.parametrize(
    ("setup", "decimal_gb"),
    [
        (replace(PUBLISHED_RECIPE, logits="full"), 65.7),
        (PUBLISHED_RECIPE, 30.7),
        (TrainingSetup(micro_batch=8, length=1024, logits="full"), 32.2),
        (TrainingSetup(micro_batch=1, length=3072, logits="full"), 21.8),
    ],
)
def test_known_traces_of_qwen_are_met_within_five_percent(setup, decimal_gb):
    assert estimate_training(QWEN, setup).allocated / 1e9 == pytest.approx(decimal_gb, rel=0.05)


def test_the_parts_add_up_and_the_range_holds_the_peak():
    estimate = estimate_training(QWEN, PUBLISHED_RECIPE)
    assert estimate.weights == 2 * n_parameters(QWEN)
    assert estimate.low_gib < estimate.peak_gib < estimate.high_gib
    assert estimate.allocated_gib + estimate.margin_gib == pytest.approx(estimate.peak_gib)


@pytest.mark.parametrize("field", ["micro_batch", "length", "lora_rank"])
def test_more_takes_more(field):
    small = estimate_training(QWEN, PUBLISHED_RECIPE)
    large = replace(PUBLISHED_RECIPE, **{field: 2 * getattr(PUBLISHED_RECIPE, field)})
    assert estimate_training(QWEN, large).allocated > small.allocated


@pytest.mark.parametrize("name", PUBLISHED)
def test_checkpointing_chunks_and_four_bits_save(name):
    base = TrainingSetup(micro_batch=4, length=1024)
    peak = estimate_training(PUBLISHED[name], base).allocated
    for costlier in (
        replace(base, gradient_checkpointing=False),
        replace(base, logits="full"),
        replace(base, method="full"),
    ):
        assert estimate_training(PUBLISHED[name], costlier).allocated > peak
    assert estimate_training(PUBLISHED[name], replace(base, method="qlora")).weights < 2 * (
        n_parameters(PUBLISHED[name])
    )


def test_full_fine_tuning_takes_sixteen_bytes_a_parameter_and_more():
    estimate = estimate_training(QWEN, TrainingSetup(method="full"))
    kept = estimate.weights + estimate.gradients + estimate.optimiser
    assert kept == 16 * n_parameters(QWEN)


def test_the_cache_holds_keys_and_values_of_every_layer():
    estimate = estimate_inference(QWEN, concurrency=3, context_length=1000)
    assert estimate.kv_cache == 2 * 28 * 4 * 128 * 2 * 3000


def test_the_largest_micro_batch_fits_and_the_next_does_not():
    rows = largest_micro_batch(QWEN, TrainingSetup(), 40.0)
    assert rows > 0
    assert estimate_training(QWEN, TrainingSetup(micro_batch=rows)).peak_gib <= 40.0
    assert estimate_training(QWEN, TrainingSetup(micro_batch=rows + 1)).peak_gib > 40.0


def test_nothing_fits_where_the_weights_do_not():
    assert largest_micro_batch(QWEN, TrainingSetup(), 12.0) == 0


def test_checkpointing_is_off_only_where_memory_allows():
    roomy = choose_micro_batch(QWEN, TrainingSetup(), 139.0, n_rows=8)
    tight = choose_micro_batch(QWEN, TrainingSetup(), 24.0, n_rows=8)
    assert not roomy.gradient_checkpointing
    assert tight.gradient_checkpointing
    assert tight.micro_batch in (1, 2)


def test_a_gpu_is_found_by_part_of_its_name_unless_that_is_ambiguous():
    assert find_device("l40s").name == "L40S-48GB"
    assert find_device("H100-80GB").bf16_tflops == 989
    with pytest.raises(SpecificationError, match="say which"):
        find_device("A100")
    with pytest.raises(SpecificationError, match="H100-80GB"):
        find_device("H100-81GB")


def test_training_is_slower_with_checkpointing_and_for_all_weights():
    device = find_device("H100-80GB")

    def rate(method, is_on):
        return training_rate(
            QWEN, device, method=method, length=3072, gradient_checkpointing=is_on
        ).middle

    assert rate("lora", False) > rate("lora", True) > rate("full", True)
    # 6 FLOPs a parameter and token at 40% of 989 TFLOP/s bound the rate of full fine-tuning
    assert rate("full", False) < 0.4 * 989e12 / (6 * 7.07e9)


def test_more_dialogues_decode_more_tokens_each_more_slowly():
    device = find_device("H100-80GB")
    one, many = (
        decoding_rate(QWEN, device, concurrency=n, context_length=2048).middle for n in (1, 32)
    )
    assert one < many < 32 * one


def test_devices_are_named_once():
    assert len({device.name for device in DEVICES}) == len(DEVICES)


def test_a_configuration_without_sizes_is_refused():
    with pytest.raises(ModelError, match="num_hidden_layers"):
        n_parameters({"model_type": "llama", "hidden_size": 8, "num_attention_heads": 2})
