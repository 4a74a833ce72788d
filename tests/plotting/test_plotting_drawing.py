"""What is on the axes: read back from them, not from pixels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from large_runs import large_run
from small_runs import COUNTS, LABELS, READ, ROWS, small_run

from labonn.errors import LabonnError
from labonn.plotting import comparing, hardware_kinds, parameter_kinds, training_kinds
from labonn.plotting.confusion import binomial_error, counts_of, draw_confusion
from labonn.plotting.files import new_figure
from labonn.plotting.kinds import KINDS, draw
from labonn.plotting.look import INK, Look, length_mm, looking
from labonn.plotting.neurons import Neurons, draw_neurons
from labonn.plotting.parameters import draw_histogram, grids_of
from labonn.plotting.past import Past
from labonn.plotting.ports import draw_detector
from labonn.plotting.wanted import Wanted
from labonn.record import open_record
from labonn.record.layouts import Layout

LOOK = Look(dpi=50)


@pytest.fixture
def figure() -> Iterator[Any]:
    with looking(LOOK):
        yield new_figure(LOOK)


@pytest.fixture(scope="module")
def chip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return large_run(tmp_path_factory.mktemp("chip"), 400)


def lines_of(axes: Any) -> dict[str, Any]:
    return {line.get_label(): line for line in axes.get_lines()}


def test_a_learning_curve_has_the_numbers_of_the_metrics(tmp_path: Path, figure: Any) -> None:
    with Past(small_run(tmp_path)) as past:
        training_kinds.learning(figure, past, Wanted("epochs"))
    above, below = figure.axes
    loss, accuracy = above.get_lines()[0], lines_of(below)["validation"]
    assert loss.get_xdata().tolist() == [1, 2, 3]
    assert loss.get_ydata().tolist() == [row["train_loss"] for row in ROWS]
    np.testing.assert_allclose(accuracy.get_ydata(), [20, 60, 50])
    assert (below.get_xlabel(), below.get_ylabel(), above.get_ylabel()) == ("epoch", "accuracy (%)", "training loss")


def test_the_confusion_matrix_is_that_of_a_count_by_hand(tmp_path: Path, figure: Any) -> None:
    outputs = np.eye(3)[READ]
    assert counts_of(outputs, LABELS).tolist() == COUNTS
    axes = figure.subplots()
    draw_confusion(axes, counts_of(outputs, LABELS))
    np.testing.assert_allclose(axes.images[0].get_array(), [[50, 50, 0], [0, 200 / 3, 100 / 3], [40, 0, 60]])
    assert sorted(text.get_text() for text in axes.texts) == ["33", "40", "50", "50", "60", "67"]


def test_outputs_that_are_no_numbers_are_read_as_nothing() -> None:
    outputs = np.eye(3)[READ]
    outputs[3, 0] = np.nan
    assert counts_of(outputs, LABELS).sum() == 9
    assert counts_of(outputs, LABELS)[1].tolist() == [0, 1, 1]


@pytest.mark.parametrize(("share", "count", "error"), [(0.5, 100, 0.05), (0.9, 1000, 0.0094868), (1.0, 99, 0.005), (0.0, 99, 0.005)])
def test_errors_of_shares_are_binomial_and_never_nothing(share: float, count: int, error: float) -> None:
    assert binomial_error(share, count) == pytest.approx(error, rel=1e-4)


def test_outputs_of_a_test_image_stand_beside_it_and_other_numbers_are_refused(tmp_path: Path, figure: Any) -> None:
    folder = small_run(tmp_path)
    with Past(folder) as past, np.load(folder / "test.npz") as kept:
        training_kinds.outputs(figure, past, Wanted(image=1))
        picture, bars = figure.axes
        assert picture.images[0].get_array().tolist() == kept["images"][1].tolist()
        np.testing.assert_allclose([bar.get_height() for bar in bars.patches], kept["outputs"][1])
        assert bars.get_title() == "0 read as 1"
        with pytest.raises(LabonnError, match=r"--image 10: its test has images 0 to 9"):
            training_kinds.outputs(figure, past, Wanted(image=10))


def test_a_histogram_counts_every_parameter_and_shows_limits(figure: Any) -> None:
    axes, values = figure.subplots(), np.linspace(-0.15, 0.2, 36)
    draw_histogram(axes, values, (-0.2, 0.2))
    assert sum(patch.get_height() for patch in axes.patches) == 36
    assert sorted(float(line.get_xdata()[0]) for line in axes.get_lines()) == [-0.2, 0.2]


def test_a_coupler_is_on_both_of_its_ports_in_the_map_and_an_amplifier_on_one() -> None:
    layout = Layout("couplers", "rad", [("1a", 3), ("amp1", 2)], [0, 0, 1, 0, 0], [0, 2, 1, 0, 1], -1, 1)
    (first, mesh), (second, amplifiers) = grids_of(layout, np.array([0.1, 0.2, 0.3, 0.4, 0.5]))
    nan = np.nan
    assert (first, second) == ("1a", "amp1")
    np.testing.assert_array_equal(mesh, [[0.1, nan], [0.1, 0.3], [0.2, 0.3], [0.2, nan]])
    assert amplifiers.tolist() == [[0.4], [0.5]]


def test_the_map_of_a_run_has_the_last_values_on_record(chip: Path, figure: Any) -> None:
    with Past(chip) as past, open_record(chip) as record:
        parameter_kinds.chip_map(figure, past, Wanted())
        newest = record.maps("theta", last=1)["values"][0]
    amplifiers = next(axes for axes in figure.axes if axes.get_xlabel() == "amp1")
    np.testing.assert_array_equal(np.asarray(amplifiers.images[0].get_array())[:, 0], newest[1176:1196])


def test_ports_are_drawn_between_their_limits_in_a_readable_unit(chip: Path, figure: Any) -> None:
    with Past(chip) as past, open_record(chip) as record:
        hardware_kinds.ports(figure, past, Wanted(port="gain"))
        every = record.commands("gain")
    (axes,) = figure.axes
    assert axes.get_ylabel() == "gain\n(mA)"
    limits = [float(line.get_ydata()[0]) for line in axes.get_lines() if line.get_linestyle() == ":"]
    np.testing.assert_allclose(sorted(limits), [0, 12])
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    np.testing.assert_allclose((band.min(), band.max()), (1e3 * every["min"].min(), 1e3 * every["max"].max()), rtol=1e-6)


def test_bins_at_the_end_of_a_detectors_range_have_another_colour(figure: Any) -> None:
    axes, counts = figure.subplots(), np.array([5, 9, 7, 3])
    draw_detector(axes, counts, -0.5, 1.0, (-1.0, 1.0), "V")
    everything, full = (patch.get_data().values for patch in axes.patches)
    assert everything.tolist() == counts.tolist()
    assert full.tolist() == [0, 0, 0, 3]


def test_neuron_inputs_that_were_kept_are_drawn_as_they_were_seen(figure: Any) -> None:
    seen = Neurons.of({"cell 1": np.array([[0.5, np.nan], [-0.5, 0.5]])}, np.tanh)
    kept = Neurons.kept(seen.arrays())
    assert kept is not None
    axes = figure.subplots()
    draw_neurons(axes, kept, INK)
    shares = axes.patches[0].get_data().values
    assert sorted(shares[shares > 0].round(3).tolist()) == [33.333, 66.667]
    curve = lines_of(figure.axes[1])["absorber g(z)"]
    np.testing.assert_allclose(curve.get_ydata(), np.tanh(curve.get_xdata()))


def test_runs_are_named_by_what_differs_and_means_by_how_many_they_are(tmp_path: Path, figure: Any) -> None:
    folders = [
        small_run(tmp_path, f"20260101T12000{place}Z-train_vapour_cell", seed=seed, options={"lr": rate})
        for place, (seed, rate) in enumerate([(0, 0.1), (1, 0.1), (0, 0.2)])
    ]
    runs = [Past(folder) for folder in folders]
    assert comparing.names_of(runs) == ["lr 0.1, seed 0", "lr 0.1, seed 1", "lr 0.2, seed 0"]
    assert comparing.names_of(runs[::2]) == ["lr 0.1", "lr 0.2"]
    comparing.accuracy(figure, runs, Wanted(mean=True))
    (axes,) = figure.axes
    assert list(lines_of(axes)) == ["lr 0.1 (2 runs)", "lr 0.2 (1 runs)"]


@pytest.mark.parametrize("what", sorted(KINDS))
def test_every_kind_draws_a_run_that_has_it_and_says_why_of_one_that_has_not(what: str, chip: Path, tmp_path: Path, figure: Any) -> None:
    empty = tmp_path / "20260101T120000Z-x"
    empty.mkdir()
    (empty / "settings.json").write_text("{}", encoding="utf-8")
    with Past(chip) as past, Past(small_run(tmp_path)) as small, Past(empty) as nothing:
        for one in (past, small):
            if not KINDS[what].missing(one):
                draw(figure, what, [one], Wanted())
                assert figure.axes
                figure.clear()
        with pytest.raises(LabonnError, match=rf"{what} cannot be drawn: .+; of this run can be drawn: nothing"):
            draw(figure, what, [nothing], Wanted())


@pytest.mark.parametrize(("text", "mm"), [("single", 85), ("double", 178), ("85mm", 85), ("3.4in", 86.36), ("9 cm", 90), ("72pt", 25.4)])
def test_lengths_are_millimetres(text: str, mm: float) -> None:
    assert length_mm(text) == pytest.approx(mm)


@pytest.mark.parametrize("text", ["85", "wide", "-3cm", "1mm", "2000 mm", "nan mm", ""])
def test_what_is_no_length_is_refused(text: str) -> None:
    with pytest.raises(LabonnError, match=r"no length|outside 20 to 1000 mm"):
        length_mm(text)
