"""Converted models: equal to the reference, whole or absent, resumable."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import published
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

from qingting.core.errors import BusyError, ModelError
from qingting.models.chat import ChatTemplate
from qingting.models.convert.conversion import RECORD, convert
from qingting.models.convert.gpt_oss import dequantise
from qingting.models.convert.reference import unpack
from qingting.models.convert.streaming import partial_folder
from qingting.models.resolve import resolve

SOURCES: dict[str, tuple[published.Source, dict[str, Any]]] = {
    "chatglm3": (published.chatglm3(), {"kind": "bin"}),
    "chatglm3, one group, wide heads, long rope": (
        published.chatglm3(
            seed=1, heads=4, groups=1, width=20, layernorm_epsilon=1e-3, rope_ratio=50
        ),
        {"kind": "safetensors", "shards": 5},
    ),
    "chatglm3, every head its own": (
        published.chatglm3(seed=2, heads=2, groups=2, width=8, multi_query_attention=False),
        {"shards": 1},
    ),
    "baichuan2": (published.baichuan2(), {"shards": 1}),
    "baichuan2, other epsilon": (
        published.baichuan2(seed=3, heads=6, layers=3, rms_norm_eps=1e-2),
        {"kind": "safetensors"},
    ),
    "internlm2": (published.internlm2(), {"kind": "safetensors"}),
    "internlm2, biases, linear": (
        published.internlm2(
            seed=4, groups=3, bias=True, rope_scaling={"type": "linear", "factor": 3.0}
        ),
        {"shards": 4},
    ),
    "internlm2, tied, unscaled": (
        published.internlm2(seed=5, heads=4, groups=4, tie_word_embeddings=True, rope_scaling=None),
        {"kind": "bin"},
    ),
    "internlm2, factor 2.5": (
        published.internlm2(
            seed=6, groups=1, rms_norm_eps=1e-4, rope_scaling={"type": "dynamic", "factor": 2.5}
        ),
        {"kind": "bin", "shards": 8},
    ),
    "gpt-oss": (published.gpt_oss(), {"kind": "safetensors", "shards": 3}),
}


@pytest.mark.parametrize("name", SOURCES)
def test_converted_model_equals_reference_arithmetic(name: str, tmp_path: Path) -> None:
    source, layout = SOURCES[name]
    folder = source.write(tmp_path / "source", **layout)
    result = convert(folder, tmp_path / "native", verify=True)
    assert result.max_logit_difference is not None
    assert result.max_logit_difference <= 2e-4
    model, report = AutoModelForCausalLM.from_pretrained(
        tmp_path / "native", dtype=torch.float32, output_loading_info=True
    )
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert model(torch.tensor([[5, 6, 7]])).logits.isfinite().all()


def test_configuration_values_are_the_sources(tmp_path: Path) -> None:
    source = published.chatglm3(layernorm_epsilon=3e-4, rope_ratio=2.5, seq_length=77)
    convert(source.write(tmp_path / "source"), tmp_path / "native")
    config = json.loads((tmp_path / "native" / "config.json").read_text())
    assert config["rms_norm_eps"] == 3e-4
    assert config["rope_parameters"]["rope_theta"] == 25_000
    assert config["rope_parameters"]["partial_rotary_factor"] == 0.5
    assert config["max_position_embeddings"] == 77
    assert (config["eos_token_id"], config["pad_token_id"]) == (2, 0)
    assert config["dtype"] == "float16"
    assert "auto_map" not in config
    scaled = published.internlm2(rope_scaling={"type": "dynamic", "factor": 2.5})
    convert(scaled.write(tmp_path / "scaled"), tmp_path / "native2")
    config = json.loads((tmp_path / "native2" / "config.json").read_text())
    assert config["rope_parameters"] == {
        "rope_type": "dynamic",
        "factor": 2.5,
        "rope_theta": 1_000_000.0,
    }


def test_rows_of_the_normalised_head_have_length_one_and_stay_frozen(tmp_path: Path) -> None:
    convert(published.baichuan2().write(tmp_path / "source"), tmp_path / "native")
    head = load_file(tmp_path / "native" / "model.safetensors")["lm_head.weight"]
    assert head.dtype == torch.float32
    assert head.norm(dim=1) == pytest.approx(torch.ones(len(head)), abs=1e-6)
    record = json.loads((tmp_path / "native" / RECORD).read_text())
    assert record["frozen_in_full_fine_tuning"] == ["lm_head.weight"]
    convert(tmp_path / "source", tmp_path / "half", dtype="bfloat16")
    assert {x.dtype for x in load_file(tmp_path / "half" / "model.safetensors").values()} == {
        torch.bfloat16
    }


def test_every_mxfp4_byte_is_exact() -> None:
    blocks = torch.arange(256, dtype=torch.uint8).view(1, 16, 16).repeat(255, 1, 1)
    scales = torch.arange(255, dtype=torch.uint8)[:, None].expand(255, 16).contiguous()
    mine = dequantise(blocks, scales)
    stock = convert_moe_packed_tensors(blocks[None], scales[None])[0].t()
    assert torch.equal(mine.view(torch.int16), stock.contiguous().view(torch.int16))
    assert torch.equal(mine.float(), unpack(blocks, scales))


def test_a_scale_that_is_no_number_is_refused(tmp_path: Path) -> None:
    source = published.gpt_oss()
    source.tensors["model.layers.1.mlp.experts.down_proj_scales"][2, 3, 0] = 255
    folder = source.write(tmp_path / "source", kind="safetensors")
    with pytest.raises(ModelError, match=r"layers\.1.*255"):
        convert(folder, tmp_path / "native")
    assert not (tmp_path / "native").exists()
    assert not partial_folder(tmp_path / "native").exists()


def test_quantisation_is_gone_from_the_configuration(tmp_path: Path) -> None:
    folder = published.gpt_oss().write(tmp_path / "source", kind="safetensors")
    convert(folder, tmp_path / "native", shard_limit_bytes=60_000)
    config = json.loads((tmp_path / "native" / "config.json").read_text())
    assert "quantization_config" not in config
    assert config["dtype"] == "bfloat16"


def test_output_files_keep_to_the_limit_and_have_an_index(tmp_path: Path) -> None:
    folder = published.internlm2().write(tmp_path / "source")
    result = convert(folder, tmp_path / "native", shard_limit_bytes=50_000)
    files = sorted((tmp_path / "native").glob("*.safetensors"))
    index = json.loads((tmp_path / "native" / "model.safetensors.index.json").read_text())
    assert len(files) == result.n_shards > 2
    for file in files:
        assert file.stat().st_size <= 50_000
        assert all(index["weight_map"][name] == file.name for name in load_file(file))
    one = tmp_path / "one"
    convert(folder, one)
    whole = load_file(one / "model.safetensors")
    parts = {name: x for file in files for name, x in load_file(file).items()}
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_numbers_too_large_for_float16_are_refused(tmp_path: Path) -> None:
    source = published.internlm2()
    source.tensors["model.layers.0.feed_forward.w1.weight"][0, 0] = 1e5
    with pytest.raises(ModelError, match=r"mlp\.gate_proj.*too large for float16"):
        convert(source.write(tmp_path / "source"), tmp_path / "native", dtype="float16")


def test_resolving_a_published_layout_names_the_cure(tmp_path: Path) -> None:
    folder = published.chatglm3().write(tmp_path / "source")
    obstacle = resolve(str(folder), base=tmp_path).obstacle
    assert obstacle is not None
    assert f"qingting models convert {folder} DST" in obstacle
    convert(folder, tmp_path / "native")
    assert resolve(str(tmp_path / "native"), base=tmp_path).obstacle is None
    assert ChatTemplate.load(tmp_path / "native").stop_ids >= {2}
    loaded = AutoTokenizer.from_pretrained(tmp_path / "native")
    assert (
        loaded.encode("philosophy", add_special_tokens=False).count(
            loaded.convert_tokens_to_ids("sop")
        )
        == 0
    )


# -- whole or absent ------------------------------------------------------------------------------


def test_nothing_is_overwritten_without_force(tmp_path: Path) -> None:
    folder = published.internlm2().write(tmp_path / "source")
    convert(folder, tmp_path / "native")
    with pytest.raises(ModelError, match="--force"):
        convert(folder, tmp_path / "native")
    convert(folder, tmp_path / "native", dtype="float32", force=True)
    assert json.loads((tmp_path / "native" / "config.json").read_text())["dtype"] == "float32"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["native", "source"]
    other = tmp_path / "letters"
    other.mkdir()
    (other / "letter.txt").write_text("keep me")
    with pytest.raises(ModelError, match="other things than a model"):
        convert(folder, other, force=True)
    with pytest.raises(ModelError, match="is or holds the source"):
        convert(folder, tmp_path, force=True)
    assert (folder / "config.json").is_file()


def test_two_conversions_to_one_folder_do_not_meet(tmp_path: Path) -> None:
    folder = published.internlm2().write(tmp_path / "source")
    partial = partial_folder(tmp_path / "native")
    partial.mkdir()
    with (partial / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BusyError, match="another process"):
            convert(folder, tmp_path / "native")


_SLOW = """
import sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
from qingting.models.convert.conversion import convert
def slowly(done, total):
    time.sleep(0.02)
