"""Guo et al. 2021, App. C: power and speed."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from labonn.reproduce import Choices
from labonn.sweeps import Job, Outcome, Task
from procedures.papers import guo_appc, step_rates
from procedures.papers.optical_budget import RB87_D2, Budget, Line

QUICK = Choices(quick=True)
SIZES = [784, 1000, 1000, 10]


def step(bench_s: float, shots: float, tables: float) -> list[Outcome]:
    return [Outcome({"bench_s": bench_s, "shots": shots, "tables": tables, "sizes": SIZES}, None, 0.0)]


def test_the_saturation_intensity_is_the_tabulated_one() -> None:
    assert RB87_D2.saturation_w_m2 == pytest.approx(16.693, abs=0.002)  # 1.6693 mW/cm^2, Steck, Rubidium 87 D line data
    assert 1e9 / RB87_D2.decay_per_s == pytest.approx(26.24, abs=0.05)  # ns, the same


def test_estimates_follow_from_their_inputs() -> None:
    budget, wide = Budget(), Budget(units=2000, waist_m=200e-6, modulator_hz=1e9)
    assert budget.neuron_w == pytest.approx(16.69 * math.pi * 1e-8, rel=1e-3)
    assert wide.layer_w / budget.layer_w == pytest.approx(8)
    assert wide.operation_j / budget.operation_j == pytest.approx(2)
    assert wide.operations_per_s / budget.operations_per_s == pytest.approx(0.4)
    assert budget.atoms_operations_per_s * budget.operation_j == pytest.approx(budget.layer_w)
    assert Line(780e-9, 12e6).saturation_w_m2 / Line(780e-9, 6e6).saturation_w_m2 == pytest.approx(2)


def test_each_published_number_has_its_row() -> None:
    rows = {row.what: row for row in guo_appc.rows(QUICK, {})}
    published = {what: (row.paper, row.unit) for what, row in rows.items() if row.paper is not None}
    assert list(published.values()) == [
        (16.6, "uW/mm2"), (0.5, "uW"), (0.5, "mW"), (10.0, "pJ"), (10.0, "aJ"), (1e16, "1/s"), (1e19, "1/(s W)"),
    ]  # fmt: skip
    inside = ["saturation power of a neuron", "power of a layer", "energy of a forward pass", "energy of a multiply-accumulate"]
    assert [rows[what].verdict for what in inside] == ["within"] * 4
    assert rows["saturation intensity"].verdict == "other"
    assert "16.5 uW/mm2" in guo_appc.notes(QUICK, {})[0]


def test_what_the_bench_reaches_comes_from_its_steps() -> None:
    rows = {row.what: row.mean for row in guo_appc.rows(QUICK, {"digital error": step(0.05, 128, 2)})}
    assert rows["shots a second, computed error, 50 us a shot"] == pytest.approx(2560)
    assert rows["updates of the weights a second, computed error, 50 us a shot"] == pytest.approx(20)
    products = 784 * 1000 + 1000 * 1000 + 1000 * 10
    assert rows["operations a second, forward, computed error, 50 us a shot"] == pytest.approx(64 * products / 0.05)


@pytest.mark.slow
def test_a_step_of_a_small_network_takes_its_light_and_its_slms_settling(tmp_path: Path) -> None:
    settings = {"hidden": [6], "batch": 20, "steps": 3, "dwell_s": 1e-3, "error": "digital", "believe": "nominal"}
    found = step_rates.measured(Task(Job(guo_appc.WORK, settings, 0, {"data": "mini"}), tmp_path, lambda *_: None))
    assert (found["steps"], found["shots"], found["tables"], found["sizes"]) == (3, 40, 2, [784, 6, 10])
    settled_s = found["bench_s"] - 40 * 1e-3
    assert 0.05 < settled_s < 0.06  # macropixels settle for 50 ms, and wires take their time


def test_a_note_says_what_a_step_is_made_of() -> None:
    found = {"digital error": step(0.06, 128, 2), "interference": step(0.057, 64, 1)}
    found |= {"short shots": step(0.050 + 64e-4, 64, 1), "large batches": step(0.050 + 1024e-4, 1024, 1)}
    note = guo_appc.notes(QUICK, found)[-1]
    assert "64 images takes 60.0 ms, 6.4 ms of them light" in note
    assert "50.0 ms are left" in note
    assert "100 us an image" in note
    assert len(guo_appc.notes(QUICK, {})) == 2
