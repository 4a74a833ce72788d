"""Training plans driven by hand: every table they yield is answered by a bench of plain numpy."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from labonn.channels import ChannelSpec, NumberedNames
from labonn.errors import ProcedureError
from labonn.gradients import Method, chop
from labonn.layers import Layers
from labonn.learning import Digits, Learned, Settings
from labonn.network import HEADROOM, Network
from labonn.optics import Optics
from labonn.shots import ShotTable, rows_of
from labonn.training import Training, accuracy, initial_weights, measure_dark, set_up, train_epoch
from labonn.training import test_best as measure_best

Array = NDArray[Any]
SIZES, DEPTH = (6, 5, 3), 2.0


def spec(count: int, lower: float = -10.0, upper: float = 10.0, step: float = 0.0) -> ChannelSpec:
    zero = np.zeros(1)
    return ChannelSpec(NumberedNames("ch", count), "V", np.full(1, lower), np.full(1, upper), np.full(1, step), zero)


def network(sizes: tuple[int, ...] = SIZES) -> Network:
    layers = Layers(sizes)
    specs = {port: spec(count) for port, count in layers.channels().items()} | {"gain": spec(layers.count, 0.0, 0.024)}
    specs |= {port: spec(m * n, -1, 1) for port, n, m in zip(layers.weights(), sizes, sizes[1:], strict=False)}
    return Network(layers, Optics(), specs, DEPTH, dtype=np.float64)


def digits(train: int = 30, validation: int = 8, test: int = 8) -> Digits:
    rng, edges = np.random.default_rng(4), np.cumsum([0, train, validation, test])
    labels = np.arange(edges[-1]) % 3
    images = rng.integers(0, 100, (edges[-1], 6))
    images[np.arange(edges[-1]), labels] += 140
    parts = [np.arange(a, b) for a, b in pairwise(edges)]
    return Digits(images.astype(np.uint8), labels, *parts)


class PaperBench:
    """Plays tables of a network with one hidden layer; remembers banks as memories do, and every table.

    Attributes:
        tables: as played. offset_v: of all detectors.
    """

    def __init__(self, offset_v: float = 0.0) -> None:
        self.banks: dict[str, Any] = {}
        self.tables: list[ShotTable] = []
        self.offset_v = offset_v

    def run(self, plan: Any) -> Any:
        readings: Any = None
        try:
            while True:
                table = plan.send(readings)
                self.tables.append(table)
                self.banks |= table.banks
                readings = self.play(table)
        except StopIteration as done:
            return done.value

    def field(self, port: str, table: ShotTable) -> Array:
        return np.asarray(np.sin(np.pi * rows_of(self.banks[port], table.orders[port]) / 7))

    def play(self, table: ShotTable) -> dict[str, Array]:
        ports = table.read or ()
        gains = np.exp(0.5 * (2.7225 * np.log((self.banks["gain"][0] + 1e-3) / 6.26e-3) - 1)) if "gain" in self.banks else np.zeros(2)
        found = {"output": np.zeros((table.shots, 3))}
        if "input" in table.orders and ports:
            w1, w2 = (gain * self.banks[f"weights{i}"].reshape(n, -1) for gain, i, n in zip(gains, (1, 2), (5, 3), strict=True))
            z = self.field("input", table) @ w1.T
            t = np.exp(-DEPTH / 2 / (1 + z**2))
            found["forward_out"], found["output"] = z * t, (z * t) @ w2.T
            if "error" in table.orders:
                found["backward_out"] = t * (2.0 * self.field("error", table) @ w2)
        return {port: 0.09 * found.get(port, np.zeros((table.shots, 5))) + self.offset_v for port in ports}


def nothing(*_: Any) -> None:
    """Neither watches nor fits ranges."""


def begun(settings: Settings, offset_v: float = 0.0) -> tuple[Training, PaperBench]:
    net, data, bench = network(), digits(), PaperBench(offset_v)
    training = Training.start(net, data, settings, Learned())
    bench.run(set_up(net, data, training.learned.weights))
    return training, bench


def literal(weights: list[Array], batches: list[Array], data: Digits, rate: float, gains: Array, optimizer: str) -> list[Array]:
    """Training with Eq. 5 in place of the derivative, weights clipped to the path gain where light goes through them."""
    weights = [w.copy() for w in weights]
    moments = [(np.zeros_like(w), np.zeros_like(w)) for w in weights]
    for t, rows in enumerate(batches, start=1):
        w1, w2 = (np.clip(w, -g, g) for w, g in zip(weights, gains, strict=True))
        x, target = data.images[rows] / 255, np.eye(3)[data.labels[rows]]
        z = x @ w1.T
        passed = np.exp(-DEPTH / 2 / (1 + z**2))
        error = (z * passed) @ w2.T - target
        gradients = [(passed * (error @ w2)).T @ x / len(rows), error.T @ (z * passed) / len(rows)]
        for i, g in enumerate(gradients):
            if optimizer == "sgd":
                weights[i] = weights[i] - rate * g
                continue
            m, v = moments[i]
            moments[i] = m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            weights[i] = weights[i] - rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return weights


def batches_of(bench: PaperBench) -> list[Array]:
    """Rows of the training steps, from the tables that sent errors back (peaks are measured without weights in play: 256 rows or all)."""
    return [np.asarray(table.orders["input"]) for table in bench.tables if "error" in table.orders]


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_an_epoch_on_a_perfect_bench_is_the_textbook_training(optimizer: str) -> None:
    settings = Settings(batch=7, learning_rate=0.05, optimizer=optimizer, seed=5)
    training, bench = begun(settings)
    start, gains = [w.copy() for w in training.learned.weights], training.network.gains.copy()
    bench.tables.clear()
    bench.run(train_epoch(training, nothing, nothing))
    batches = [rows for rows in batches_of(bench) if len(rows) <= 7]
    assert [len(rows) for rows in batches] == [7, 7, 7, 7, 2]
    assert sorted(np.concatenate(batches)) == list(range(30))
    wanted = literal(start, batches, training.digits, 0.05, gains, optimizer)
    for one, two in zip(training.learned.weights, wanted, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-7, atol=1e-10)
    assert training.learned.steps == 5


def test_every_epoch_has_its_own_order_and_the_seed_decides_on_it() -> None:
    orders = []
    for seed in (5, 5, 6):
        training, bench = begun(Settings(batch=30, seed=seed))
        for _ in range(2):
            bench.tables.clear()
            bench.run(train_epoch(training, nothing, nothing))
            orders.append(batches_of(bench)[-1].tolist())
    assert orders[0] == orders[2]
    assert orders[1] == orders[3]
    assert orders[0] != orders[1]
    assert orders[0] != orders[4]


def test_the_record_of_an_epoch_says_what_was_measured() -> None:
    training, bench = begun(Settings(batch=10, learning_rate=0.02))
    watched: list[tuple[int, float, float]] = []
    for _ in range(3):
        bench.run(train_epoch(training, lambda now, loss, hits: watched.append((now.steps, loss, hits)), nothing))
    metrics = training.learned.metrics
    assert [row["epoch"] for row in metrics] == [1, 2, 3]
    assert [row["steps"] for row in metrics] == [3, 6, 9]
    assert [steps for steps, _, _ in watched] == list(range(1, 10))
    assert [row["train_loss"] for row in metrics] == [watched[i][1] for i in (2, 5, 8)]
    assert metrics[2]["train_loss"] < metrics[0]["train_loss"]
    net, rows = training.network, training.digits.validation
    w1, w2 = net.displayed(training.learned.weights)
    z = training.digits.images[rows] / 255 @ w1.T
    outputs = (z * np.exp(-1 / (1 + z**2))) @ w2.T
    assert metrics[2]["validation_accuracy"] == np.mean(outputs.argmax(axis=1) == training.digits.labels[rows])


def test_ranges_are_fitted_before_an_epoch_and_often_at_first() -> None:
    training, bench = begun(Settings(batch=1))
    fitted: list[int] = []

    def fit(peaks: dict[str, Array]) -> None:
        fitted.append(training.learned.steps)
        assert set(peaks) == {"forward_out", "backward_out", "output"}
        assert all(volts.ndim == 1 and np.all(volts >= 0) for volts in peaks.values())

    for _ in range(4):
        bench.run(train_epoch(training, nothing, fit))
    assert fitted == [0, 10, 30, 30, 60, 90, 100]


def test_the_best_epoch_is_kept_as_it_was() -> None:
    learned = Learned()
    for epoch, (value, validated) in enumerate([(1.0, 0.5), (2.0, 0.8), (3.0, 0.8), (4.0, 0.7)], start=1):
        learned.weights = [np.full(2, value)]
        learned.keep({"epoch": epoch, "validation_accuracy": validated})
        learned.weights[0] += 100
    assert (learned.best_epoch, learned.best_accuracy, len(learned.metrics)) == (2, 0.8, 4)
    np.testing.assert_array_equal(learned.best[0], [2.0, 2.0])


def test_the_best_weights_are_shown_again_for_the_test_images() -> None:
    training, bench = begun(Settings(batch=10, learning_rate=0.05))
    bench.run(train_epoch(training, nothing, nothing))
    training.learned.weights[0][:] = 0.7
    hits, outputs, inputs = bench.run(measure_best(training.network, training.digits, training.learned))
    w1, w2 = training.learned.best
    z = training.digits.images[training.digits.test] / 255 @ w1.T
    np.testing.assert_allclose(outputs, (z * np.exp(-1 / (1 + z**2))) @ w2.T, atol=1e-9)
    assert hits == accuracy(outputs, training.digits.labels[training.digits.test])
    assert [one.shape for one in inputs] == [(8, 5)]


def test_offsets_are_measured_dark_and_taken_off_every_reading() -> None:
    clean, dirty = (begun(Settings(batch=10, learning_rate=0.02), offset_v) for offset_v in (0.0, 0.013))
    for training, bench in (clean, dirty):
        bench.run(measure_dark(training.network))
        bench.run(train_epoch(training, nothing, nothing))
    for one, two in zip(clean[0].learned.weights, dirty[0].learned.weights, strict=True):
        np.testing.assert_allclose(two, one, atol=1e-10)
    assert all(np.allclose(volts, 0.013) for volts in dirty[0].network.dark.values())


def test_the_signs_of_errors_alternate_so_that_offsets_cancel() -> None:
    np.testing.assert_array_equal(chop(5, np.float32)[:, 0], [1, -1, 1, -1, 1])


@pytest.mark.parametrize("depth", [10.0, 30.0])
def test_initial_weights_are_those_of_the_paper(depth: float) -> None:
    weights = initial_weights((200, 100, 50), depth, 1)
    assert [w.shape for w in weights] == [(100, 200), (50, 100)]
    assert all(w.dtype == np.float32 for w in weights)
    assert weights[0].mean() == pytest.approx(0, abs=0.003)
    assert weights[0].std() == pytest.approx(0.1, rel=0.02)


def test_initial_weights_of_deep_cells_have_two_peaks() -> None:
    (weights,) = initial_weights((400, 300), 31.0, 1)
    assert weights.mean() == pytest.approx(0, abs=0.003)
    assert weights.std() == pytest.approx(0.15 * 2**0.5, rel=0.02)
    # of N(0.15, 0.15) and N(-0.15, 0.15) 16.1 % lie within 0.05 of zero, of one normal distribution of the same width 18.6 %
    assert np.mean(np.abs(weights) < 0.05) == pytest.approx(0.161, abs=0.005)


def test_path_gains_leave_room_and_change_only_when_they_must() -> None:
    net = network()
    weights = [np.full((5, 6), 0.4), np.full((3, 5), -0.1)]
    assert net.fit_gains(weights)
    np.testing.assert_allclose(net.gains, [0.4 * HEADROOM, 0.1 * HEADROOM])
    net.specs = {**net.specs, "gain": spec(2, 0.0, 0.024, 0.024 / 65535)}
    current = np.asarray(net.currents())
    np.testing.assert_allclose(current * 65535 / 0.024, np.rint(current * 65535 / 0.024), atol=1e-6)
    np.testing.assert_allclose(net.gains, net.optics.amplifier.amplitude(current[0]))
    assert not net.fit_gains([weights[0] * 1.2, weights[1] * 0.6])
    assert net.fit_gains([weights[0] * 1.23, weights[1]])
    assert net.fit_gains([weights[0], weights[1] * 0.4])


def test_a_weight_beyond_what_the_amplifier_can_is_refused() -> None:
    with pytest.raises(ProcedureError, match=r"weights2: a weight of 5 needs more than the 3\.9\d* of gain/ch1 at its upper limit"):
        network().fit_gains([np.ones((5, 6)), np.full((3, 5), 5.0)])


def test_weights_beyond_the_path_gain_are_shown_at_full_field() -> None:
    net = network()
    net.gains = np.array([0.5, 2.0])
    banks = net.fields([np.array([[0.25, -0.75, 0.5]]), np.array([[1.0, 3.0]])])
    np.testing.assert_allclose(np.asarray(banks["weights1"]), [[0.5, -1, 1]])
    np.testing.assert_allclose(np.asarray(banks["weights2"]), [[0.5, 1]])


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Settings(epochs=0), "--epochs 0: at least 1"),
        (lambda: Settings(batch=0), "--batch 0: at least 1"),
        (lambda: Settings(optimizer="lion"), "--optimizer lion: one of adam, sgd"),
        (lambda: Settings(method=Method("none")), "--derivative none: one of optical, exact, corrected"),
        (lambda: Settings(method=Method("exact", "none")), "--error none: one of digital, optical"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make: Callable[[], Settings], told: str) -> None:
    with pytest.raises(ProcedureError, match=told):
        make()


def test_all_of_the_images_and_one_hot_targets_go_into_the_memories() -> None:
    training, bench = begun(Settings())
    images = np.sin(np.pi * np.asarray(bench.banks["input"]) / 7)
    np.testing.assert_allclose(images, training.digits.images / 255, atol=1e-12)
    np.testing.assert_allclose(np.sin(np.pi * np.asarray(bench.banks["target"]) / 7), np.eye(3), atol=1e-12)
    np.testing.assert_allclose(bench.banks["feedback"], [[3.5]])
