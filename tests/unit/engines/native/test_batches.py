"""Packing keeps every token, respects the rows, and knows which targets belong to whom."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qingting.core.errors import DataError
from qingting.engines.native.batches import Example, micro_batches, pack


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 60))
def test_packing_loses_nothing_and_fills_no_row_beyond_its_capacity(
    lengths: list[int], capacity: int
) -> None:
    rows = pack(lengths, capacity)
    assert sorted(index for row in rows for index in row) == list(range(len(lengths)))
    for row in rows:
        assert sum(lengths[i] for i in row) <= capacity or len(row) == 1


def test_first_fit_decreasing_by_hand() -> None:
    # by length: 6(#1) 5(#2) 4(#0) 3(#3); 6 opens a row of 10, 5 another, 4 joins the 6, 3 the 5
    assert pack([4, 6, 5, 3], 10) == [[1, 0], [2, 3]]


def example(name: str, n: int, targets: set[int]) -> Example:
    return Example(name, tuple(range(10, 10 + n)), tuple(t in targets for t in range(n)))


@pytest.mark.parametrize("packing", [True, False])
def test_targets_are_predicted_from_the_token_before_them(packing: bool) -> None:
    examples = [example("a", 4, {0, 2, 3}), example("b", 6, {5})]
    (batch,) = micro_batches(
        examples, rows_per_batch=2, row_capacity=100, packing=packing, pad_id=0
    )
    flat = batch.input_ids.flatten()
    assert batch.n_tokens == 10
    assert batch.ids == ("b", "a")
    assert flat[batch.sources].tolist() == [14, 11, 12]
    assert batch.labels.tolist() == [15, 12, 13]  # a's first token is nobody's target
    assert [batch.ids[i] for i in batch.owners] == ["b", "a", "a"]
    assert batch.positions.flatten()[batch.sources].tolist() == [4, 1, 2]


def test_micro_batch_counts_rows() -> None:
    examples = [example(str(i), 10, {9}) for i in range(8)]
    packed = micro_batches(examples, rows_per_batch=2, row_capacity=20, packing=True)
    padded = micro_batches(examples, rows_per_batch=2, row_capacity=20, packing=False)
    assert [batch.input_ids.shape for batch in packed] == [(1, 40), (1, 40)]
    assert [batch.input_ids.shape for batch in padded] == [(2, 10)] * 4


def test_a_step_with_nothing_to_learn_is_refused_by_name() -> None:
    with pytest.raises(DataError, match="lonely"):
        micro_batches([example("lonely", 3, set())], rows_per_batch=1, row_capacity=9, packing=True)
