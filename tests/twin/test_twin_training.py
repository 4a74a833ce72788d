"""Trainings of the twin: they learn, the same seed gives the same bits, and a resumed one goes on as if nothing had happened."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from labonn.data import load
from labonn.errors import ProcedureError
from labonn.optimizers import adam
from labonn.twin import (
    CNN,
    Absorber,
    Engine,
    Imperfections,
    Method,
    Part,
    Pictures,
    Recipe,
    Relu,
    Result,
    network,
    saved,
    start_weights,
    train,
)
from labonn.twin.layers import Layer
from labonn.twin.state import begin

Array = NDArray[Any]
ROOT = Path(__file__).parents[2]
SPOILT = Method(imperfections=Imperfections(0.05, 0.1, 8))
DROPPING = "784-drop0.2-32-drop0.5-10"
SMALL = "28x28-5x5x4-pool-5x5x6-pool-16-10"


def pictures(count: int = 640) -> Pictures:
    whole = Pictures.of(load("mini"), 0)
    sizes = ((whole.train, count), (whole.validation, 100), (whole.test, 100))
    return Pictures(*(Part(part.images[:size], part.labels[:size]) for part, size in sizes))


def trained(text: str = "784-32-10", layer: Layer | None = None, **changes: Any) -> Result:
    keywords = {key: changes.pop(key) for key in ("threads", "part", "values", "on_epoch") if key in changes}
    recipe = replace(Recipe(epochs=2, learning_rate=2e-3), **changes)
    return train(network(text, layer or Absorber(5.0)), pictures(), recipe, **keywords)


def same(one: Result, two: Result) -> bool:
    curves = all((one.curves[name] == two.curves[name]).all() for name in one.curves)
    return bool((one.weights == two.weights).all()) and curves and one.test_accuracy == two.test_accuracy


def test_a_small_network_of_absorbers_learns_the_shipped_digits() -> None:
    result = train(network("784-128-10", Absorber(10.0)), Pictures.of(load("mini")), Recipe(epochs=12, learning_rate=3e-3))
    assert result.test_accuracy > 0.85
    assert result.curves["train_loss"][-1] < 0.5 * result.curves["train_loss"][0]
    assert result.test_error == pytest.approx(np.sqrt(result.test_accuracy * (1 - result.test_accuracy) / 500))
    assert result.best_epoch == 1 + result.curves["validation_accuracy"].argmax()


def test_a_digital_network_learns_them_too() -> None:
    method = Method("exact", "cross_entropy")
    assert train(network("784-64-10", Relu()), Pictures.of(load("mini")), Recipe(epochs=3, method=method)).test_accuracy > 0.88


@pytest.mark.slow
def test_the_convolutional_networks_learn_them_too() -> None:
    optical = train(network(CNN, Absorber(10.0)), Pictures.of(load("mini")), Recipe(epochs=12, method=Method(white=5.0)), threads=2)
    digital = train(network(CNN, Relu()), Pictures.of(load("mini")), Recipe(epochs=4, method=Method("exact", "cross_entropy")), threads=2)
    assert optical.test_accuracy > 0.88
    assert digital.test_accuracy > 0.95


@pytest.mark.parametrize("method", [Method(), SPOILT], ids=["ideal", "spoilt"])
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(method: Method) -> None:
    assert same(trained(method=method), trained(method=method))
    assert not same(trained(method=method), trained(method=method, seed=1))


@pytest.mark.parametrize("method", [Method(white=3.0), replace(SPOILT, white=3.0)], ids=["ideal", "spoilt"])
def test_the_number_of_threads_changes_no_bit(method: Method) -> None:
    one, *others = (trained(SMALL, epochs=1, method=method, threads=threads) for threads in (1, 2, 3))
    assert all(same(one, other) for other in others)


def test_parts_of_another_size_give_the_same_gradient_up_to_rounding() -> None:
    net, data = network(SMALL, Absorber(5.0)), pictures()
    weights = net.split(start_weights(net, 0))
    rows = np.arange(50)
    found = [
        Engine(net, Method(white=3.0), part=part).gradient(weights, data.train.images, data.train.labels, rows) for part in (64, 16, 7)
    ]
    for other in found[1:]:
        np.testing.assert_allclose(other.flat, found[0].flat, atol=2e-6 * np.abs(found[0].flat).max())
        assert other.loss == pytest.approx(found[0].loss, rel=1e-6)
        assert other.hits == found[0].hits


def digest() -> str:
    return hashlib.sha256(trained(method=SPOILT).weights.tobytes()).hexdigest()


@pytest.mark.slow
def test_another_process_computes_the_same_bits() -> None:
    code = "import sys; sys.path.insert(0, 'tests/twin'); from test_twin_training import digest; print(digest())"
    for _ in range(2):
        run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=100)
        assert run.stdout.strip() == digest()


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_resumed_training_is_the_uninterrupted_one_to_the_last_bit(optimizer: str) -> None:
    kept: list[dict[str, Any]] = []
    changes: dict[str, Any] = {"optimizer": optimizer, "method": SPOILT, "epochs": 4}
    whole = trained(**changes, on_epoch=lambda state: kept.append(saved(state)))
    assert [len(values["curves"]["train_loss"]) for values in kept] == [1, 2, 3, 4]
    for values in (kept[1], kept[3]):
        assert same(whole, trained(**changes, values=values))


def test_a_saved_state_is_of_plain_values() -> None:
    def plain(value: Any) -> bool:
        if isinstance(value, dict):
            return all(isinstance(key, str) and plain(item) for key, item in value.items())
        if isinstance(value, list):
            return all(map(plain, value))
        return isinstance(value, np.ndarray) or json.dumps(value) != ""

    kept: list[dict[str, Any]] = []
    trained(method=SPOILT, on_epoch=lambda state: kept.append(saved(state)))
    assert plain(kept[0])


def test_a_state_of_another_training_is_refused() -> None:
    kept: list[dict[str, Any]] = []
    trained(on_epoch=lambda state: kept.append(saved(state)))
    for changes in ({"text": "784-31-10"}, {"optimizer": "sgd"}, {"method": SPOILT}):
        with pytest.raises(ProcedureError, match="is not one of this network and recipe"):
            trained(**changes, values=kept[0])


def test_steps_are_those_of_the_printed_adam() -> None:
    """Kingma & Ba (2015), algorithm 1, in float64."""
    net, data = network("784-8-10", Absorber(5.0)), pictures(192)
    result = train(net, data, Recipe(epochs=1, learning_rate=0.01), dtype=np.float64)
    theta = start_weights(net, 0, dtype=np.float64)
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    order = np.random.default_rng([0, 1]).permutation(192)
    engine = Engine(net, Method(), dtype=np.float64)
    for t in range(1, 4):
        rows = order[64 * t - 64 : 64 * t]
        g = engine.gradient(net.split(theta), data.train.images, data.train.labels, rows).flat.copy()
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        theta = theta - 0.01 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    np.testing.assert_allclose(result.weights, theta, rtol=1e-7)


def test_one_flat_array_makes_the_steps_of_many_small_ones() -> None:
    rng, shapes = np.random.default_rng(0), [(3, 4), (2, 3)]

    def split(flat: Array) -> list[Array]:
        return [flat[:12].reshape(shapes[0]), flat[12:].reshape(shapes[1])]

    flat, optimizer = rng.normal(size=18), adam(0.01)
    many = [part.copy() for part in split(flat)]
    one_state, many_state = optimizer.init([flat]), optimizer.init(many)
    for _ in range(5):
        g = rng.normal(size=18)
        many, many_state = optimizer.update([part.copy() for part in split(g)], many_state, many)
        _, one_state = optimizer.update([g], one_state, [flat])
    for one, two in zip(split(flat), many, strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_training_starts_from_the_widths_of_its_recipe() -> None:
    net = network("784-16-10", Absorber(5.0))
    engine = Engine(net, Method())
    for changes in ({"spread": 0.01}, {"spread": (0.02, 0.3)}, {"start": "peaks", "centre": 0.05, "spread": 0.15}):
        recipe = replace(Recipe(seed=3), **changes)
        wanted = start_weights(net, 3, recipe.start, spread=recipe.spread, centre=recipe.centre)
        np.testing.assert_array_equal(begin(recipe, engine).weights, wanted)
        assert not (wanted == start_weights(net, 3)).all()


def test_dropout_of_nothing_changes_no_bit_and_of_something_does() -> None:
    plain, none, some = (trained(text, epochs=1) for text in ("784-32-10", "784-32-drop0-10", "784-32-drop0.3-10"))
    assert (plain.weights == none.weights).all()
    assert not (plain.weights == some.weights).all()


def test_dropout_is_the_same_for_the_same_seed_and_whatever_the_threads() -> None:
    results = [trained(DROPPING, part=16, threads=threads) for threads in (1, 2, 3)]
    assert all(same(results[0], other) for other in results[1:])
    assert not same(results[0], trained(DROPPING, part=16, seed=1))


def test_a_resumed_training_with_dropout_is_the_uninterrupted_one_to_the_last_bit() -> None:
    kept: list[dict[str, Any]] = []
    whole = trained(DROPPING, epochs=3, part=16, on_epoch=lambda state: kept.append(saved(state)))
    assert same(whole, trained(DROPPING, epochs=3, part=16, values=kept[1]))


def test_the_best_epoch_is_the_first_of_equals_and_its_weights_are_reported() -> None:
    kept: list[dict[str, Any]] = []
    result = trained(epochs=5, on_epoch=lambda state: kept.append(saved(state)))
    np.testing.assert_array_equal(result.weights, kept[result.best_epoch - 1]["weights"])


def test_brighter_inputs_are_larger_fields() -> None:
    net, data = network("784-10", Relu()), pictures()
    weights = net.split(start_weights(net, 0))
    dim, bright = (Engine(net, Method(white=white)).outputs(weights, data.test.images) for white in (1.0, 5.0))
    np.testing.assert_allclose(bright, 5 * dim, rtol=1e-4, atol=1e-5)


def broken() -> Iterator[tuple[Any, str]]:
    yield lambda: trained("783-10"), r"train images: images \(640, 784\) uint8.*wanted are \(N, 783\) uint8"
    yield lambda: trained("784-9"), "labels 0 to 9; the network has 9 outputs"
    yield lambda: Recipe(optimizer="lbfgs"), "optimizer 'lbfgs': one of adam, sgd"
    yield lambda: Recipe(method=Method("magic")), "derivative 'magic': one of optical, exact, corrected, or a function of z"
    yield lambda: Recipe(method=Method(error="optical", loss="cross_entropy")), "interference gives z - t, not a softmax"
    yield lambda: Recipe(epochs=0), "epochs 0: at least 1"
    yield lambda: Recipe(method=Method(white=0)), "white 0: a positive field"


@pytest.mark.parametrize(("act", "message"), list(broken()))
def test_what_cannot_be_trained_is_refused(act: Any, message: str) -> None:
    with pytest.raises(ProcedureError, match=message):
        act()


def test_a_mini_batch_larger_than_the_engine_was_made_for_is_refused() -> None:
    net, data = network("784-10", Relu()), pictures()
    weights = net.split(start_weights(net, 0))
    with pytest.raises(ProcedureError, match="a mini-batch of 33 images; this engine was made for up to 32"):
        Engine(net, Method(), batch=32).gradient(weights, data.train.images, data.train.labels, np.arange(33))


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid")
def test_a_training_that_has_run_away_says_so() -> None:
    with pytest.raises(ProcedureError, match=r"epoch 1: the loss is (nan|inf); a smaller learning rate may help"):
        trained("784-8-8-10", Absorber(2.0, "gain"), optimizer="sgd", learning_rate=1e6)
