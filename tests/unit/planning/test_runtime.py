import pytest

from qingting.engines.hardware import Gpu
from qingting.engines.protocol import Runtime
from qingting.planning.runtime import resolve_memory
from qingting.spec.recipe import Recipe
from unit.models.published_shapes import PUBLISHED

QWEN = PUBLISHED["Qwen2.5-7B"]
CUDA = Runtime(device="cuda", precision="bf16", attention="sdpa", n_threads=1)
CPU = Runtime(device="cpu", precision="bf16", attention="sdpa", n_threads=1)


def on(memory_gib, recipe=None, config=QWEN):
    card = Gpu("a card", memory_gib, 9.0)
    return resolve_memory(recipe or Recipe(), CUDA, config=config, gpus=(card,))


def test_a_roomy_card_computes_activations_once():
    chosen = on(139.8)
    assert (chosen.micro_batch, chosen.gradient_checkpointing) == (4, False)


def test_a_small_card_gets_fewer_rows_and_checkpointing():
    chosen = on(24.0)
    assert chosen.gradient_checkpointing
    assert chosen.micro_batch < on(80.0, Recipe(gradient_checkpointing=True)).micro_batch


def test_the_smallest_card_decides():
    cards = (Gpu("large", 139.8, 9.0), Gpu("small", 24.0, 9.0))
    assert resolve_memory(Recipe(), CUDA, config=QWEN, gpus=cards) == on(24.0)


def test_what_the_recipe_says_stands():
    chosen = on(139.8, Recipe(micro_batch=3, gradient_checkpointing=True))
    assert (chosen.micro_batch, chosen.gradient_checkpointing) == (3, True)
    assert on(139.8, Recipe(micro_batch=2)) == (2, False)
    assert on(24.0, Recipe(micro_batch=2)) == (2, True)


def test_rows_never_exceed_the_effective_batch():
    assert on(139.8, Recipe(effective_batch=2, max_length=256)).micro_batch == 2


@pytest.mark.parametrize("config", [None, {"model_type": "unheard-of"}])
def test_an_unknown_model_keeps_the_plain_rule(config):
    assert on(139.8, config=config) == (8, True)


def test_the_cpu_keeps_the_plain_rule():
    assert resolve_memory(Recipe(), CPU, config=QWEN) == (4, False)
