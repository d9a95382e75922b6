"""Several processes that serve one address: started, kept alive and ended together."""

from __future__ import annotations

import multiprocessing
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import connection
from multiprocessing.context import ForkProcess
from types import FrameType

import uvicorn

PATIENCE_S = 30.0
"""Given to requests under way when the server is stopped."""
_RESTART_S = 1.0
"""Between two starts of a worker that dies at once."""


def listen(host: str, port: int, *, n_sockets: int = 1) -> list[socket.socket]:
    """Return sockets that listen on one address, between which the system deals connections.

    Elsewhere than on Linux they are all the same one.

    Raises:
        OSError: the address is taken or is not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # found out alone: sockets that share a port would join those of another server of this user
    first = _bound(family, host, port)
    if n_sockets == 1 or sys.platform != "linux":
        first.listen(2048)
        return [first] * n_sockets
    port = first.getsockname()[1]
    first.close()
    listeners = [_bound(family, host, port, is_shared=True) for _ in range(n_sockets)]
    for one in listeners:
        one.listen(2048)
    return listeners


def _bound(
    family: socket.AddressFamily, host: str, port: int, *, is_shared: bool = False
) -> socket.socket:
    # named as TCP, for asyncio turns off Nagle's delay (40 ms a page) on such sockets only
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind((host, port))
    except OSError:
        made.close()
        raise
    return made


def run_workers(server: uvicorn.Server, listeners: Sequence[socket.socket]) -> None:
    """Serve every listener in a process of its own until SIGINT or SIGTERM.

    Each has a copy of ``server`` as it is now, which must hold no open connection and no thread.
    A worker that dies is replaced, and its listener keeps the connections that wait meanwhile.
    Workers end when this process does, however it ends.

    Raises:
        KeyboardInterrupt: SIGINT came; all workers have ended.
    """
    context = multiprocessing.get_context("fork")

    def start(at: int) -> ForkProcess:
        worker = context.Process(target=_work, args=(server, listeners[at]), daemon=True)
        worker.start()
        return worker

    with _caught_signals() as caught:
        workers = [start(at) for at in range(len(listeners))]
        try:
            while not caught:
                # a signal does not end the wait, hence the limit
                connection.wait([worker.sentinel for worker in workers], timeout=0.2)
                for at, worker in enumerate(workers):
                    if not caught and not worker.is_alive():
                        print(
                            f"a worker ended ({worker.exitcode}); it is started again",
                            file=sys.stderr,
                        )
                        time.sleep(_RESTART_S)
                        workers[at] = start(at)
        finally:
            _end(workers)
    signal.raise_signal(caught[0])


@contextmanager
def _caught_signals() -> Iterator[list[int]]:
    caught: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        caught.append(number)

    before = {one: signal.signal(one, note) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _end(workers: Sequence[ForkProcess]) -> None:
    for worker in workers:
        worker.terminate()
    deadline = time.monotonic() + PATIENCE_S
    for worker in workers:
        worker.join(max(0.0, deadline - time.monotonic()))
    for worker in workers:
        if worker.is_alive():
            worker.kill()
            worker.join()


def _work(server: uvicorn.Server, listener: socket.socket) -> None:
    # the parent's handlers came along; until the server has its own, a signal ends the worker
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, args=(server,), daemon=True).start()
    server.run(sockets=[listener])


def _end_with_parent(server: uvicorn.Server) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    server.should_exit = True
