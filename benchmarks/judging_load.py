"""Simulated raters at work on one judging server, all at once; prints how long they wait.

    python benchmarks/judging_load.py [--raters 200] [--seconds 60] [--every 5] [--workers N]
                                      [--database postgres | postgresql://…] [--json FILE]

Makes a study in a temporary folder (or in the database given, which must be empty; ``postgres``
starts a server of its own on loopback), serves it as ``qingting judge serve`` does, and lets every
rater open pages and submit forms as a browser would: open the page, wait, submit, follow the
redirects to the next page. Server and raters share this machine; the raters are one process of
plain sockets, so that they take little of it. Waiting times depend on what else the machine does,
which ``busy_elsewhere`` tells (cores, on average); CPU seconds a judgment hardly do.
Afterwards the database is checked: no unit above its number of raters, nothing lost or doubled.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from contract.postgres import postgres_server
from qingting.judging.people import Guest, invite
from qingting.judging.tokens import now_ms
from qingting.store.database import open_database
from qingting.store.judging_tables import Assignment, Judgment, Unit
from unit.judging.sample_pack import CRITERIA, new_study

ARMS = tuple(f"arm{n}" for n in range(13))


class Browser:
    """One rater's browser: one connection, one cookie, redirects followed."""

    def __init__(self, port: int, waits: dict[str, list[float]]) -> None:
        self.port, self.waits, self.cookies = port, waits, {}
        self.reader: asyncio.StreamReader | None = None
        self.errors: list[str] = []

    async def ask(self, method: str, path: str, form: dict | None = None) -> tuple[int, str, str]:
        body = urlencode(form or {}).encode()
        head = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Accept-Language: zh"]
        if self.cookies:
            head.append("Cookie: " + "; ".join(f"{k}={v}" for k, v in self.cookies.items()))
        if method == "POST":
            head.append("Content-Type: application/x-www-form-urlencoded")
        head.append(f"Content-Length: {len(body)}")
        if self.reader is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        began = time.perf_counter()
        self.writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        raw = await self.reader.readuntil(b"\r\n\r\n")
        lines = raw.decode("latin-1").split("\r\n")
        status = int(lines[0].split()[1])
        fields: dict[str, str] = {}
        for line in lines[1:]:
            name, _, value = line.partition(": ")
            if name.lower() == "set-cookie":
                key, _, rest = value.partition("=")
                self.cookies[key] = rest.split(";")[0]
            fields[name.lower()] = value
        content = await self.reader.readexactly(int(fields.get("content-length", 0)))
        self.waits[method].append(time.perf_counter() - began)
        if status >= 400:
            self.errors.append(f"{status} {method} {path}: {content[:200]!r}")
        return status, fields.get("location", ""), content.decode()

    async def go(self, method: str, path: str, form: dict | None = None) -> str:
        status, place, html = await self.ask(method, path, form)
        while status == 303:
            status, place, html = await self.ask("GET", place)
        if match := re.search(r'href="(/judge/a/\w+\?ready=1)"', html):
            return await self.go("GET", match[1])
        return html


