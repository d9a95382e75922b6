"""Cards drafted from hubs: the configuration is asked for and nothing else."""

from __future__ import annotations

import json

import pytest

from qingting.core.errors import ModelError, NotFoundError
from qingting.models.card_sources import drafted
from qingting.models.catalogue import require_card
from qingting.models.hubs import Hub, UnreachableError
from unit.models.test_fetch import hub_server

CONFIG = json.dumps(require_card("Qwen2.5-0.5B-Instruct").to_config_dict()).encode()


@pytest.mark.parametrize("name", ["hf", "ms"])
def test_a_card_is_drafted_from_either_hub_without_fetching_weights(name):
    files = {"config.json": CONFIG, "model.safetensors": bytes(1000), "modeling_own.py": b"code"}
    with hub_server.serve(hub_server.FakeHub(files)) as fake:
        card = drafted(f"{name}:owner/name", hub=Hub(name, fake.endpoint, timeout_s=5.0))
        assert fake.n_requests("/cdn/model.safetensors") == 0
    assert card["parameters"] == {"total": 494_032_768, "active": 494_032_768}
    assert card["name"] == "name"
    hub = {"hf": "huggingface", "ms": "modelscope"}[name]
    assert card["hub"][hub] == "owner/name"


def test_a_hub_that_is_away_says_what_to_do():
    with pytest.raises(UnreachableError):
        drafted("owner/name", hub=Hub("hf", "http://127.0.0.1:9", timeout_s=1.0))


def test_a_model_that_is_not_there_is_named():
    with hub_server.serve(hub_server.FakeHub({"config.json": CONFIG})) as fake:
        hub = Hub("hf", fake.endpoint, timeout_s=5.0)
        with pytest.raises((NotFoundError, ModelError), match="owner/other"):
            drafted("owner/other", hub=hub)


def test_a_configuration_that_is_no_json_is_one_clear_line():
    with (
        hub_server.serve(hub_server.FakeHub({"config.json": b"<html>"})) as fake,
        pytest.raises(ModelError, match=r"its config\.json is not JSON"),
    ):
        drafted("owner/name", hub=Hub("hf", fake.endpoint, timeout_s=5.0))


@pytest.mark.parametrize("source", ["/nonexistent/model", "./nonexistent", "~/nonexistent-model"])
def test_a_path_that_is_not_there_is_not_asked_of_a_hub(source):
    with pytest.raises(NotFoundError, match="no such folder"):
        drafted(source, hub=Hub("hf", "http://127.0.0.1:9", timeout_s=1.0))
