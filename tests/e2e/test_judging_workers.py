"""``qingting judge serve --workers``: processes that share an address, and every kind of end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from contract.postgres import postgres_server, server_programs
from e2e.running import mind_interrupts
from e2e.waiting import is_alive, wait_for
from qingting.judging.people import Guest, invite
from qingting.judging.tokens import now_ms
from qingting.store.database import open_database
from unit.judging.sample_pack import full_form, new_study

without_postgres = pytest.mark.skipif(
    server_programs() is None, reason="PostgreSQL is not installed"
)


class Serving:
    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def workers(self) -> list[int]:
        pid = self.process.pid
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/owner/sign-in", timeout=5).status_code == 200
        except httpx.TransportError:
            return False


def command(address: str, port: int, *options: str) -> list[str]:
    return [
        *(sys.executable, "-m", "qingting.cli.main", "judge", "serve"),
        *("--database", address, "--port", str(port), *options),
    ]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(address: str) -> Iterator[Serving]:
    port = free_port()
    with subprocess.Popen(
        command(address, port, "--workers", "2"),
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=mind_interrupts,
    ) as process:
        served = Serving(process, port)
        try:
            wait_for(served.answers)
            wait_for(lambda: len(served.workers()) == 2)
            yield served
        finally:
            process.kill()


@pytest.fixture(scope="module")
def study() -> Iterator[tuple[str, list[str]]]:
    """Yield the address of an open study and the secrets of eight invitations."""
    with postgres_server() as server:
        database = open_database(server.address, create=True)
        with database.writing() as session:
            campaign = new_study(session, n_scenarios=30).campaign
            secrets = [
                invite(
                    session, campaign, Guest("lay", "zh"), days=1, at_ms=now_ms(), actor="test"
                ).secret
                for _ in range(8)
            ]
        database.close()
        yield server.address, secrets


def judge_twice(url: str, secret: str) -> None:
    # a connection for every request, so that the two meet different workers
    def ask(path: str, body: dict[str, object] | None = None) -> httpx.Response:
        answer = httpx.post(f"{url}/api/v1{path}", json=body, headers=headers, timeout=20)
        assert answer.is_success, answer.text
        return answer

    headers: dict[str, str] = {}
    headers["authorization"] = (
        f"Bearer {ask('/sessions', {'invitation': secret}).json()['session']}"
    )
    ask("/consent", {"version": "1"})
    for _ in range(2):
        assignment = ask("/next").json()["task"]["assignment"]
        ask(
            f"/assignments/{assignment}/judgment",
            full_form() | {"idempotency_key": assignment},
        )


@pytest.mark.postgres
@without_postgres
def test_a_worker_that_dies_is_replaced_and_its_raters_go_on(study) -> None:
    address, secrets = study
    with serving(address) as served:
        for secret in secrets[:2]:
            judge_twice(served.url, secret)
        killed, other = served.workers()
        os.kill(killed, signal.SIGKILL)
        wait_for(lambda: len(served.workers()) == 2 and killed not in served.workers())
        assert other in served.workers()
        for secret in secrets[2:6]:
            judge_twice(served.url, secret)
        served.process.send_signal(signal.SIGTERM)
        _, said = served.process.communicate(timeout=40)
    assert served.process.returncode == -signal.SIGTERM
    assert said == "a worker ended (-9); it is started again\n"


@pytest.mark.postgres
@without_postgres
def test_ctrl_c_ends_all_workers_quietly(study) -> None:
    address, _ = study
    with serving(address) as served:
        workers = served.workers()
        served.process.send_signal(signal.SIGINT)
        _, said = served.process.communicate(timeout=40)
    assert (served.process.returncode, said) == (130, "")
    assert not any(is_alive(worker) for worker in workers)
    assert not served.answers()


@pytest.mark.postgres
@without_postgres
def test_workers_end_with_a_parent_that_is_killed_and_free_the_port(study) -> None:
    address, _ = study
    with serving(address) as served:
        workers = served.workers()
        served.process.kill()
        served.process.wait()
        wait_for(lambda: not any(is_alive(worker) for worker in workers))
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", served.port))


@pytest.mark.postgres
@without_postgres
def test_workers_do_not_join_a_server_that_has_the_port(study) -> None:
    address, _ = study
    with serving(address) as served:
        second = subprocess.run(
            command(address, served.port, "--workers", "2"),
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert second.returncode == 1
    assert "choose another with --port" in second.stderr


@pytest.mark.postgres
@without_postgres
def test_wrong_links_are_counted_by_all_workers_together(study) -> None:
    address, _ = study
    with serving(address) as served:
        told = [httpx.get(f"{served.url}/j/{'x' * 43}").status_code for _ in range(30)]
    # twenty a minute; one more may have come free meanwhile
    assert told.count(404) in (20, 21, 22) and told[-1] == 429


def test_sqlite_is_not_served_by_several_processes(tmp_path: Path) -> None:
    open_database(tmp_path / "judging.db", create=True).close()
    refused = subprocess.run(
        command(str(tmp_path / "judging.db"), free_port(), "--workers", "2"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert refused.returncode == 2
    assert "one process serves SQLite" in refused.stderr