def hidden(html: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', html)
    if found is None:
        raise SystemExit(f"a page without {name}: {html[:2000]}")
    return found[1]


async def rate(
    browser: Browser, secret: str, *, all_in: asyncio.Barrier, seconds: float, every_s: float, rng
) -> int:
    html = await browser.go("POST", f"/j/{secret}")
    html = await browser.go(
        "POST",
        "/judge/consent",
        {"csrf": hidden(html, "csrf"), "version": hidden(html, "version"), "answer": "agree"},
    )
    await all_in.wait()
    for times in browser.waits.values():  # signing in all at once is not the work measured
        times.clear()
    until = time.monotonic() + seconds
    await asyncio.sleep(rng.random() * every_s)
    n_done = 0
    while time.monotonic() < until:
        turn_ends = time.monotonic() + every_s
        match = re.search(r'action="(/judge/a/\w+)" class="judgment"', html)
        if match is None:
            break
        form = {name: hidden(html, name) for name in ("csrf", "key", "shown_ms")}
        form |= {f"scores.{name}": rng.randint(1, 5) for name in CRITERIA}
        html = await browser.go("POST", match[1], form | {"safety.answer": "pass"})
        n_done += 1
        await asyncio.sleep(max(0.0, turn_ends - time.monotonic()))
    return n_done


async def all_raters(
    port: int, secrets: list[str], arguments, clock: Clock
) -> tuple[dict, int, list[str]]:
    waits: dict[str, list[float]] = {"GET": [], "POST": []}
    all_in = asyncio.Barrier(len(secrets) + 1)
    browsers = [Browser(port, waits) for _ in secrets]
    at_work = asyncio.gather(
        *(
            rate(
                browser,
                secret,
                all_in=all_in,
                seconds=arguments.seconds,
                every_s=arguments.every,
                rng=random.Random(n),
            )
            for n, (browser, secret) in enumerate(zip(browsers, secrets, strict=True))
        )
    )
    await asyncio.wait(
        (asyncio.ensure_future(all_in.wait()), at_work), return_when="FIRST_COMPLETED"
    )
    clock.start()
    done = await at_work
    clock.stop()
    return waits, sum(done), [error for browser in browsers for error in browser.errors]


class Clock:
    """CPU seconds between ``start`` and ``stop``: of processes and their children, and of all."""

    def __init__(self, **pids: int | None) -> None:
        self._pids = {name: pid for name, pid in pids.items() if pid is not None}
        self.spent_s: dict[str, float] = {}

    def start(self) -> None:
        self._began = self._now()

    def stop(self) -> None:
        self.spent_s = {name: now - self._began[name] for name, now in self._now().items()}

    def _now(self) -> dict[str, float]:
        cores = [int(n) for n in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        times = {name: _tree_cpu_s(pid) for name, pid in self._pids.items()}
        # neither idle nor waiting for a disk
        return times | {"machine": (sum(cores) - cores[3] - cores[4]) / 100, "wall": time.time()}


def _tree_cpu_s(root: int) -> float:
    """Return the CPU seconds of a process and all its descendants, ended ones included."""
    times: dict[int, tuple[int, float]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(") ", 1)[1].split()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has just ended
            times[int(entry.name)] = int(fields[1]), sum(int(n) for n in fields[11:15]) / 100
    total, waiting = 0.0, [root]
    while waiting:
        pid = waiting.pop()
        total += times[pid][1] if pid in times else 0.0
        waiting += [child for child, (parent, _) in times.items() if parent == pid]
    return total


def make(address: str, n_raters: int) -> list[str]:
    database = open_database(address, create=True)
    with database.writing() as session:
        campaign = new_study(session, arms=ARMS, n_scenarios=120, raters_per_unit=3).campaign
        secrets = [
            invite(
                session, campaign, Guest("lay", "zh"), days=1, at_ms=now_ms(), actor="benchmark"
            ).secret
            for _ in range(n_raters)
        ]
    database.close()
    return secrets


def check(address: str, n_done: int) -> dict[str, int]:
    from sqlalchemy import func, select

    database = open_database(address)
    with database.reading() as session:
        n_stored = session.scalar(select(func.count()).select_from(Judgment))
        over = session.scalar(select(func.count()).where(Unit.n_taken > Unit.n_wanted))
        held = dict(
            session.execute(
                select(Assignment.unit_id, func.count())
                .where(Assignment.state.in_(("leased", "done")))
                .group_by(Assignment.unit_id)
            ).all()
        )
        wrong = sum(
            unit.n_taken != held.get(unit.id, 0)
            for unit in session.scalars(select(Unit).where(Unit.role == "main"))
        )
    database.close()
    return {
        "n_acknowledged": n_done,
        "n_stored": n_stored,
        "n_units_over_rated": over,
        "n_units_miscounted": wrong,
    }


@contextmanager
def database_at(given: str | None, folder: str) -> Iterator[tuple[str, int | None]]:
    """Yield the address of an empty database, and the process that serves it if it is ours."""
    if given == "postgres":
        with postgres_server() as server:
            yield server.address, server.pid
    else:
        yield given or f"{folder}/judging.db", None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--raters", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--every", type=float, default=5.0)
    parser.add_argument("--port", type=int, default=8741)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--database")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        database_at(arguments.database, folder) as (address, database_pid),
    ):
        result, errors = measured(arguments, address, folder, database_pid)
    print(json.dumps(result, indent=2))
    for error in errors[:5]:
        print(error, file=sys.stderr)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2))


def measured(
    arguments, address: str, folder: str, database_pid: int | None
) -> tuple[dict, list[str]]:
    secrets = make(address, arguments.raters)
    command = [
        *(sys.executable, "-m", "qingting.cli.main", "judge", "serve"),
        *("--database", address, "--port", str(arguments.port), "--url", "http://127.0.0.1"),
        *(("--workers", str(arguments.workers)) if arguments.workers else ()),
    ]
    with open(f"{folder}/server.log", "w+") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
        clock = Clock(server=server.pid, database=database_pid, raters=os.getpid())
        try:
            _wait(arguments.port)
            waits, n_done, errors = asyncio.run(
                all_raters(arguments.port, secrets, arguments, clock)
            )
        finally:
            server.terminate()
            server.wait()
            log.seek(0)
            said = log.read()
            if said.count("\n") > 1:  # more than where it serves
                print(said[-4000:], file=sys.stderr)
    # all are descendants of this process: what is left of its own are the raters
    spent = dict(clock.spent_s)
    wall_s, machine_s = spent.pop("wall"), spent.pop("machine")
    spent["raters"] -= spent["server"] + spent.get("database", 0.0)
    result = {
        "raters": arguments.raters,
        "seconds": arguments.seconds,
        "judgments_a_second": n_done / arguments.seconds,
        "n_errors": len(errors),
        **check(address, n_done),
        "locked": said.count("database is locked"),
        "tracebacks": said.count("Traceback"),
        "cpu_ms_a_judgment": {name: 1000 * s / max(n_done, 1) for name, s in spent.items()},
        "busy_elsewhere": (machine_s - sum(spent.values())) / wall_s,
    }
    for method, name in (("GET", "page"), ("POST", "submit")):
        times = np.array(waits[method]) * 1000
        result[name] = {
            "n": len(times),
            **{f"p{q}_ms": float(np.percentile(times, q)) for q in (50, 95, 99, 100)},
        }
    return result, errors


def _wait(port: int) -> None:
    import socket

    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit("the server did not start")


if __name__ == "__main__":
    main()
