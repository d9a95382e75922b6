"""A published checkpoint's weights: every shard looked at before any is read, then one at a time.

``.bin`` files are pickles and are read with ``weights_only=True``, which builds tensors and
nothing else; both kinds of file are mapped into memory, so that a tensor is read when it is used.
"""

from __future__ import annotations

import json
import pickle
import struct
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from qingting.core.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

_INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
_SINGLES = ("model.safetensors", "pytorch_model.bin")
_FETCH_AGAIN = "fetch it again"
_LFS = b"version https://git-lfs"
_HEADER_LIMIT = 100_000_000


class Found(NamedTuple):
    """Where a tensor stands and what it is; ``dtype`` as torch names it (``float16``)."""

    shard: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The weights of a model folder: shard names in order, and every tensor in them."""

    folder: Path
    shards: tuple[str, ...]
    tensors: Mapping[str, Found]

    def n_bytes(self) -> int:
        """Return the size of all shards together."""
        return sum((self.folder / name).stat().st_size for name in self.shards)

    def stamp(self) -> list[list[object]]:
        """Return name, size and time of each shard: what tells one checkpoint from another."""
        stats = [(name, (self.folder / name).stat()) for name in self.shards]
        return [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]

    def read(self, shard: str) -> Mapping[str, Tensor]:
        """Return a shard's tensors, mapped: bytes are read when a tensor is used.

        Raises:
            ModelError: the shard is damaged, or is a pickle that wants to run code.
        """
        return read_shard(self.folder / shard)


def open_checkpoint(folder: Path) -> Checkpoint:
    """Return a folder's checkpoint, every shard opened once and checked against the index.

    Raises:
        ModelError: no weights, a shard missing or damaged, an index that does not match.
    """
    weight_map = _weight_map(folder)
    shards = tuple(sorted(set(weight_map.values()))) if weight_map else (_single(folder),)
    absent = [name for name in shards if not (folder / name).is_file()]
    if absent:
        raise ModelError(
            f"{folder}: {len(absent)} of {len(shards)} weight shards missing, first {absent[0]}; "
            "fetch the model again"
        )
    tensors: dict[str, Found] = {}
    for shard in shards:
        for name, found in _look(folder / shard).items():
            if name in tensors:
                raise ModelError(
                    f"{folder}: {name} stands in both {tensors[name].shard} and {shard}; "
                    "fetch the model again"
                )
            tensors[name] = found
    for name, shard in weight_map.items():
        if name not in tensors:
            raise ModelError(
                f"{folder / shard}: no tensor {name}, which the index promises; {_FETCH_AGAIN}"
            )
    unlisted = [name for name in tensors if weight_map and name not in weight_map]
    if unlisted:
        raise ModelError(
            f"{folder}: the index lacks {len(unlisted)} tensors that the shards hold, first "
            f"{unlisted[0]}; fetch the index again"
        )
    return Checkpoint(folder, shards, tensors)


def _weight_map(folder: Path) -> dict[str, str]:
    for name in _INDEXES:
        path = folder / name
        if not path.is_file():
            continue
        content = read_json(path)
        weight_map = content.get("weight_map")
        if not isinstance(weight_map, dict) or not weight_map:
            raise ModelError(f"{path}: no weight_map; {_FETCH_AGAIN}")
        for tensor, shard in weight_map.items():
            plain = isinstance(shard, str) and shard not in ("", ".", "..")
            if not plain or Path(shard).name != shard or "\\" in shard or "\0" in shard:
                raise ModelError(f"{path}: {tensor} points to {shard!r}, not to a file beside it")
        return weight_map
    return {}


def _single(folder: Path) -> str:
    for name in _SINGLES:
        if (folder / name).is_file():
            return name
    loose = sorted([*folder.glob("model-*.safetensors"), *folder.glob("pytorch_model-*.bin")])
    if loose:
        raise ModelError(f"{folder}: weight shards but no index ({_INDEXES[0]}); fetch it as well")
    raise ModelError(f"{folder}: no weights ({', '.join(_SINGLES)}, or shards with an index)")


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON file's mapping.

    Raises:
        ModelError: it is missing, not JSON, or no mapping.
    """
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ModelError(f"{path}: missing; {_FETCH_AGAIN}") from None
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: not JSON ({error}); {_FETCH_AGAIN}") from None
    if not isinstance(content, dict):
        raise ModelError(f"{path}: a mapping is expected; {_FETCH_AGAIN}")
    return content


