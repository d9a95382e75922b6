import importlib.util
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from qingting.core.errors import ModelError
from qingting.models.fetch import RECORD, copy_in, fetch, find_fetched, select
from qingting.models.hubs import Hub, HubFile, UnreachableError
from qingting.models.resolve import resolve


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


hub_server = load("hub_server")

FILES = {
    "config.json": b'{"architectures": ["LlamaForCausalLM"]}',
    "tokenizer.json": b"{}",
    "chat_template.jinja": b"{{ messages }}",
    "model.safetensors": bytes(range(256)) * 2000,
    "pytorch_model.bin": b"a pickle with a payload",
    "modeling_own.py": b"raise SystemExit('this code must not run')",
    "original/consolidated.00.pth": b"another layout",
    "README.md": b"---\nlicense: mit\n---\n",
}
TAKEN = {"config.json", "tokenizer.json", "chat_template.jinja", "model.safetensors", "README.md"}


@pytest.fixture
def fake() -> Iterator:
    with hub_server.serve(hub_server.FakeHub(dict(FILES))) as hub:
        yield hub


def hub_of(fake, name: str, token: str | None = None) -> Hub:
    return Hub(name, fake.endpoint, token=token, timeout_s=5.0)


def fetched(fake, cache: Path, name: str = "hf", **options):
    return fetch("owner/name", hub_of(fake, name), cache=cache, wait_s=lambda n: 0.0, **options)


@pytest.mark.parametrize("name", ["hf", "ms"])
def test_both_hubs_give_the_same_files_and_no_code(fake, tmp_path: Path, name: str) -> None:
    seen: list[tuple[int, int]] = []
    model = fetched(
        fake, tmp_path, name, on_progress=lambda done, total: seen.append((done, total))
    )
    assert {path.name for path in model.folder.iterdir()} - {RECORD, "lock"} == TAKEN
    for path in TAKEN:
        assert (model.folder / path).read_bytes() == FILES[path]
    assert set(model.left_out) == set(FILES) - TAKEN
    assert "code" in model.left_out["modeling_own.py"]
    assert seen[-1] == (model.n_bytes, model.n_bytes)
    assert model.unverified == ()
    assert model.commit == (hub_server.COMMIT if name == "hf" else "master")
    assert not list(model.folder.parent.glob(".*partial*"))


def test_a_fetched_model_is_found_and_not_fetched_again(fake, tmp_path: Path) -> None:
    first = fetched(fake, tmp_path)
    second = fetched(fake, tmp_path)
    assert second.n_bytes_fetched == 0 and second.folder == first.folder
    assert fake.n_requests("/cdn/model.safetensors") == 1
    assert find_fetched("owner/name", cache=tmp_path) == first.folder
    assert find_fetched("owner/name", cache=tmp_path, revision=hub_server.COMMIT) == first.folder
    assert find_fetched("owner/name", cache=tmp_path, hub="ms") is None
    assert find_fetched("owner/name", cache=tmp_path, revision="v2") is None
    model = resolve("owner/name", base=tmp_path, cache=tmp_path)
    assert model.folder == first.folder and model.obstacle is None
    assert model.revision == hub_server.COMMIT


def test_a_branch_that_moved_is_fetched_anew(fake, tmp_path: Path) -> None:
    fetched(fake, tmp_path, "ms")
    fake.files["README.md"] = b"another text"
    assert (fetched(fake, tmp_path, "ms").folder / "README.md").read_bytes() == b"another text"


