"""Tables of the experiments on chips say what their runs did, and the paper's estimates follow from their formulas."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import labonn
from labonn.data import load, split_validation
from labonn.reproduce import Choices, Row
from labonn.sweeps import Outcome
from procedures.papers import (
    ptonn_ablation,
    ptonn_calibrated,
    ptonn_evaluations,
    ptonn_fig3a,
    ptonn_fig3b,
    ptonn_fig4a,
    ptonn_fig4b,
    ptonn_fig5,
    ptonn_power,
)
from procedures.papers.coupler_budget import PAPER, Columns
from procedures.papers.ptonn_reading import course, first_above, mean_theta_at, spreading, table_of
from tests.papers.ptonn_outcomes import trained

QUICK = Choices(quick=True)


def row(rows: list[Row], what: str) -> Row:
    (found,) = [one for one in rows if one.what == what]
    return found


def test_estimates_are_the_papers_but_for_its_slip() -> None:
    rows = {one.what: one for one in ptonn_power.rows(QUICK, {})}
    for what in (
        "gain coefficient at s = 0.2",
        "power into 1 mW of light, s = 0.2",
        "power into 1 mW of light, s = 0.05",
    ):
        assert rows[what].verdict == "within", what
    slip = rows["the same at a quantum efficiency of 10 %"]
    assert slip.verdict == "other"
    assert slip.mean == pytest.approx(512, abs=1)
    assert "0.5 mW" in slip.remark
    assert slip.mean == pytest.approx(1e4 * math.expm1(4e4 * 0.05 * 25e-6))


def test_power_by_the_field_equations_is_what_a_guide_with_that_gain_adds() -> None:
    field, steps = 1.0, 100_000
    for _ in range(steps):
        field += 0.5 * (2 * 4e4 * 0.2) * field * 25e-6 / steps  # da/dz = (g/2) a
    assert pytest.approx(1e-3 * (field**2 - 1), rel=1e-4) == PAPER.field_w(0.2)


def test_a_photon_of_1550_nm_has_0_8_electron_volts_and_the_light_passes_186_columns() -> None:
    assert PAPER.photon_v == pytest.approx(1.2398 / 1.55, rel=1e-4)
    assert Columns().count == (2 * 49 - 3) + 2 * (2 * 20 - 3) + (2 * 10 - 3)


def test_powers_of_trained_chips_follow_from_their_drives(tmp_path: Path) -> None:
    quarter = np.full(37, -math.pi / 2)  # heaters at phase pi/2: half the power of pi
    still = np.zeros(37)
    found = {"MZI": [trained(tmp_path / "a", "mzi_chip", theta=quarter)], "PT": [trained(tmp_path / "b", theta=still)]}
    rows = ptonn_power.rows(QUICK, found)
    assert row(rows, "trained MZI chip: power of a coupler's heater").mean == pytest.approx(12.5)
    assert row(rows, "trained MZI chip: power of all heaters").mean == pytest.approx(37 * 12.5e-3)
    assert row(rows, "trained PT chip: current, a section").mean == pytest.approx(5.0), "no gain, no loss"
    assert row(rows, "trained PT chip: power into 1 mW of light, a coupler").mean == 0
    assert row(rows, "trained PT chip: time of a gradient").mean == pytest.approx(1e3 * 5.0 / 60)
    assert "MZI chip" in ptonn_power.notes(QUICK, found)[-1]


@pytest.mark.parametrize(("accuracy", "reached"), [(0.85, True), (0.83, False)])
def test_couplers_alone_are_to_reach_84_percent(tmp_path: Path, accuracy: float, reached: bool) -> None:
    found = {"theta": [trained(tmp_path / str(i), accuracy=accuracy) for i in range(3)], "all": []}
    rows = ptonn_fig4a.rows(QUICK, found)
    test = row(rows, "PT, couplers only, test")
    assert test.reached is reached
    assert test.verdict == "better"
    assert test.ours == [100 * accuracy] * 3
    assert (test.data, test.evaluations, test.paper) == ("some images", 3100, 66.5)
    assert row(rows, "PT, amplifiers too, test").paper is None, "the paper has no such number"


def test_histogram_has_the_moments_of_all_couplers_without_amplifiers(tmp_path: Path) -> None:
    one = trained(tmp_path / "one")
    amplifiers = ptonn_power.optics_of(one).amplifiers
    theta = np.full(37, 5.0)
    theta[~amplifiers] = np.repeat([0.2, -0.02], 15)
    np.savez(tmp_path / "one" / "weights.npz", best=theta)
    rows = ptonn_fig5.rows(QUICK, {"theta": [one]})
    assert row(rows, "largest |theta|").mean == pytest.approx(0.2)
    assert row(rows, "mean |theta|").mean == pytest.approx(0.11)
    assert row(rows, "mean theta").mean == pytest.approx(900)
    assert row(rows, "|theta| below 0.1").mean == row(rows, "at the limit of 0.2").mean == 50


def test_theta_are_told_where_a_chip_was_as_good_as_the_papers(tmp_path: Path) -> None:
    given = {"bench": "pt_chip", "sizes": [16, 10, 10], "train": "theta", "gradient": "spsa", "steps": 30, "report": 10, "seed": 1}
    done = labonn.run("train_chip", dry_run=True, quiet=True, ideal=True, out=tmp_path, checkpoint=0, **given)
    one = Outcome(done.result, done.folder, 1.0)
    accuracies, means = spreading(one)
    assert accuracies == pytest.approx(list(100 * table_of(one)["validation_accuracy"]))
    couplers = ~ptonn_power.optics_of(one).amplifiers
    last = np.load(done.folder / "weights.npz")["last"]
    assert means[-1] == pytest.approx(np.abs(last[couplers]).mean(), rel=1e-3)
    best = int(np.argmax(accuracies))
    assert mean_theta_at(one, accuracies[best]) == means[best]
    assert math.isnan(mean_theta_at(one, accuracies[best] + 0.1))
    assert spreading(trained(tmp_path / "without a record"))[1].size == 0


def test_a_chip_is_shown_picked_pixels_where_they_are_asked_for(tmp_path: Path) -> None:
    given = {"bench": "pt_chip", "sizes": [16, 10, 10], "gradient": "spsa", "steps": 1, "seed": 1, "subsample": "pick"}
    done = labonn.run("train_chip", dry_run=True, quiet=True, ideal=True, out=tmp_path, checkpoint=0, **given)
    assert str(done.result["data"]).startswith("mini, every 7th pixel: 5,000 training")
    mini = load("mini")
    _, test = split_validation(mini, seed=1)
    wanted = test.images.reshape(-1, 28, 28)[:, 3::7, 3::7].reshape(len(test.labels), 16) / 255
    shown = np.load(done.folder / "test.npz")["images"].reshape(len(test.labels), 16)
    np.testing.assert_allclose(shown / shown.max(), wanted / wanted.max(), atol=0.01)


def test_noise_is_told_strength_by_strength(tmp_path: Path) -> None:
    found = {"PT": [trained(tmp_path / "a"), trained(tmp_path / "b")]}
    rows = ptonn_fig4b.rows(QUICK, found)
    assert row(rows, "PT couplers, trained, then noise of 0.02 rad").ours == [40.0, 40.0]
    (lost,) = [note for note in ptonn_fig4b.notes(QUICK, found) if note.startswith("Points of accuracy")]
    assert "45.0 at 0.02 rad" in lost
    assert "3.0 %" in lost


def test_evaluations_until_a_level_are_read_between_reports(tmp_path: Path) -> None:
    one = trained(tmp_path / "a")
    assert [first_above(one, level) for level in (50, 60, 75)] == [1000, 1500, 2500]
    assert math.isnan(first_above(one, 81))
    rows = ptonn_evaluations.rows(QUICK, {"MZI": [one]})
    assert [(one.what, one.ours) for one in rows] == [("MZI: central, 60 %", [1.5]), ("MZI: central, 80 %", [3.0])]


def test_bench_time_counts_from_the_first_step(tmp_path: Path) -> None:
    x, y = course(trained(tmp_path / "a"), "bench_time_s")
    np.testing.assert_allclose(x, [1.0, 3.0, 5.0])
    np.testing.assert_allclose(y, [50, 70, 80])


def test_gains_are_paired_by_seed(tmp_path: Path) -> None:
    found = {
        "PT: all imperfections": [trained(tmp_path / f"a{i}", accuracy=share) for i, share in enumerate((0.80, 0.84))],
        "PT: without drift": [trained(tmp_path / f"b{i}", accuracy=share) for i, share in enumerate((0.81, 0.87))],
    }
    assert ptonn_ablation.gains(found, "PT: without drift") == pytest.approx([1, 3])
    assert row(ptonn_ablation.rows(QUICK, found), "PT: without drift").remark == "+2.0 +- 1.0 points, paired"
    one_short = {**found, "PT: without drift": found["PT: without drift"][:1]}
    assert ptonn_ablation.gains(one_short, "PT: without drift") == []


def test_the_digital_bound_says_when_sgd_was_where_the_paper_ended(tmp_path: Path) -> None:
    reached = {"sgd": 0.85, "adam": 0.9, "picked-sgd": 0.78, "picked-adam": 0.8}
    found: dict[str, Any] = {case: [trained(tmp_path / case, accuracy=share)] for case, share in reached.items()}
    assert row(ptonn_fig3a.rows(QUICK, found), "digital, SGD, training, highest").mean == pytest.approx(90)
    bound, when = ptonn_fig3a.notes(QUICK, found)
    assert "90.0 % at least with means of 4 x 4 pixels, and 80.0 % with every fourth pixel" in bound
    assert "SGD on picked pixels reaches 78.0 %" in bound
    assert "in epoch 3, after about 30 steps" in when


@pytest.mark.parametrize(
    "module", [ptonn_fig3a, ptonn_fig3b, ptonn_fig4a, ptonn_fig4b, ptonn_fig5, ptonn_power, ptonn_evaluations, ptonn_ablation]
)
def test_tables_and_notes_of_nothing_are_no_error(module: Any) -> None:
    assert all(isinstance(one, Row) for one in module.rows(QUICK, {}))
    assert all(isinstance(one, str) for one in module.notes(QUICK, {}))


def test_a_start_is_told_by_its_first_steps_and_its_end(tmp_path: Path) -> None:
    found = {"nominal": [trained(tmp_path / "a", accuracy=0.6)], "calibrated": [trained(tmp_path / "b", accuracy=0.7)]}
    rows = ptonn_calibrated.rows(QUICK, found)
    assert row(rows, "believed start, calibrated curves, after 5 steps (validation)").mean == 50
    assert row(rows, "believed start, calibrated curves, at the end").mean == 70
    assert "+10.0 points" in ptonn_calibrated.notes(QUICK, found)[-1]
