"""Bad checkpoints: one clear line, nothing written, no code run; fuzzed readers."""

from __future__ import annotations

import json
import pickle
import random
import shutil
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import published
import pytest
import torch
from typer.testing import CliRunner

from qingting.cli.models import app
from qingting.core.errors import ModelError, NotFoundError
from qingting.models.convert.conversion import convert
from qingting.models.convert.sentencepiece_model import parse_sentencepiece
from qingting.models.convert.source import open_checkpoint, read_shard
from qingting.models.convert.streaming import partial_folder


@pytest.fixture
def chatglm(tmp_path: Path) -> Path:
    return published.chatglm3().write(tmp_path / "source")


@pytest.fixture
def internlm(tmp_path: Path) -> Path:
    return published.internlm2().write(tmp_path / "source", kind="safetensors")


def refused(folder: Path, words: str) -> None:
    native = folder.parent / "native"
    with pytest.raises(ModelError, match=words) as caught:
        convert(folder, native)
    assert "\n" not in str(caught.value)
    assert not native.exists()
    assert not partial_folder(native).exists()


def first_shard(folder: Path) -> Path:
    return sorted([*folder.glob("*.bin"), *folder.glob("*.safetensors")])[0]


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


@pytest.mark.parametrize("family", ["chatglm", "internlm"])
def test_a_truncated_shard(family: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(family)
    shard = first_shard(folder)
    shard.write_bytes(shard.read_bytes()[:-100])
    refused(folder, f"{shard.name}: damaged or cut short")


def test_a_missing_shard(internlm: Path) -> None:
    first_shard(internlm).unlink()
    refused(internlm, "1 of 3 weight shards missing, first model-00001-of-00003")


def test_a_tensor_that_the_index_lacks(chatglm: Path) -> None:
    index = chatglm / "pytorch_model.bin.index.json"
    edit(index, lambda x: x["weight_map"].pop("transformer.output_layer.weight"))
    refused(chatglm, r"the index lacks 1 tensors.*transformer\.output_layer\.weight")


def test_a_tensor_that_only_the_index_has(chatglm: Path) -> None:
    name = first_shard(chatglm).name
    index = chatglm / "pytorch_model.bin.index.json"
    edit(index, lambda x: x["weight_map"].update({"transformer.extra": name}))
    refused(chatglm, r"no tensor transformer\.extra")


@pytest.mark.parametrize("shard", ["../other.bin", "/etc/passwd", "", "a\\b", 3])
def test_an_index_that_points_elsewhere(chatglm: Path, shard: object) -> None:
    index = chatglm / "pytorch_model.bin.index.json"
    edit(index, lambda x: x["weight_map"].update({"transformer.output_layer.weight": shard}))
    refused(chatglm, "not to a file beside it")


def test_a_wrong_shape(tmp_path: Path) -> None:
    source = published.chatglm3()
    name = "transformer.encoder.layers.1.self_attention.query_key_value.weight"
    source.tensors[name] = source.tensors[name][:-1]
    refused(source.write(tmp_path / "source"), r"layers\.1.*has shape \[143, 48\].*\[144, 48\]")


def test_a_tensor_missing_and_one_too_many(tmp_path: Path) -> None:
    source = published.internlm2()
    lost = source.tensors.pop("model.layers.1.feed_forward.w3.weight")
    refused(source.write(tmp_path / "a"), r"1 tensors.*layers\.1\.feed_forward\.w3")
    source.tensors["model.layers.1.feed_forward.w3.weight"] = lost
    source.tensors["model.layers.2.feed_forward.w3.weight"] = lost.clone()
    refused(source.write(tmp_path / "b"), r"1 tensors that InternLM2 does not have.*layers\.2")


def test_quantised_weights(tmp_path: Path) -> None:
    source = published.internlm2()
    name = "model.layers.1.feed_forward.w3.weight"
    source.tensors[name] = source.tensors[name].to(torch.int8)
    refused(source.write(tmp_path / "source"), "holds int8; the weights are quantised")


def test_the_config_of_another_model(chatglm: Path) -> None:
    (chatglm / "config.json").write_text(json.dumps(published.internlm2().config))
    refused(chatglm, "config.json says InternLM2ForCausalLM, but the weights are those of ChatGLM3")


def test_a_native_model_needs_no_conversion(chatglm: Path) -> None:
    native = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}
    (chatglm / "config.json").write_text(json.dumps(native))
    refused(chatglm, "its tensors are those of ChatGLM3: is this its config.json")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hidden_size": -1}, "hidden_size must be a positive whole number"),
        ({"hidden_size": "48"}, "hidden_size must be a positive whole number"),
        ({"num_layers": 10**6}, "no such model has that many layers"),
        ({"num_layers": 3}, r"7 tensors.*not in the weights.*layers\.2"),
        ({"multi_query_group_num": 4}, "not a multiple"),
        ({"rmsnorm": False}, "LayerNorm"),
        ({"pre_seq_len": 128}, "P-Tuning"),
        ({"quantization_bit": 4}, "quantised to 4 bits"),
        ({"eos_token_id": "two"}, "eos_token_id must be a token id"),
        ({"layernorm_epsilon": 0}, "layernorm_epsilon must be a positive number"),
    ],
)
def test_a_configuration_that_cannot_be(chatglm: Path, change: dict[str, Any], words: str) -> None:
    edit(chatglm / "config.json", lambda x: x.update(change))
    refused(chatglm, words)


