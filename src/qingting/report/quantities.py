"""Numbers as a person reads them: fixed digits, a true minus sign, units that fit the size."""

from __future__ import annotations

from qingting.report.texts import Bilingual, both, text


def decimal(value: float, *, digits: int = 3, signed: bool = False) -> str:
    """Return a number with ``digits`` decimals; one that would read 0 keeps a significant digit."""
    shown = f"{abs(value):.{digits}f}"
    if value != 0 and float(shown) == 0:
        shown = _tiny(abs(value))
    sign = "−" if value < 0 else "+" if signed and value > 0 else ""
    return sign + shown


def _tiny(value: float) -> str:
    if value < 1e-6:
        mantissa, exponent = f"{value:.0e}".split("e")
        return f"{mantissa}e−{abs(int(exponent))}"
    return (
        f"{value:.7f}".rstrip("0")[:9]
        if value < 1e-5
        else f"{float(f'{value:.1g}'):.6f}".rstrip("0")
    )


def percent(value: float, *, digits: int = 1, signed: bool = False) -> str:
    """Return a share as a percentage."""
    return f"{decimal(100 * value, digits=digits, signed=signed)}%"


def count(value: int) -> str:
    """Return a whole number with a comma at the thousands."""
    return f"{value:,}".replace("-", "−")


def significant(value: float, digits: int = 3) -> str:
    """Return a positive number to so many significant digits, without an exponent."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits}g}")
    whole = len(str(int(abs(rounded))))
    return (
        f"{rounded:,.{max(0, digits - whole)}f}" if abs(rounded) >= 1 else f"{rounded:.{digits}g}"
    )


def parameters(value: int) -> str:
    """Return a number of parameters as 2.4M or 7.6B."""
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return str(value)


def memory(n_bytes: float) -> str:
    """Return an amount of memory in MiB or GiB."""
    if n_bytes >= 2**30:
        return f"{significant(n_bytes / 2**30)} GiB"
    return f"{significant(n_bytes / 2**20)} MiB"


def duration(seconds: float) -> Bilingual:
    """Return a span of time in the unit that fits it."""
    if seconds < 1:
        return text("milliseconds", value=significant(1000 * seconds))
    if seconds < 60:
        return text("seconds", value=significant(seconds))
    whole = round(seconds)
    if whole < 3600:
        return text("minutes", minutes=whole // 60, seconds=whole % 60)
    return text("hours", hours=whole // 3600, minutes=whole % 3600 // 60)


def level(confidence_level: float) -> str:
    """Return a confidence level as 95% or 99.5%."""
    return f"{100 * confidence_level:.10g}%"


def plain(value: object) -> Bilingual:
    """Return a setting as a person would write it."""
    if value is None:
        return text("none")
    if isinstance(value, bool):
        return text("yes" if value else "no")
    if isinstance(value, float):
        return both(f"{value:.6g}".replace("-", "−") if value < 0 else f"{value:.6g}")
    if isinstance(value, (list, tuple)):
        return both(", ".join(plain(item).en for item in value)) if value else text("none")
    if isinstance(value, dict):
        return both(", ".join(f"{key}: {plain(item).en}" for key, item in value.items()))
    return both(str(value))
