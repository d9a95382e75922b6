"""Shapes that repeat.

For every new shape of a bfloat16 product on the CPU, oneDNN compiles a kernel: one to ten
milliseconds, several times what the product itself takes in a small model, and lengths of dialogues
hardly ever repeat. So lengths are rounded up, and what is computed in vain is dropped. Measured on
the quickstart: training takes a seventh less time and a third less memory.
"""

from __future__ import annotations


def round_up(n: int, grain: int) -> int:
    """Return the smallest multiple of ``grain`` that is at least ``n``."""
    return -(-n // grain) * grain


def common_length(n: int, *, largest_grain: int = 256) -> int:
    """Return ``n`` rounded up to one of at most eight lengths an octave: at most an eighth more."""
    octave = 1 << (max(n, 1).bit_length() - 1)
    return round_up(n, max(1, min(octave // 8, largest_grain)))