convert(Path(sys.argv[1]), Path(sys.argv[2]), shard_limit_bytes=40_000, on_progress=slowly)
"""


def test_a_killed_conversion_leaves_nothing_that_looks_finished_and_goes_on(
    tmp_path: Path,
) -> None:
    folder = published.internlm2(layers=6).write(tmp_path / "source")
    native, partial = tmp_path / "native", partial_folder(tmp_path / "native")
    child = subprocess.Popen([sys.executable, "-c", _SLOW, str(folder), str(native)])
    deadline = time.monotonic() + 60
    while len(list(partial.glob("model-*.safetensors"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert not native.exists()
    assert not (partial / "config.json").exists()
    finished = {p.name: p.stat().st_mtime_ns for p in partial.glob("model-*.safetensors")}
    assert finished
    result = convert(folder, native, shard_limit_bytes=40_000)
    assert not partial.exists()
    kept = {name: (native / name).stat().st_mtime_ns for name in finished}
    assert kept == finished
    assert result.n_bytes_written < sum(p.stat().st_size for p in native.glob("*.safetensors"))
    convert(folder, tmp_path / "again", shard_limit_bytes=40_000)
    for path in native.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


def test_a_half_done_conversion_of_other_weights_is_not_continued(tmp_path: Path) -> None:
    first = published.internlm2(seed=1).write(tmp_path / "source")
    native = tmp_path / "native"

    def stop_late(done: int, total: int) -> None:
        if done > total / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(first, native, shard_limit_bytes=40_000, on_progress=stop_late)
    assert list(partial_folder(native).glob("model-*.safetensors"))
    second = published.internlm2(seed=2).write(tmp_path / "source")
    convert(second, native, shard_limit_bytes=40_000)
    convert(second, tmp_path / "fresh", shard_limit_bytes=40_000)
    for path in native.glob("*.safetensors"):
        assert path.read_bytes() == (tmp_path / "fresh" / path.name).read_bytes()
