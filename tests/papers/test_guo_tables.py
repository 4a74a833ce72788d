"""Tables of the experiments on Guo et al.'s networks: the paper's numbers, paired differences, and what has to be said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from guo_hand_made import outcomes, whole

from labonn.reproduce import Choices
from procedures.papers import (
    guo_ablation,
    guo_bench,
    guo_cells,
    guo_cnn,
    guo_fig4a,
    guo_fig4b,
    guo_fig4b_emnist,
    guo_fig4b_kmnist,
    guo_fig5,
    guo_table1,
)

TABLE_1 = [  # as printed: noise %, deviation %, bits, accuracy and its error
    (0, 0, 32, 97.3, 0.1), (5, 0, 32, 96.7, 0.2), (10, 0, 32, 95.8, 0.3), (0, 5, 32, 97.1, 0.3), (0, 10, 32, 97.1, 0.1),
    (0, 20, 32, 97.1, 0.3), (0, 0, 8, 96.0, 0.4), (0, 0, 6, 93.5, 0.8), (5, 10, 8, 96.1, 0.2),
]  # fmt: skip


def test_table_1_has_the_papers_lines_with_their_imperfections_twice(tmp_path: Path) -> None:
    choices = whole(tmp_path)
    cases = guo_table1.cases(choices)
    rows = guo_table1.rows(choices, outcomes(tmp_path / "runs", cases, {}))
    for by in ("drivers", "twin"):
        told = [(row.paper, row.paper_sd) for row in rows if row.what.endswith(f", {by}")]
        assert told == [line[3:] for line in TABLE_1]
    for case, (noise, deviation, bits, *_) in zip(guo_table1.LINES, TABLE_1, strict=True):
        flaws = cases[f"twin {case}"][0].settings.get("imperfections", {})
        assert (flaws.get("noise", 0) * 100, flaws.get("deviation", 0) * 100, flaws.get("bits", 32)) == pytest.approx(
            (noise, deviation, bits)
        )
        (_, options), *_ = cases[f"bench {case}"][0].settings["steps"]
        wanted = {f"modes.{name}={value / 100:g}" for name, value in (("noise", noise), ("deviation", deviation)) if value}
        assert set(options.get("simulate", ())) == wanted
        assert options.get("bits", 32) == bits


def test_what_imperfections_cost_is_told_by_seed(tmp_path: Path) -> None:
    choices = whole(tmp_path)
    cases = guo_table1.cases(choices)
    found = outcomes(tmp_path / "runs", cases, {"twin ideal": [0.96, 0.97, 0.98], "twin noise10": [0.95, 0.955, 0.96]})
    told = guo_table1.notes(choices, found)
    assert any("twin: noise 5 %" in one and "noise 10 % -1.50 +- 0.50" in one for one in told)


def test_rows_carry_data_epochs_and_hardware_evaluations(tmp_path: Path) -> None:
    choices = whole(tmp_path)
    cases = guo_fig4a.cases(choices)
    rows = guo_fig4a.rows(choices, outcomes(tmp_path / "runs", cases, {"optical": [0.98, 0.981, 0.979]}))
    optical, linear = rows[0], next(row for row in rows if row.paper == 85.7)
    assert (optical.mean, optical.verdict, optical.evaluations) == (pytest.approx(98.0), "within", 1000)
    assert optical.data == "mnist: 60,000 training, 5,000 validation, 5,000 test images; 50 epochs"
    assert linear.data.endswith("; 50 epochs"), "as the paper's, where it has a number"
    assert next(row for row in rows if row.what.endswith("alpha0 = 5")).data.endswith("; 20 epochs")
    assert (linear.paper_sd, linear.evaluations, linear.by) == (0.4, None, "twin")
    assert next(row for row in rows if row.unit == "points").ours == pytest.approx([8.0, 8.1, 7.9])


def test_the_curve_names_its_best_depth(tmp_path: Path) -> None:
    choices = whole(tmp_path)
    found = outcomes(tmp_path / "runs", guo_fig4a.cases(choices), {"depth 10": [0.95] * 3, "depth 20": [0.953] * 3})
    assert any("best depth of the curve is 20, 95.30 %; within 0.5 points: 10, 20" in one for one in guo_fig4a.notes(choices, found))


def test_deep_cells_from_two_starts_are_told_with_when_they_began_to_learn(tmp_path: Path) -> None:
    choices = whole(tmp_path)
    cases = guo_fig4a.cases(choices)
    assert [cases[start][0].settings["start"] for start in ("peaks", "normal")] == ["peaks", "normal"]
    reached = {"peaks": [0.96] * 3, "peaks exact": [0.97] * 3, "normal": [0.98] * 3, "normal exact": [0.98] * 3}
    found = outcomes(tmp_path / "runs", cases, reached)
    for seed, one in enumerate(found["normal"]):
        assert one.run is not None
        late = [0.1] * (20 + seed) + [0.9, 0.98]
        (one.run / "metrics.jsonl").write_text(
            "".join(json.dumps({"epoch": i, "validation_accuracy": x}) + "\n" for i, x in enumerate(late, 1))
        )
    (note,) = [one for one in guo_fig4a.notes(choices, found) if "At alpha0 = 50" in one]
    assert "optical derivative, from two peaks: 96.00" in note
    assert "optical derivative, from one peak: 98.00 +- 0.00 %, above 20 % after 21 to 23 epochs" in note


def test_a_part_of_a_data_set_says_so_and_a_whole_one_does_not(tmp_path: Path) -> None:
    choices = whole(tmp_path, "kmnist")
    cases = guo_fig4b_kmnist.cases(choices)
    found = outcomes(tmp_path / "runs", cases, {})
    assert all(row.remark == "" for row in guo_fig4b_kmnist.rows(choices, found))
    found["sa"][0].result["images"]["train"] = 8000  # type: ignore[index]
    row, *_ = guo_fig4b_kmnist.rows(choices, found)
    assert row.remark == "partial data: 8,000 of the paper's 60,000 training images"


def test_a_data_set_that_is_not_there_has_no_jobs_and_a_note(tmp_path: Path) -> None:
    choices = whole(tmp_path)
    assert guo_fig4b_emnist.cases(choices) == {}
    assert guo_fig4b_emnist.rows(choices, {}) == []
    (note,) = guo_fig4b_emnist.notes(choices, {})
    assert "EMNIST is not there" in note
    assert "emnist" in note


def test_absorbers_are_compared_with_every_digital_network(tmp_path: Path) -> None:
    choices = whole(tmp_path)
    reached = {"sa": [0.99, 0.992, 0.994], "sa-small": [0.995], "tanh": [0.99]}
    found = outcomes(tmp_path / "runs", guo_cnn.cnn_cases(choices, guo_fig4b.DATA), reached)
    rows = {row.what: row for row in guo_fig4b.rows(choices, found)}
    assert rows["ReLU, max-pool, MSE (digital)"].paper == 99.5
    assert any("SA 99.20 +- 0.20 %" in note and "tanh 99.00 % (+0.20)" in note for note in guo_fig4b.notes(choices, found))
    assert any("SA from small dense weights 99.50 %" in note and "tanh 99.00 % (+0.50)" in note for note in guo_fig4b.notes(choices, found))


def test_gain_has_the_papers_number_on_bench_and_twin(tmp_path: Path) -> None:
    choices = whole(tmp_path)
    found = outcomes(tmp_path / "runs", guo_fig5.cases(choices), {"bench": [0.97], "twin": [0.971, 0.972, 0.973]})
    rows = [row for row in guo_fig5.rows(choices, found) if row.paper == 97.3]
    assert [row.by for row in rows] == ["drivers, ideal bench", "twin"]
    assert [row.verdict for row in rows] == ["", "within"], "one seed says nothing"
    assert any("97.00 and 97.10 %" in note for note in guo_fig5.notes(choices, found))


def test_corrections_are_compared_with_the_optical_derivative_of_the_same_cell(tmp_path: Path) -> None:
    choices = whole(tmp_path)
    found = outcomes(tmp_path / "runs", guo_cells.cases(choices), {"doppler optical": [0.90, 0.91, 0.92], "doppler corrected": [0.93] * 3})
    won = next(row for row in guo_cells.rows(choices, found) if row.what.startswith("Doppler cell: measured correction less"))
    assert won.ours == pytest.approx([3, 2, 1])
    assert won.unit == "points"


def test_parts_lose_alone_and_win_when_they_are_off(tmp_path: Path) -> None:
    choices = whole(tmp_path)
    numbers = {"strong none": [0.93] * 3, "strong all": [0.2] * 3, "strong only ovens": [0.90] * 3, "strong without slm": [0.5] * 3}
    found = outcomes(tmp_path / "runs", guo_ablation.cases(choices), numbers)
    rows = {row.what: row for row in guo_ablation.rows(choices, found)}
    assert rows["strong defects: ovens alone, points lost"].mean == pytest.approx(3.0)
    assert rows["strong defects: SLMs off, points won"].mean == pytest.approx(30.0)
    assert rows["usual imperfections: laser alone, points lost"].mean == pytest.approx(0.0)
    assert not any(what.startswith("usual") and "off" in what for what in rows), "they are not done"


def test_benches_are_compared_with_the_ideal_one(tmp_path: Path) -> None:
    choices = whole(tmp_path)
    found = outcomes(
        tmp_path / "runs", guo_bench.cases(choices), {"ideal": [0.93] * 3, "calibrated": [0.925, 0.93, 0.935], "nominal": [0.2] * 3}
    )
    rows = {row.what: row for row in guo_bench.rows(choices, found)}
    assert rows["784-64-64-10: calibrated less ideal bench, the same seed"].ours == pytest.approx([-0.5, 0, 0.5])
    assert rows["784-128-10, every defect, modulators, SLMs and detectors calibrated"].remark, "the paper has no such bench"
    assert any("with nominal beliefs -73.00" in note for note in guo_bench.notes(choices, found))


@pytest.mark.parametrize("module", [guo_fig4a, guo_fig4b, guo_table1, guo_fig5, guo_cells, guo_bench, guo_ablation])
def test_tables_and_notes_can_be_made_before_any_job_is_finished(module: object, tmp_path: Path) -> None:
    choices = Choices(quick=True)
    rows = module.rows(choices, {})  # type: ignore[attr-defined]
    assert all(not row.ours for row in rows)
    assert all(module.notes(choices, {}))  # type: ignore[attr-defined]


def test_convolutions_by_light_stand_beside_the_twin_on_the_same_images(tmp_path: Path) -> None:
    choices = whole(tmp_path)
    found = outcomes(tmp_path / "runs", guo_fig4b.cases(choices), {})
    by_light = {"measured_accuracy": 0.95, "twin_accuracy": 0.96, "tuned_accuracy": 0.97, "tuning_steps": 60, "images_read_otherwise": 4}
    by_light |= {"activation_rms_error": [0.01, 0.02], "gradient_cosine": [0.999, 0.99]}
    found["light"][0].result.update(by_light)  # type: ignore[attr-defined]
    del found["light ideal"]
    rows = guo_fig4b.rows(choices, found)[-3:]
    assert [row.mean for row in rows] == pytest.approx([95, -1, 97])
    assert all((row.evaluations, row.by) == (1000, "drivers, usual imperfections, light measured before") for row in rows)
    assert "off by 1.00 and 2.00 % rms" in guo_fig4b.notes(choices, found)[-1]
