"""How fast and in how much memory a 4 GB checkpoint is converted, beside a plain copy of it.

    python benchmarks/convert_speed.py [--folder DIR] [--layers 25] [--shards 7] [--bin]

Makes a checkpoint of about 2 billion parameters in the layout of ChatGLM3 (float16, random), copies
it, converts it, deletes everything, and prints MB/s of input, the ratio to the copy, and the peak
resident memory of the converting process beside its bound (1.5 × the largest shard + 1 GiB).
Resident memory counts mapped pages of the source too, so it is an upper limit.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import save_file
from sentencepiece import SentencePieceTrainer

HIDDEN, HEADS, GROUPS, WIDTH, FFN, VOCABULARY = 2560, 20, 2, 128, 6912, 65024
GIB = 2**30
_CONVERT = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from qingting.models.convert.conversion import convert
convert(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def tensors(n_layers: int) -> dict[str, tuple[int, ...]]:
    """Return names and shapes in the order in which a checkpoint stores them."""
    fused = (HEADS + 2 * GROUPS) * WIDTH
    shapes: dict[str, tuple[int, ...]] = {
        "transformer.embedding.word_embeddings.weight": (VOCABULARY, HIDDEN)
    }
    for i in range(n_layers):
        name = f"transformer.encoder.layers.{i}"
        shapes |= {
            f"{name}.input_layernorm.weight": (HIDDEN,),
            f"{name}.self_attention.query_key_value.weight": (fused, HIDDEN),
            f"{name}.self_attention.query_key_value.bias": (fused,),
            f"{name}.self_attention.dense.weight": (HIDDEN, HEADS * WIDTH),
            f"{name}.post_attention_layernorm.weight": (HIDDEN,),
            f"{name}.mlp.dense_h_to_4h.weight": (2 * FFN, HIDDEN),
            f"{name}.mlp.dense_4h_to_h.weight": (HIDDEN, FFN),
        }
    shapes["transformer.encoder.final_layernorm.weight"] = (HIDDEN,)
    shapes["transformer.output_layer.weight"] = (VOCABULARY, HIDDEN)
    return shapes


def write_checkpoint(folder: Path, *, n_layers: int, n_shards: int, as_bin: bool) -> None:
    folder.mkdir()
    config = {
        "model_type": "chatglm",
        "architectures": ["ChatGLMModel"],
        "add_qkv_bias": True,
        "ffn_hidden_size": FFN,
        "hidden_size": HIDDEN,
        "kv_channels": WIDTH,
        "layernorm_epsilon": 1e-5,
        "multi_query_attention": True,
        "multi_query_group_num": GROUPS,
        "num_attention_heads": HEADS,
        "num_layers": n_layers,
        "padded_vocab_size": VOCABULARY,
        "seq_length": 8192,
        "torch_dtype": "float16",
    }
    (folder / "config.json").write_text(json.dumps(config))
    proto = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(["a plain sentence about a conversion"] * 9),
        model_writer=proto,
        vocab_size=300,
        model_type="bpe",
        byte_fallback=True,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    (folder / "tokenizer.model").write_bytes(proto.getvalue())
    shapes = tensors(n_layers)
    limit = sum(torch.Size(shape).numel() for shape in shapes.values()) / n_shards
    noise = torch.randn(10_000_019).half()
    groups: list[list[str]] = [[]]
    held = 0
    for name, shape in shapes.items():
        if held > limit * len(groups):
            groups.append([])
        groups[-1].append(name)
        held += torch.Size(shape).numel()
    stem, end = ("pytorch_model", "bin") if as_bin else ("model", "safetensors")
    weight_map = {}
    for number, names in enumerate(groups, start=1):
        shard = f"{stem}-{number:05}-of-{len(groups):05}.{end}"
        part = {}
        for name in names:
            n = torch.Size(shapes[name]).numel()
            part[name] = noise.repeat(n // len(noise) + 1)[:n].view(shapes[name]).clone()
        torch.save(part, folder / shard) if as_bin else save_file(part, folder / shard)
        weight_map.update(dict.fromkeys(names, shard))
    (folder / f"{stem}.{end}.index.json").write_text(json.dumps({"weight_map": weight_map}))


def weights(folder: Path) -> list[Path]:
    return sorted([*folder.glob("*.bin"), *folder.glob("*.safetensors")])


def timed_copy(source: Path, target: Path, *, durable: bool) -> float:
    began = time.monotonic()
    target.mkdir()
    for path in source.iterdir():
        shutil.copyfile(path, target / path.name)
        if durable:
            with (target / path.name).open("rb") as file:
                os.fsync(file.fileno())
    seconds = time.monotonic() - began
    shutil.rmtree(target)
    return seconds


def timed_conversion(source: Path, target: Path) -> tuple[float, int]:
    """Return seconds and the peak resident bytes of a process of its own."""
    began = time.monotonic()
    child = subprocess.Popen([sys.executable, "-c", _CONVERT, str(source), str(target)])
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - began
    if child.returncode:
        raise SystemExit(f"the conversion failed ({child.returncode})")
    shutil.rmtree(target)
    return seconds, usage.ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=None, help="where to work")
    parser.add_argument("--layers", type=int, default=25)
    parser.add_argument("--shards", type=int, default=7)
    parser.add_argument("--bin", action="store_true", help="pickled shards, as published")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        root, source = Path(name), Path(name) / "source"
        write_checkpoint(
            source, n_layers=options.layers, n_shards=options.shards, as_bin=options.bin
        )
        os.sync()
        sizes = [path.stat().st_size for path in weights(source)]
        total, bound = sum(sizes), 1.5 * max(sizes) + GIB
        copy_s = timed_copy(source, root / "copy", durable=False)
        durable_s = timed_copy(source, root / "copy", durable=True)
        seconds, peak = timed_conversion(source, root / "native")
    rate = total / 1e6 / seconds
    print(
        f"checkpoint: {total / 1e9:.2f} GB in {len(sizes)} shards, largest {max(sizes) / 1e9:.2f}"
    )
    print(
        f"plain copy: {total / 1e6 / copy_s:.0f} MB/s; made durable {total / 1e6 / durable_s:.0f}"
    )
    print(
        f"conversion: {rate:.0f} MB/s in {seconds:.1f} s, start-up included; "
        f"{copy_s / seconds:.2f} of the copy's rate, {durable_s / seconds:.2f} of the durable copy's"
    )
    print(f"peak resident: {peak / GIB:.2f} GiB, bound {bound / GIB:.2f} GiB")


if __name__ == "__main__":
    main()
