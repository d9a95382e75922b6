"""What a conversion will do, before any weight is read: which tensor comes of which, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from qingting.core.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

Shape = tuple[int, ...]
_MOST_LAYERS = 1000


class TensorSpec(NamedTuple):
    """A tensor by name and shape; ``is_code`` marks packed bytes instead of numbers."""

    name: str
    shape: Shape
    is_code: bool = False


Compute = Callable[[Sequence["Tensor"]], Sequence[Iterator["Tensor"]]]
"""Source tensors → for each target, its parts along the first axis, made one at a time."""


@dataclass(frozen=True, slots=True)
class Step:
    """One or more source tensors that together become one or more target tensors."""

    sources: tuple[TensorSpec, ...]
    targets: tuple[TensorSpec, ...]
    compute: Compute


@dataclass(frozen=True, slots=True)
class Plan:
    """A conversion: target configuration, steps, and what the converted folder must say.

    ``ignored`` are endings of tensor names that hold no parameters (tables that the original
    recomputes). ``float32_targets`` are computed rather than copied and stay float32 unless a type
    is asked for. ``record`` goes into the
    converted folder's ``qingting.json``.
    """

    layout: str
    config: Mapping[str, Any]
    steps: tuple[Step, ...]
    generation: Mapping[str, Any]
    ignored: tuple[str, ...] = ()
    record: Mapping[str, Any] = field(default_factory=dict)
    float32_targets: tuple[str, ...] = ()


def whole(tensors: Sequence[Tensor]) -> list[Iterator[Tensor]]:
    """Return the only source unchanged."""
    return [iter((tensors[0],))]


def rename(source: str, target: str, shape: Shape) -> Step:
    """Return the step that only renames a tensor."""
    return Step((TensorSpec(source, shape),), (TensorSpec(target, shape),), whole)


def rows(
    source: str, targets: Sequence[tuple[str, int]], trailing: Shape, *, name_end: str = ""
) -> Step:
    """Return the step that cuts a tensor along its first axis into ``(name, n_rows)`` targets."""
    sizes = [n for _, n in targets]

    def cut(tensors: Sequence[Tensor]) -> list[Iterator[Tensor]]:
        parts = tensors[0].split(sizes)  # type: ignore[no-untyped-call]
        return [iter((part,)) for part in parts]

    return Step(
        (TensorSpec(source + name_end, (sum(sizes), *trailing)),),
        tuple(TensorSpec(name + name_end, (n, *trailing)) for name, n in targets),
        cut,
    )


class TargetTypes(NamedTuple):
    """The type of each target tensor: one for all, and those that stay float32."""

    dtype: str
    float32_targets: tuple[str, ...] = ()

    def of(self, name: str) -> str:
        """Return the type of a target tensor."""
        return "float32" if name in self.float32_targets else self.dtype


class Settings:
    """A source's config.json, read key by key; what is wrong is said with the key's name."""

    def __init__(self, values: Mapping[str, Any], place: str) -> None:
        self.values = values
        self.place = place

    def integer(self, key: str, default: int | None = None) -> int:
        """Return a positive whole number."""
        value = self.values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ModelError(f"{self.place}: {key} must be a positive whole number, not {value!r}")
        return value

    def n_layers(self, key: str) -> int:
        """Return the number of layers, no more than any model has."""
        value = self.integer(key)
        if value > _MOST_LAYERS:
            raise ModelError(f"{self.place}: {key} is {value}; no such model has that many layers")
        return value

    def token_id(self, key: str) -> int | list[int] | None:
        """Return one token id, several, or None."""
        value = self.values.get(key)
        ids = value if isinstance(value, list) else [] if value is None else [value]
        if any(isinstance(x, bool) or not isinstance(x, int) or x < 0 for x in ids):
            raise ModelError(f"{self.place}: {key} must be a token id, not {value!r}")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """Return a positive number."""
        value = self.values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise ModelError(f"{self.place}: {key} must be a positive number, not {value!r}")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        """Return true or false."""
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            raise ModelError(f"{self.place}: {key} must be true or false, not {value!r}")
        return value

    def require(self, key: str, expected: object, default: object, why: str) -> None:
        """Refuse a source whose ``key`` differs from what the native architecture can do."""
        value = self.values.get(key, default)
        if value != expected:
            raise ModelError(
                f"{self.place}: {key} is {value!r}; {why}, so this checkpoint cannot be converted"
            )

    def divides(self, part: str, n_parts: int, total: str, n_total: int) -> None:
        """Refuse sizes that do not fit each other."""
        if n_total % n_parts:
            raise ModelError(
                f"{self.place}: {total} ({n_total}) is not a multiple of {part} ({n_parts})"
            )