def test_a_broken_connection_goes_on_where_it_stopped(fake, tmp_path: Path) -> None:
    fake.cut_after["model.safetensors"] = 300_000
    model = fetched(fake, tmp_path)
    assert (model.folder / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    assert "bytes=300000-" in [asked for _, asked, _ in fake.requests]


def test_a_later_call_goes_on_after_a_kill(fake, tmp_path: Path) -> None:
    partial = tmp_path / "models" / "hf" / "owner" / "name" / f".{hub_server.COMMIT}.partial"
    partial.mkdir(parents=True)
    (partial / "model.safetensors").write_bytes(FILES["model.safetensors"][:1000])
    model = fetched(fake, tmp_path)
    assert model.n_bytes_fetched == model.n_bytes - 1000
    assert (model.folder / "model.safetensors").read_bytes() == FILES["model.safetensors"]


@pytest.mark.parametrize("left", [b"x" * 1000, b"x" * len(FILES["model.safetensors"]) + b"more"])
def test_what_an_earlier_try_left_damaged_is_fetched_again(
    fake, tmp_path: Path, left: bytes
) -> None:
    partial = tmp_path / "models" / "hf" / "owner" / "name" / f".{hub_server.COMMIT}.partial"
    partial.mkdir(parents=True)
    (partial / "model.safetensors").write_bytes(left)
    model = fetched(fake, tmp_path)
    assert (model.folder / "model.safetensors").read_bytes() == FILES["model.safetensors"]


def test_a_server_that_ignores_ranges_still_gives_the_whole_file(fake, tmp_path: Path) -> None:
    fake.ignores_ranges = True
    fake.cut_after["model.safetensors"] = 300_000
    model = fetched(fake, tmp_path)
    assert (model.folder / "model.safetensors").read_bytes() == FILES["model.safetensors"]


@pytest.mark.parametrize("name", ["hf", "ms"])
@pytest.mark.parametrize("path", ["model.safetensors", "config.json"])
def test_altered_bytes_are_refused_and_removed(fake, tmp_path: Path, name: str, path: str) -> None:
    fake.altered.add(path)
    with pytest.raises(ModelError, match=f"{path}.*digest"):
        fetched(fake, tmp_path, name)
    assert find_fetched("owner/name", cache=tmp_path) is None
    assert not list(tmp_path.rglob(path))


def test_the_token_opens_a_gated_model_and_stays_with_its_host(fake, tmp_path: Path) -> None:
    fake.gated = True
    with pytest.raises(ModelError, match="licence must be accepted"):
        fetched(fake, tmp_path)
    # The content network of the fake is gated too, and must not see the token.
    with pytest.raises(ModelError, match=r"401.*model\.safetensors"):
        fetch("owner/name", hub_of(fake, "hf", "secret"), cache=tmp_path)
    assert all(token is None for path, _, token in fake.requests if path.startswith("/cdn/"))
    assert any(token == "Bearer secret" for _, _, token in fake.requests)


def test_an_unknown_model_and_a_strange_answer_are_one_line(fake, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model owner/other"):
        fetch("owner/other", hub_of(fake, "hf"), cache=tmp_path)
    with pytest.raises(ModelError, match="written owner/name"):
        fetch("../../etc", hub_of(fake, "hf"), cache=tmp_path)
    fake.files["../outside"] = b"x"
    with pytest.raises(ModelError, match="no safe path"):
        fetched(fake, tmp_path)


def test_without_a_network_it_says_how_to_go_on(tmp_path: Path) -> None:
    nowhere = Hub("hf", "http://127.0.0.1:9", timeout_s=2.0)
    with pytest.raises(UnreachableError, match=r"--from FOLDER.*here"):
        fetch("owner/name", nowhere, cache=tmp_path)


def test_a_copied_folder_is_taken_in_and_checked(fake, tmp_path: Path) -> None:
    there = fetched(fake, tmp_path / "there").folder
    carried = tmp_path / "carried"
    shutil.copytree(there, carried)
    here = copy_in("owner/name", carried, cache=tmp_path / "here")
    assert here.commit == hub_server.COMMIT and here.unverified == ()
    assert find_fetched("owner/name", cache=tmp_path / "here", hub="hf") == here.folder
    (carried / "model.safetensors").write_bytes(b"x" * len(FILES["model.safetensors"]))
    with pytest.raises(ModelError, match="another sha256 digest"):
        copy_in("owner/name", carried, cache=tmp_path / "third")
    assert (carried / "model.safetensors").is_file()
    (carried / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="not in the folder"):
        copy_in("owner/name", carried, cache=tmp_path / "third")


def test_pickled_weights_are_taken_only_where_there_are_no_others() -> None:
    def taken(*names: str) -> set[str]:
        return {file.path for file in select([HubFile(n, 1, None) for n in names]).taken}

    pickles = ("pytorch_model-00001-of-00002.bin", "pytorch_model.bin.index.json")
    assert taken("config.json", *pickles) == {"config.json", *pickles}
    assert taken("config.json", "model.safetensors", *pickles) == {
        "config.json",
        "model.safetensors",
    }
    assert taken("training_args.bin", "x.pt", "x.pkl", "run.sh", "a/config.json") == set()


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_repository_without_model_is_refused(fake, tmp_path: Path, missing: str) -> None:
    del fake.files[missing], fake.files["pytorch_model.bin"]
    with pytest.raises(ModelError, match=r"no config\.json|no weights"):
        fetched(fake, tmp_path)


def test_the_record_names_every_file(fake, tmp_path: Path) -> None:
    model = fetched(fake, tmp_path)
    record = json.loads((model.folder / RECORD).read_text())
    assert record["commit"] == hub_server.COMMIT and set(record["files"]) == TAKEN
    stated = record["files"]["config.json"]
    assert stated["sha256"] == hub_server.sha256(FILES["config.json"])