def test_near_relatives_are_told_apart(tmp_path: Path) -> None:
    alibi = published.baichuan2()
    config = {k: v for k, v in alibi.config.items() if k != "max_position_embeddings"}
    folder = alibi.write(tmp_path / "13b")
    (folder / "config.json").write_text(json.dumps(config))
    refused(folder, "13B layout, whose ALiBi")
    edit(folder / "config.json", lambda x: x.update(architectures=["BaiChuanForCausalLM"]))
    refused(folder, "the first Baichuan")


class _Payload:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("modern", [True, False])
def test_a_pickle_with_a_payload_is_refused_and_not_run(
    tmp_path: Path, chatglm: Path, *, modern: bool
) -> None:
    trace = tmp_path / "ran"
    torch.save(
        {"transformer.output_layer.weight": _Payload(trace)},
        first_shard(chatglm),
        _use_new_zipfile_serialization=modern,
    )
    refused(chatglm, "asks for more than tensors|damaged")
    assert not trace.exists()


def test_a_bare_pickle_is_refused_and_not_run(tmp_path: Path, chatglm: Path) -> None:
    trace = tmp_path / "ran"
    first_shard(chatglm).write_bytes(pickle.dumps(_Payload(trace)))
    refused(chatglm, "pytorch_model-00001")
    assert not trace.exists()


def test_code_in_the_folder_is_neither_run_nor_copied(tmp_path: Path, chatglm: Path) -> None:
    trace = tmp_path / "ran"
    code = f"import pathlib; pathlib.Path({str(trace)!r}).touch()\n"
    for name in ("modeling_chatglm.py", "tokenization_chatglm.py", "torch.py", "__init__.py"):
        (chatglm / name).write_text(code)
    convert(chatglm, tmp_path / "native", verify=True)
    assert not trace.exists()
    assert not list((tmp_path / "native").glob("*.py"))
    assert "auto_map" not in (tmp_path / "native" / "config.json").read_text()
    assert "auto_map" not in (tmp_path / "native" / "tokenizer_config.json").read_text()


def test_a_git_lfs_pointer_and_an_empty_file(chatglm: Path) -> None:
    shard = first_shard(chatglm)
    shard.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    refused(chatglm, "Git LFS pointer")
    shard.write_bytes(b"")
    refused(chatglm, "damaged or cut short")


def test_folders_without_the_needed_files(tmp_path: Path, chatglm: Path) -> None:
    with pytest.raises(NotFoundError, match="no such folder"):
        convert(tmp_path / "nowhere", tmp_path / "native")
    (chatglm / "tokenizer.model").unlink()
    refused(chatglm, r"tokenizer\.model: missing")
    for path in chatglm.glob("*.bin*"):
        path.unlink()
    refused(chatglm, "no weights")
    (chatglm / "config.json").write_text("{")
    refused(chatglm, "config.json: not JSON")


