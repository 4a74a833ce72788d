"""Time passes only where somebody waits for it."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from labonn.clock import RealClock, SimulatedClock


def test_simulated_time_stands_still_until_somebody_waits() -> None:
    clock = SimulatedClock()
    began = time.monotonic()
    assert clock.now() == 0
    clock.wait(3600)
    clock.wait(0)
    clock.wait(-5)
    assert clock.now() == 3600
    assert time.monotonic() - began < 1


def test_simulated_time_does_not_depend_on_the_order_of_parallel_waits() -> None:
    waits = [random.Random(i).uniform(0, 1e-3) for i in range(400)]
    ends = []
    for order in (waits, waits[::-1]):
        clock = SimulatedClock()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(clock.wait, order))
        ends.append(clock.now())
    assert ends[0] == ends[1] == pytest.approx(sum(waits), rel=1e-5)


def test_the_simulated_bench_takes_its_instruments_down_before_time_worth_a_look_passes() -> None:
    clock, seen = SimulatedClock(), list[float]()
    clock.before_wait = lambda: seen.append(clock.now())
    for wait_s in (0.5, 1e-4, 0.25, 1e-3):
        clock.wait(wait_s)
    assert seen == [0.0, 0.5001]


def test_a_paced_clock_hands_on_every_wait() -> None:
    slept: list[float] = []
    clock = SimulatedClock(slept.append)
    clock.wait(0.5)
    clock.wait(0)
    clock.wait(2)
    assert slept == [0.5, 2]
    assert clock.now() == 2.5


def test_real_time_passes_by_itself_and_a_wait_takes_as_long() -> None:
    clock = RealClock()
    start = clock.now()
    clock.wait(0.02)
    clock.wait(0)
    clock.wait(-1)
    assert 0.02 <= clock.now() - start < 0.5
