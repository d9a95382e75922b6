"""The owner's API does what the owner's pages do."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from qingting.judging.owners import add_owner
from qingting.store.database import Database
from qingting.web.app import create_app
from qingting.web.settings import WebSettings
from unit.judging.sample_pack import full_form, new_database
from unit.web.test_security import owner_headers, signed_in, study


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return new_database(tmp_path)


@pytest.fixture
def client(database: Database, tmp_path: Path) -> TestClient:
    return TestClient(
        create_app(database, WebSettings("http://testserver", tmp_path / "snapshots"))
    )


def test_a_study_is_run_from_a_script(client: TestClient, database: Database) -> None:
    _, public_id = study(database)
    owner = owner_headers(client, database)
    base = f"/api/v1/owner/studies/{public_id}"
    (listed,) = client.get("/api/v1/owner/studies", headers=owner).json()
    assert listed["id"] == public_id and listed["state"] == "open"
    body = {"credential": "licensed", "language": "zh", "name": "王医生"}
    made = client.post(f"{base}/invitations", headers=owner, json=body).json()
    rater = signed_in(client, made["link"].rsplit("/", 1)[1])
    client.post("/api/v1/consent", headers=rater, json={"version": "1"})
    task = client.post("/api/v1/next", headers=rater).json()["task"]
    said = full_form() | {"idempotency_key": "a" * 20}
    url = f"/api/v1/assignments/{task['assignment']}/judgment"
    assert client.post(url, headers=rater, json=said).status_code == 201
    frozen = client.post(f"{base}/snapshots", headers=owner).json()
    assert (frozen["n_judgments"], frozen["is_new"]) == (1, True)
    archive = client.get(f"{base}/snapshots/{frozen['digest']}", headers=owner)
    names = zipfile.ZipFile(io.BytesIO(archive.content)).namelist()
    assert {"judgments.jsonl", "judgments.parquet", "DICTIONARY.md", "manifest.json"} <= set(names)
    assert "王医生".encode() not in archive.content
    erased = client.delete(f"{base}/raters/{made['rater']}", headers=owner).json()
    assert erased == {"n_judgments_erased": 1}
    assert client.get(f"{base}/snapshots/{frozen['digest']}", headers=owner).status_code == 410
    assert client.post(f"{base}/state", headers=owner, json={"state": "paused"}).status_code == 204
    assert client.get(base, headers=owner).json()["state"] == "paused"
    again = client.post(f"{base}/state", headers=owner, json={"state": "paused"})
    assert again.status_code == 422 and "can become paused" in again.json()["error"]["message"]


def test_an_item_is_taken_out(client: TestClient, database: Database) -> None:
    _, public_id = study(database)
    owner = owner_headers(client, database)
    base = f"/api/v1/owner/studies/{public_id}"
    before = client.get(base, headers=owner).json()["n_wanted"]
    gone = client.delete(f"{base}/items/s0/zh", headers=owner)
    assert gone.json() == {"n_leases_ended": 0}
    assert client.get(base, headers=owner).json()["n_wanted"] == before - 6
    assert client.delete(f"{base}/items/none/zh", headers=owner).status_code == 404


def test_a_password_signs_in_and_a_wrong_one_does_not(
    client: TestClient, database: Database
) -> None:
    with database.writing() as session:
        add_owner(session, "lin", password="correct horse battery")
    right = {"name": "lin", "password": "correct horse battery"}
    assert client.post("/api/v1/owner/sessions", json=right).status_code == 201
    for body in ({"name": "lin", "password": "x"}, {"name": "no", "password": "x"}, {}):
        assert client.post("/api/v1/owner/sessions", json=body).status_code == 403
