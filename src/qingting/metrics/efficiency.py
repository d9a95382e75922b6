"""What an arm costs to run, and how well it predicts: speed, latency, bits per byte."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from qingting.core.errors import DataError, UndefinedStatisticError
from qingting.core.missing import Missing
from qingting.core.signature import Signature


class Latency(NamedTuple):
    """Quantiles in seconds of the requests that were answered; the others are counted."""

    mean_s: float
    median_s: float
    p90_s: float
    p99_s: float | Missing
    max_s: float
    n_valid: int
    n_missing: int


def tokens_per_second(n_tokens: int, duration_s: float) -> float:
    """Return tokens over seconds; both over the same requests, by wall clock.

    Raises:
        UndefinedStatisticError: no time passed, or no token was made.
        DataError: a negative count or a duration that is no number.
    """
    if n_tokens < 0 or not math.isfinite(duration_s) or duration_s < 0:
        raise DataError(f"{n_tokens} tokens in {duration_s} s is no measurement")
    if n_tokens == 0 or duration_s == 0:
        raise UndefinedStatisticError(f"no speed: {n_tokens} tokens in {duration_s} s")
    return n_tokens / duration_s


def summarise_latency(seconds: Sequence[float | Missing]) -> Latency:
    """Return a summary of times such as time to first token (TTFT).

    ``seconds``: (n_requests,) or ``Missing`` where a request failed: a failure is not a fast
    answer and not a slow one. Quantiles interpolate linearly; the 99th needs 100 answers, since
    with fewer it would be the maximum by another name.

    Raises:
        UndefinedStatisticError: no request was answered.
        DataError: a time is negative or no number.
    """
    present = np.array([time for time in seconds if not isinstance(time, Missing)], np.float64)
    if not len(present):
        raise UndefinedStatisticError(f"no latency: none of {len(seconds)} requests was answered")
    if not (np.isfinite(present) & (present >= 0)).all():
        raise DataError("a time is negative or not a number")
    median, p90, p99 = np.quantile(present, [0.5, 0.9, 0.99]).tolist()
    return Latency(
        float(present.mean()),
        median,
        p90,
        p99 if len(present) >= 100 else Missing("needs 100 answered requests"),
        float(present.max()),
        n_valid=len(present),
        n_missing=len(seconds) - len(present),
    )


def bits_per_byte(sum_nats: float, n_bytes: int) -> float:
    """Return cross-entropy per UTF-8 byte, comparable between tokenizers; lower is better.

    ``sum_nats``: negative log-likelihood summed over the scored tokens, in nats. ``n_bytes``: the
    UTF-8 length of exactly the text that these tokens encode, neither template nor prompt.

    Raises:
        UndefinedStatisticError: there are no bytes.
        DataError: the sum is negative or no number.
    """
    if not math.isfinite(sum_nats) or sum_nats < 0:
        raise DataError(f"a negative log-likelihood of {sum_nats} nats is no measurement")
    if n_bytes <= 0:
        raise UndefinedStatisticError("no bits per byte: the scored text is empty")
    return sum_nats / (n_bytes * math.log(2))


def bits_per_byte_signature(bytes_of: str) -> Signature:
    """Return the signature of bits per byte; ``bytes_of`` says what was scored.

    Such as ``counsellor-turns`` or ``counsellor-turns+end-of-turn``: whether the end-of-turn token
    is among the scored tokens changes the sum but not the bytes.
    """
    return Signature(
        "bits-per-byte", parameters=(("bytes", f"utf8:{bytes_of}"), ("agg", "pooled"))
    ).at("corpus")
