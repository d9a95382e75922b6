"""Lengths that repeat: rounded up, but never by much."""

from __future__ import annotations

from qingting.engines.native.shapes import common_length, round_up


def test_a_common_length_is_at_most_an_eighth_longer_and_one_of_few() -> None:
    for octave in range(4, 12):
        lengths = range(1 << octave, 2 << octave)
        common = [common_length(n) for n in lengths]
        assert all(n <= c <= n + n / 8 for n, c in zip(lengths, common, strict=True))
        assert len(set(common)) <= 9  # eight and the first of the next octave
    assert [common_length(n) for n in (1, 7, 15, 16, 17, 40, 651)] == [1, 7, 15, 16, 18, 40, 704]


def test_long_rows_are_rounded_by_the_largest_grain_only() -> None:
    assert common_length(100_001) == round_up(100_001, 256) == 100_096
    assert common_length(1000, largest_grain=16) == 1008
