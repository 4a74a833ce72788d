"""Numbers over a run: against what, from where, and means over seeds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from large_runs import large_run
from small_runs import ROWS, small_run

from labonn.plotting.courses import Course, axis_of, best_course, courses, mean_of, scaled
from labonn.plotting.history import histories
from labonn.plotting.past import Past
from labonn.record import open_record


@pytest.fixture(scope="module")
def chip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return large_run(tmp_path_factory.mktemp("chip"), 1200)


def test_rows_of_a_run_without_a_record_are_shown_against_steps_epochs_and_shots(tmp_path: Path) -> None:
    with Past(small_run(tmp_path)) as past:
        wanted = {"steps": [10, 20, 30], "epochs": [1, 2, 3], "evaluations": [1000, 2000, 3000]}
        for against, places in wanted.items():
            one = best_course(courses(past, "accuracy", against), "validation_accuracy")
            assert one is not None
            assert one.x.tolist() == places
            assert one.y.tolist() == [row["validation_accuracy"] for row in ROWS]
        assert courses(past, "accuracy", "bench-time") == []  # such a run does not know it


def test_losses_of_every_step_of_a_long_run_are_thinned_to_means_between_their_extremes(chip: Path) -> None:
    with Past(chip) as past, open_record(chip) as record:
        steps = [one for one in courses(past, "loss", "steps") if one.every == "step"]
        every = record.metrics("loss", kind="step")
        assert [one.name for one in steps] == ["loss"]
        one = steps[0]
        assert one.low is not None
        assert one.high is not None
        assert len(one.x) <= 601
        assert one.low.min() == every["value"].min()
        assert one.high.max() == every["value"].max()
        assert (one.low <= one.y).all()
        assert (one.y <= one.high).all()


def test_evaluations_of_a_chip_are_those_that_its_steps_counted(chip: Path) -> None:
    with Past(chip) as past:
        axis = axis_of(past, "evaluations")
    assert axis.label == "hardware evaluations"
    np.testing.assert_allclose(axis.at(np.array([400.0, 1200.0])), [400 * 1728, 1200 * 1728])


def test_bench_time_counts_from_before_the_first_step(chip: Path) -> None:
    with Past(chip) as past:
        axis = axis_of(past, "bench-time")
    np.testing.assert_allclose(axis.at(np.array([600.0])), 600 * 0.14, rtol=0.01)


def test_a_mean_over_runs_is_taken_where_all_of_them_have_been() -> None:
    one = Course("loss", np.array([1.0, 2.0, 3.0, 4.0]), np.array([4.0, 3.0, 2.0, 1.0]))
    two = Course("loss", np.array([1.0, 3.0]), np.array([8.0, 4.0]))
    mean, spread = mean_of([one, two])
    assert mean.x.tolist() == [1, 2, 3]
    assert mean.y.tolist() == [6.0, 4.5, 3.0]
    np.testing.assert_allclose(spread, np.std([[4, 3, 2], [8, 6, 4]], axis=0, ddof=1))


@pytest.mark.parametrize(
    ("largest", "label", "factor", "told"),
    [
        (90.0, "bench time (s)", 1.0, "bench time (s)"), (7300.0, "bench time (s)", 1 / 3600, "bench time (h)"),
        (4e6, "hardware evaluations", 1e-3, "hardware evaluations (thousand)"),
        (4e7, "hardware evaluations (shots)", 1e-6, "hardware evaluations (million shots)"), (900.0, "step", 1.0, "step"),
    ],
)  # fmt: skip
def test_axes_have_short_numbers_and_say_so(largest: float, label: str, factor: float, told: str) -> None:
    assert scaled([np.array([0.0, largest])], label) == (factor, told)


def test_extremes_of_ports_are_those_of_every_step_however_few_stretches_are_wanted(chip: Path) -> None:
    with open_record(chip) as record:
        found, every = histories(record, stretches=7), record.commands("gain")
        reads = record.readings("output")
    gain = found["gain"]
    assert gain.extremes == (every["min"].min(), every["max"].max())
    assert len(gain.steps) <= 8
    assert (gain.shots, gain.over, gain.detector) == (int(every["shots"].sum()), "steps", False)
    assert (found["output"].detector, found["output"].saturated) == (True, int(reads["saturated"].sum()))