def read_shard(path: Path) -> Mapping[str, Tensor]:
    """Return the tensors of one file, mapped.

    Raises:
        ModelError: the file is damaged, or is a pickle that wants to run code.
    """
    with path.open("rb") as file:
        if file.read(len(_LFS)) == _LFS:
            raise ModelError(f"{path}: a Git LFS pointer, not weights; run `git lfs pull` there")
    if path.suffix == ".safetensors":
        return _Safetensors(path)
    return _unpickled(path)


def _look(path: Path) -> dict[str, Found]:
    if path.suffix == ".safetensors" and path.stat().st_size >= len(_LFS):
        read_shard(path)  # the library's own checks
        return _header(path)
    return {
        name: Found(path.name, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
        for name, tensor in read_shard(path).items()
    }


def _unpickled(path: Path) -> dict[str, Tensor]:
    import torch

    try:
        with warnings.catch_warnings():
            # Another pickle protocol, a TorchScript archive: either an error follows, which is
            # told below in a line that names the file, or plain tensors, which are all we ask for.
            for message in (".*pickle protocol", ".*TorchScript archive"):
                warnings.filterwarnings("ignore", message, UserWarning)
            content = _loaded(path)
    except pickle.UnpicklingError as error:
        if "weights_only" in str(error).lower() or "Unsupported" in str(error):
            raise ModelError(
                f"{path}: this pickle asks for more than tensors (it may run code) and was not "
                "loaded; fetch the model from its publisher, in safetensors if there is a choice"
            ) from None
        raise ModelError(f"{path}: damaged ({line_of(error)}); {_FETCH_AGAIN}") from None
    except MemoryError:
        raise
    except Exception as error:
        raise ModelError(
            f"{path}: damaged or cut short ({line_of(error)}); {_FETCH_AGAIN}"
        ) from None
    if not isinstance(content, dict):
        raise ModelError(f"{path}: holds no table of tensors; {_FETCH_AGAIN}")
    for name, tensor in content.items():
        plain = isinstance(tensor, torch.Tensor) and tensor.layout == torch.strided
        if not isinstance(name, str) or not plain or tensor.device.type != "cpu":
            raise ModelError(f"{path}: {name!r} is no plain tensor; {_FETCH_AGAIN}")
    return content


def _loaded(path: Path) -> object:
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError as error:
        if "mmap can only be used" not in str(error):
            raise
        # Files of before PyTorch 1.6 cannot be mapped; a shard is read whole.
        return torch.load(path, map_location="cpu", weights_only=True)


def line_of(error: BaseException) -> str:
    """Return the first line of what another library said, for a message of our own."""
    text = str(error).strip() or type(error).__name__
    line = text.splitlines()[0][:200]
    return "".join(char if char.isprintable() else "?" for char in line)


class _Safetensors(Mapping[str, "Tensor"]):
    """One safetensors file's tensors by name."""

    def __init__(self, path: Path) -> None:
        from safetensors import SafetensorError, safe_open

        self._path = path
        try:
            self._file = safe_open(str(path), framework="pt")
            self._names = tuple(self._file.keys())  # type: ignore[no-untyped-call]
        except (SafetensorError, OSError, ValueError) as error:
            raise ModelError(
                f"{path}: damaged or cut short ({line_of(error)}); {_FETCH_AGAIN}"
            ) from None

    def __getitem__(self, name: str) -> Tensor:
        tensor: Tensor = self._file.get_tensor(name)  # type: ignore[no-untyped-call]
        return tensor

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Any:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "U8": "uint8",
    "I64": "int64",
    "I32": "int32",
}


def _header(path: Path) -> dict[str, Found]:
    """Return a safetensors file's table of contents, without touching the numbers."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > _HEADER_LIMIT:
            raise ModelError(f"{path}: damaged (header of {length} bytes); {_FETCH_AGAIN}")
        table = json.loads(file.read(length))
    return {
        name: Found(path.name, tuple(entry["shape"]), _DTYPES.get(entry["dtype"], entry["dtype"]))
        for name, entry in table.items()
        if name != "__metadata__"
    }


def dominant_dtype(found: Iterable[Found]) -> str:
    """Return the floating type that holds the most numbers."""
    counts: dict[str, int] = {}
    for tensor in found:
        n = 1
        for size in tensor.shape:
            n *= size
        if "float" in tensor.dtype:
            counts[tensor.dtype] = counts.get(tensor.dtype, 0) + n
    return max(counts, key=counts.__getitem__, default="float32")
