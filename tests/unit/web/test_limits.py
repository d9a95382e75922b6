"""Rate limits, of one process and shared by several."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable

import pytest

from qingting.web.limits import Bucket, Buckets, OwnBuckets, RateLimit, SharedBuckets

KINDS = pytest.mark.parametrize("make", [OwnBuckets, SharedBuckets])


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@KINDS
def test_a_minutes_requests_may_come_at_once_and_then_one_by_one(
    make: Callable[[], Buckets],
) -> None:
    clock = Clock()
    limit = RateLimit(30, clock=clock, buckets=make())
    assert [limit.wait_s("a") for _ in range(30)] == [0.0] * 30
    assert limit.spent_s("a") == limit.wait_s("a") == pytest.approx(2.0)
    clock.now_s += 2.0
    assert limit.spent_s("a") == 0.0
    assert limit.wait_s("a") == 0.0
    assert limit.wait_s("a") == pytest.approx(2.0)


@KINDS
def test_each_visitor_has_a_limit_of_its_own(make: Callable[[], Buckets]) -> None:
    limit = RateLimit(1, clock=Clock(), buckets=make())
    assert limit.wait_s("a") == limit.wait_s("b") == 0.0
    assert limit.wait_s("a") > 0.0
    assert limit.wait_s("b") > 0.0


def test_too_many_visitors_make_those_forgotten_who_were_away_for_a_minute() -> None:
    clock = Clock()
    limit = RateLimit(1, clock=clock, buckets=OwnBuckets(n_kept=2))
    limit.wait_s("old")
    clock.now_s += 50.0
    limit.wait_s("new")
    clock.now_s += 20.0
    limit.wait_s("newest")
    assert limit.spent_s("new") > 0.0
    assert limit.spent_s("old") == 0.0


def test_a_full_row_forgets_whoever_was_away_longest() -> None:
    buckets = SharedBuckets(n_rows=1)
    for n in range(9):
        buckets.put(f"visitor {n}", Bucket(0.0, float(n + 1)))
    assert buckets.get("visitor 0") is None
    assert [buckets.get(f"visitor {n}") for n in range(1, 9)] == [
        Bucket(0.0, float(n + 1)) for n in range(1, 9)
    ]


def spend(limit: RateLimit, n: int, allowed: multiprocessing.queues.Queue[int]) -> None:
    allowed.put(sum(limit.wait_s("a") == 0.0 for _ in range(n)))


def test_forked_processes_spend_from_one_bucket() -> None:
    context = multiprocessing.get_context("fork")
    allowed = context.Queue()
    limit = RateLimit(100, clock=Clock(), buckets=SharedBuckets())
    workers = [context.Process(target=spend, args=(limit, 60, allowed)) for _ in range(4)]
    for worker in workers:
        worker.start()
    assert sum(allowed.get(timeout=30) for _ in workers) == 100
    for worker in workers:
        worker.join(30)
    assert limit.spent_s("a") > 0.0


def die_with_the_lock(buckets: SharedBuckets) -> None:
    with buckets.lock("a"):
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_killed_while_it_holds_a_lock_keeps_nobody_waiting() -> None:
    buckets = SharedBuckets()
    worker = multiprocessing.get_context("fork").Process(target=die_with_the_lock, args=(buckets,))
    worker.start()
    worker.join(30)
    assert worker.exitcode == -signal.SIGKILL
    assert RateLimit(1, clock=Clock(), buckets=buckets).wait_s("a") == 0.0
