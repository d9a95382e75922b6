"""Write a whole model as other software expects it."""

from __future__ import annotations

import shutil
from pathlib import Path

import orjson
from transformers import PreTrainedModel

COMPANIONS = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
)
"""Files that go with the weights and are copied as they are."""


def save_model(
    model: PreTrainedModel, folder: Path, *, source: Path, shard_bytes: int = 2_000_000_000
) -> None:
    """Write weights in shards of at most ``shard_bytes``, configuration, and the companions."""
    folder.mkdir(parents=True)
    attention = model.config._attn_implementation
    model.config._attn_implementation = "eager"  # our own name would mean nothing to others
    try:
        model.save_pretrained(folder, max_shard_size=shard_bytes, safe_serialization=True)
    finally:
        model.config._attn_implementation = attention
    for name in COMPANIONS:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
        elif name == "generation_config.json":
            (folder / name).unlink(missing_ok=True)
    # which transformers wrote the file is recorded in the artifact's manifest, not here
    path = folder / "config.json"
    config = orjson.loads(path.read_bytes())
    path.write_bytes(orjson.dumps(config, option=orjson.OPT_INDENT_2))
