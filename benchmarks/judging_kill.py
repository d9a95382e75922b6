"""Kills a judging server at random moments while raters submit; prints what was lost or doubled.

    python benchmarks/judging_kill.py [--kills 50] [--raters 8] [--workers N]
                                      [--database postgres | postgresql://…]

The server is ``qingting judge serve`` in a process of its own and is ended by SIGKILL, with all its
workers; ``postgres`` starts a database of its own on loopback, which is not killed. Raters go on
as a browser's script would: a submission without an answer is sent again with the same idempotency
key. At the end every acknowledged judgment must be there once, and the places of units and the
exposure of arms must equal what assignments say.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from sqlalchemy import func, select

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from contract.postgres import postgres_server
from qingting.judging.people import Guest, invite
from qingting.judging.tokens import now_ms
from qingting.store.database import open_database
from qingting.store.judging_tables import Arm, Assignment, Judgment, Unit
from unit.judging.sample_pack import full_form, new_study

ARMS = ("tuned", "base", "other")


@dataclass
class Tally:
    """What raters were told."""

    acknowledged: list[tuple[str, str]] = field(default_factory=list)
    """(assignment, idempotency key) of every 201."""
    refusals: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Server:
    """The server as people run it, killed and started again on the same port."""

    def __init__(self, address: str, folder: Path, *, n_workers: int = 1) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._command = [
            *(sys.executable, "-m", "qingting.cli.main", "judge", "serve"),
            *("--database", address, "--port", str(self.port), "--snapshots", str(folder)),
            *(("--workers", str(n_workers)) if n_workers > 1 else ()),
        ]
        self._log = folder / "server.log"

    def start(self) -> None:
        with self._log.open("a") as log:
            self.process = subprocess.Popen(
                self._command, stdout=log, stderr=log, start_new_session=True
            )
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise RuntimeError("the server did not start")

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def log(self) -> str:
        return self._log.read_text()


def rate(server: Server, secret: str, tally: Tally, stop: threading.Event, seed: int) -> None:
    """Work like a rater's browser until told to stop; nothing is given up for want of an answer."""
    rng = random.Random(seed)
    base = f"http://127.0.0.1:{server.port}/api/v1"
    with httpx.Client(base_url=base, timeout=10.0) as client:

        def ask(method: str, path: str, body: dict | None = None) -> httpx.Response | None:
            while not stop.is_set():
                try:
                    return client.request(method, path, json=body)
                except httpx.TransportError:
                    time.sleep(0.05)
            return None

        answer = ask("POST", "/sessions", {"invitation": secret})
        if answer is None:
            return
        client.headers["authorization"] = f"Bearer {answer.json()['session']}"
        ask("POST", "/consent", {"version": "1"})
        while not stop.is_set():
            answer = ask("POST", "/next")
            if answer is None or answer.json().get("task") is None:
                return
            assignment = answer.json()["task"]["assignment"]
            key = f"{seed}-{assignment}"[:64]
            body = full_form(rng.randint(1, 5)) | {"idempotency_key": key}
            answer = ask("POST", f"/assignments/{assignment}/judgment", body)
            if answer is None:
                return
            with tally.lock:
                if answer.status_code == 201:
                    tally.acknowledged.append((assignment, key))
                else:
                    tally.refusals.append(answer.text)


def run(
    address: str, folder: Path, *, n_kills: int, n_raters: int, n_workers: int = 1, seed: int = 1
) -> dict:
    """Return counts after ``n_kills`` kills: all but the first three must be 0."""
    database = open_database(address, create=True)
    with database.writing() as session:
        campaign = new_study(
            session, arms=ARMS, n_scenarios=200 + 60 * n_kills, raters_per_unit=2
        ).campaign
        secrets = [
            invite(
                session, campaign, Guest("lay", "zh"), days=1, at_ms=now_ms(), actor="test"
            ).secret
            for _ in range(n_raters)
        ]
    database.close()
    server = Server(address, folder, n_workers=n_workers)
    tally, stop = Tally(), threading.Event()
    server.start()
    raters = [
        threading.Thread(target=rate, args=(server, secret, tally, stop, n))
        for n, secret in enumerate(secrets)
    ]
    for rater in raters:
        rater.start()
    rng = random.Random(seed)
    for _ in range(n_kills):
        wait_for_more(tally)  # a server that nobody has asked yet has nothing to lose
        time.sleep(rng.random() * 0.6)
        server.kill()
        server.start()
    wait_for_more(tally)
    stop.set()
    for rater in raters:
        rater.join()
    server.kill()
    return checked(address, tally) | {"n_kills": n_kills, "log": server.log()}


def wait_for_more(tally: Tally, *, timeout_s: float = 30.0) -> None:
    """Return once another judgment was acknowledged, or after ``timeout_s``."""
    n_before, deadline = len(tally.acknowledged), time.monotonic() + timeout_s
    while len(tally.acknowledged) == n_before and time.monotonic() < deadline:
        time.sleep(0.01)


def checked(address: str, tally: Tally) -> dict:
    """Return what the database holds beside what raters were told."""
    database = open_database(address)
    with database.reading() as session:
        stored = dict(
            session.execute(
                select(Assignment.public_id, Judgment.idempotency_key).join(
                    Judgment, Judgment.assignment_id == Assignment.id
                )
            ).all()
        )
        n_stored = session.scalar(select(func.count()).select_from(Judgment))
        held: dict[int, int] = {}
        shown: dict[int, int] = {}
        for unit, arm in session.execute(
            select(Assignment.unit_id, Unit.arm_id)
            .join(Unit, Unit.id == Assignment.unit_id)
            .where(Assignment.state.in_(("leased", "done")))
        ):
            held[unit] = held.get(unit, 0) + 1
            shown[arm] = shown.get(arm, 0) + 1
        units = session.execute(
            select(Unit.id, Unit.n_taken, Unit.n_wanted).where(Unit.role == "main")
        ).all()
        arms = session.execute(select(Arm.id, Arm.n_shown)).all()
    database.close()
    told = dict(tally.acknowledged)
    exposures = [n for _, n in arms]
    return {
        "n_acknowledged": len(tally.acknowledged),
        "n_stored": n_stored,
        "spread_of_exposure": max(exposures) - min(exposures),
        "n_lost": sum(stored.get(assignment) != key for assignment, key in told.items()),
        "n_doubled": n_stored - len(stored) + len(tally.acknowledged) - len(told),
        "n_refused": len(tally.refusals),
        "n_units_miscounted": sum(taken != held.get(unit, 0) for unit, taken, _ in units),
        "n_units_over_rated": sum(taken > wanted for _, taken, wanted in units),
        "n_arms_miscounted": sum(n != shown.get(arm, 0) for arm, n in arms),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--raters", type=int, default=8)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--database")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        address = arguments.database or str(folder / "judging.db")
        if address == "postgres":
            address = stack.enter_context(postgres_server()).address
        found = run(
            address,
            folder,
            n_kills=arguments.kills,
            n_raters=arguments.raters,
            n_workers=arguments.workers,
        )
    log = found.pop("log")
    print(json.dumps(found, indent=2))
    if log.strip().count("\n") > 2 * arguments.kills:
        print(log[-2000:], file=sys.stderr)


if __name__ == "__main__":
    main()