def test_the_command_says_one_line_and_fails(chatglm: Path) -> None:
    shard = first_shard(chatglm)
    shard.write_bytes(shard.read_bytes()[:1000])
    result = CliRunner().invoke(app, ["convert", str(chatglm), str(chatglm.parent / "native")])
    assert result.exit_code == 1
    assert isinstance(result.exception, ModelError)


def test_the_command_converts_and_reports(chatglm: Path) -> None:
    native = chatglm.parent / "native"
    result = CliRunner().invoke(app, ["convert", str(chatglm), str(native), "--verify", "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["architecture"] == "GlmForCausalLM"
    assert report["max_logit_difference"] < 2e-4
    listed = CliRunner().invoke(app, ["list", "--json"])
    assert {"name", "architecture", "n_parameters", "licence"} <= set(json.loads(listed.stdout)[0])


def test_damaged_files_never_give_anything_but_a_clear_error(tmp_path: Path) -> None:
    rng = random.Random(3)
    for kind in ("bin", "safetensors"):
        folder = published.internlm2(layers=1).write(tmp_path / kind, kind=kind, shards=2)
        targets = [*folder.glob("*.index.json"), first_shard(folder)]
        for path in targets:
            original = path.read_bytes()
            for _ in range(40):
                damaged = bytearray(original)
                # Headers stand at the beginning of safetensors and at the end of .bin files.
                near = rng.choice((0, len(damaged) - 600)) if len(damaged) > 600 else 0
                for _ in range(rng.randrange(1, 6)):
                    damaged[near + rng.randrange(min(600, len(damaged)))] = rng.randrange(256)
                path.write_bytes(damaged[: rng.choice((len(damaged), rng.randrange(len(damaged))))])
                try:
                    checkpoint = open_checkpoint(folder)
                    for shard in checkpoint.shards:
                        dict(read_shard(folder / shard))
                except ModelError as error:
                    assert "\n" not in str(error)
            path.write_bytes(original)


def test_damaged_tokenizers_never_give_anything_but_a_clear_error() -> None:
    rng = random.Random(4)
    proto = published.train_tokenizer()
    for _ in range(300):
        damaged = bytearray(proto)
        for _ in range(rng.randrange(1, 8)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        cut = rng.choice((len(damaged), rng.randrange(len(damaged))))
        try:
            parse_sentencepiece(bytes(damaged[:cut]))
        except ValueError as error:
            assert str(error)
    for junk in (b"", b"\x00", b"\xff" * 20, b"\n\x05", b"<html>"):
        with pytest.raises(ValueError, match=r"."):
            parse_sentencepiece(junk)


def test_a_tokenizer_that_only_sentencepiece_finds_damaged_is_one_line(chatglm: Path) -> None:
    path = chatglm / "tokenizer.model"
    proto = path.read_bytes()
    assert b"<0x41>" in proto
    path.write_bytes(proto.replace(b"<0x41>", b"<0x4\x01>"))  # still a piece, no longer a byte
    refused(chatglm, r"tokenizer\.model: damaged: SentencePiece cannot load it \(.*fetch it again")


@pytest.mark.parametrize("modern", [True, False])
def test_plain_tensors_of_another_pickle_protocol_load_without_a_warning(
    tmp_path: Path, *, modern: bool
) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save(
        {"weight": torch.arange(3.0)},
        path,
        pickle_protocol=3,
        _use_new_zipfile_serialization=modern,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_shard(path)["weight"].tolist() == [0.0, 1.0, 2.0]


def test_a_script_archive_is_refused_without_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    with zipfile.ZipFile(path, "w") as archive:  # what tells a script from a table of tensors
        for name in ("constants.pkl", "data.pkl", "version"):
            archive.writestr(f"pytorch_model/{name}", b"3\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ModelError, match=r"damaged or cut short .*TorchScript"):
            read_shard(path)


def test_a_source_on_a_read_only_folder_is_left_alone(tmp_path: Path, internlm: Path) -> None:
    before = {path.name: path.read_bytes() for path in internlm.iterdir()}
    convert(internlm, tmp_path / "native")
    assert {path.name: path.read_bytes() for path in internlm.iterdir()} == before
    shutil.rmtree(tmp_path / "native")
