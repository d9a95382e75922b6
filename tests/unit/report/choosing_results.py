"""Results of a few arms whose order can be worked out by hand."""

from __future__ import annotations

from qingting.report.results import (
    ArmMeasurements,
    ArmResult,
    InferenceEfficiency,
    Interval,
    Results,
    Score,
    TrainingEfficiency,
)
from unit.report.sample_results import replaced, sample_results


def score(metric: str, mean: float, *, half: float = 0.0, better: str = "higher") -> Score:
    """Return a score with a 95 % interval of mean ± half; ``metric/zh`` is of one language."""
    name, _, language = metric.partition("/")
    return Score.model_validate(
        {
            "metric": name,
            "language": language or None,
            "mean": mean,
            "interval": Interval(
                low=mean - half, high=mean + half, confidence_level=0.95, method="t"
            ),
            "corpus": mean,
            "signature": f"{name}|v:1",
            "direction": better,
            "n_valid": 40,
            "n_missing": 0,
        }
    )


def arm(name: str, *scores: Score, failed: str | None = None) -> ArmResult:
    """Return an arm with scores, or one that failed for a reason."""
    return ArmResult(
        id=name,
        model=name,
        variant="base",
        seed=None,
        status="failed" if failed else "done",
        reason=failed,
        scores=scores,
    )


def costs(
    name: str, *, tokens_per_s: float = 100.0, gib: float = 1.0, training_s: float | None = None
) -> ArmMeasurements:
    """Return what an arm cost; a batch of 1 is ten times slower than the batch of 8."""
    return ArmMeasurements(
        arm=name,
        training=None
        if training_s is None
        else TrainingEfficiency(
            wall_s=training_s, cpu_s=training_s, tokens_per_s=1.0, peak_memory_bytes=2**30
        ),
        inference=tuple(
            InferenceEfficiency(
                batch_size=batch,
                time_to_first_token_s=0.1,
                tokens_per_s=tokens_per_s * share,
                peak_memory_bytes=round(gib * share * 2**30),
            )
            for batch, share in ((8, 1.0), (1, 0.1))
        ),
    )


def results_of(*arms: ArmResult, measured: tuple[ArmMeasurements, ...] = ()) -> Results:
    """Return whole results of these arms alone."""
    return replaced(sample_results(), outcomes={"arms": arms}, measurements={"arms": measured})


def specialists(*, half: float = 0.0) -> Results:
    """Return three arms: best in quality, best in knowledge, and half-way in both."""
    return results_of(
        *(
            arm(
                name,
                score("bits-per-byte", bits, half=half, better="lower"),
                score("knowledge-likelihood-exact", share, half=half),
            )
            for name, bits, share in (("knows", 2.0, 0.8), ("writes", 1.0, 0.2), ("both", 1.5, 0.5))
        )
    )
