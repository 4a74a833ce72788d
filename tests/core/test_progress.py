"""Progress as plain lines, its small curve, and how it words numbers."""

from __future__ import annotations

import io
import math
import time

import numpy as np
import pytest

from labonn.progress import Progress
from labonn.progress.curve import Curve, drawn
from labonn.progress.words import clock, flowing, rounded, thousands


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that progress sees."""
    now = [100.0]
    monkeypatch.setattr("labonn.progress.progress.time.monotonic", lambda: now[0])
    return now


def lines(moment: list[float], steps: int, step_s: float, length: int) -> list[str]:
    """What a run of such steps prints."""
    out = io.StringIO()
    with Progress(steps, stream=out, title="train") as progress:
        for step in range(1, steps + 1):
            moment[0] += step_s
            progress.update(step, step * 64, loss=1 / step, accuracy=0.1 if step < steps else 0.9, epoch=1 + (step - 1) // length)
    return out.getvalue().splitlines()


def test_the_first_epoch_and_the_end_have_a_line_with_all_numbers(moment: list[float]) -> None:
    first, last = lines(moment, 20, 0.1, 10)
    assert first == "train: epoch 1, step 10/20, loss 0.1, accuracy 10.0 %, 582 shots/s"
    assert last == "train: epoch 2, step 20/20, loss 0.05, accuracy 90.0 %, 640 shots/s, took 0:02"


def test_what_needs_no_light_tells_no_shots(moment: list[float]) -> None:
    out = io.StringIO()
    with Progress(1, stream=out, title="twin") as progress:
        moment[0] += 2
        progress.update(1, 0, loss=0.5, accuracy=0.5, epoch=1)
    assert out.getvalue().splitlines()[-1] == "twin: epoch 1, step 1/1, loss 0.5, accuracy 50.0 %, took 0:02"


def test_a_line_tells_about_how_much_time_is_left(moment: list[float]) -> None:
    assert lines(moment, 100, 1.0, 10)[1] == "train: epoch 2, step 20/100, loss 0.05, accuracy 10.0 %, 61 shots/s, about 1:19 left"


@pytest.mark.parametrize(
    ("steps", "step_s", "length", "most", "apart_s"),
    [(6320, 0.0035, 79, 10, 3.0), (20_000, 0.1, 10, 180, 3.0), (400, 10.0, 10, 90, 20.0)],
    ids=["short", "long", "long epochs"],
)
def test_a_long_run_prints_no_line_every_moment(
    moment: list[float], steps: int, step_s: float, length: int, most: int, apart_s: float
) -> None:
    printed = lines(moment, steps, step_s, length)
    assert len(printed) <= most
    at_s = [step_s * int(line.partition("step ")[2].partition("/")[0]) for line in printed[:-1]]
    assert min(np.diff(at_s)) >= apart_s


def test_an_epoch_that_takes_long_has_its_line_and_one_a_minute_meanwhile(moment: list[float]) -> None:
    printed = lines(moment, 30, 20.0, 10)
    assert [line.partition("step ")[2].partition("/")[0] for line in printed] == ["4", "8", "10", "15", "19", "20", "25", "29", "30"]
    assert "over 2:00 left" not in printed[0]
    assert printed[1].endswith("over 7:20 left")


def test_steps_of_an_earlier_session_took_no_time_of_this_one(moment: list[float]) -> None:
    out = io.StringIO()
    with Progress(1000, stream=out) as progress:
        progress.go_on_from(900, 90_000)
        for step in range(901, 912):
            moment[0] += 1.0
            progress.update(step, step * 100, epoch=1 if step < 911 else 2)
        printed = out.getvalue()
    assert printed == "training: epoch 1, step 910/1000, 90.9 shots/s, about 1:29 left\n"


def test_quiet_progress_says_nothing_and_an_unused_one_neither() -> None:
    out = io.StringIO()
    with Progress(5, "quiet", out) as progress:
        progress.update(1, 1, epoch=1)
        progress.update(2, 2, epoch=2)
    for mode in ("plain", "live"):
        with Progress(5, mode, out):  # type: ignore[arg-type]
            pass
    assert out.getvalue().replace("\r\x1b[J", "") == ""


def test_a_step_costs_less_than_20_microseconds() -> None:
    costs = []
    for mode in ("live", "plain"):
        with Progress(10**6, mode, io.StringIO()) as progress:  # type: ignore[arg-type]
            progress.update(1, 64, loss=0.5, accuracy=0.5, epoch=1)
            for _ in range(5):
                start = time.perf_counter()
                for step in range(2000):
                    progress.update(step, 64 * step, loss=0.5, accuracy=0.5, epoch=1)
                costs.append((time.perf_counter() - start) / 2000)
    assert np.median(costs) < 20e-6


def heights(rows: list[str]) -> list[float]:
    """Of every column of dots of braille rows, the mean height, 0 at the bottom; NaN where there is none."""
    dots = {0: (0, 0), 1: (1, 0), 2: (2, 0), 3: (0, 1), 4: (1, 1), 5: (2, 1), 6: (3, 0), 7: (3, 1)}
    found: list[list[int]] = [[] for _ in range(2 * max(map(len, rows)))]
    for above, row in enumerate(rows):
        for place, mark in enumerate(row):
            for bit, (down, right) in dots.items():
                if mark != " " and (ord(mark) - 0x2800) >> bit & 1:
                    found[2 * place + right].append(4 * len(rows) - 1 - 4 * above - down)
    return [float(np.mean(column)) if column else math.nan for column in found]


def plotted(values: list[float]) -> tuple[list[str], list[float]]:
    """The rows of a curve of 40 columns, and the heights of what is behind the labels."""
    rows = drawn(values, 40, 3, "loss")
    label = len("loss ") + max(len(f"{value:.3g}") for value in (max(values), min(values))) + 1
    return rows, [height for height in heights([row.ljust(40)[label:] for row in rows]) if height == height]


def test_the_curve_is_the_series_to_half_a_dot() -> None:
    values = [float(value) for value in 3 + np.sin(np.linspace(0, 6, 200))]
    rows, seen = plotted(values)
    assert rows[0].startswith("loss 4 ")
    assert rows[2].startswith("     2 ")
    wanted = 11 * (np.interp(np.linspace(0, 199, len(seen)), np.arange(200), values) - min(values)) / (max(values) - min(values))
    assert np.abs(np.array(seen) - wanted).max() < 1.3


def test_a_curve_over_decades_is_logarithmic_and_says_so() -> None:
    rows, seen = plotted([float(value) for value in np.geomspace(4, 0.004, 300)])
    assert rows[2].startswith("log  0.00")
    assert np.abs(np.diff(seen)).max() <= 1.5
    assert np.abs(np.array(seen) - np.linspace(11, 0, len(seen))).max() < 1.0


def test_a_curve_of_few_points_is_drawn_across_and_odd_values_do_no_harm() -> None:
    assert drawn([], 40) == drawn([1.0], 40) == drawn([1.0, 2.0], 6) == []
    assert len(drawn([1.0, 1.0], 40)) == 2
    rows, seen = plotted([1.0, 3.0, 2.0])
    assert max(map(len, rows)) == 40
    assert seen[0] == 0
    curve = Curve()
    for value in (1.0, math.nan, math.inf, 3.0):
        curve.add(value)
    assert curve.points == [1.0, 3.0]


def test_a_long_series_is_kept_in_few_points_that_are_its_means() -> None:
    curve, values = Curve(), np.random.default_rng(0).normal(size=10_000)
    for value in values:
        curve.add(float(value))
    assert 128 <= len(curve.points) <= 256
    each = 64
    assert curve.points[:100] == pytest.approx(values[: 100 * each].reshape(100, each).mean(axis=1))


def test_a_curve_in_ascii_has_the_same_shape() -> None:
    rows = drawn([float(value) for value in np.linspace(9, 0, 100)], 40, 3, "loss", ascii_only=True)
    assert rows[0].startswith('loss 9 ""')
    assert rows[2].endswith("__")
    assert all(row.isascii() for row in rows)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (7.4, "0:07"), (750, "12:30"), (3900, "1:05:00"), (100 * 3600, "4 d 4 h"), (-3, "0:00")],
)
def test_a_clock_reads(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_times_are_rounded_to_two_and_a_half_percent() -> None:
    assert rounded(0.0) == 1
    for seconds in np.geomspace(20, 1e6, 200):
        assert abs(rounded(float(seconds)) / seconds - 1) <= 0.026


def test_counts_have_three_digits() -> None:
    assert [thousands(value) for value in (0, 950.4, 999.9, 37_012, 999_600, 1.77e6, 2.5e9)] == [
        "0", "950", "1k", "37k", "1M", "1.77M", "2.5G",
    ]  # fmt: skip


def test_parts_flow_and_are_broken_only_if_they_must() -> None:
    assert flowing(["loss 1", "accuracy 2", "best 3"], 19) == ["loss 1, accuracy 2,", "best 3"]
    assert flowing(["x" * 25], 10) == ["x" * 10, "x" * 10, "x" * 5]
    assert flowing([], 10) == []
