"""Noise and uneven modes of Guo et al. (2021, App. D, table 1) on the bench are those of the twin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from labonn.twin import Absorber, Engine, Imperfections, Method, network
from labonn.twin.imperfections import Flaws

Array = NDArray[Any]
SIZES, DEPTH = (20, 8, 6, 4), 4.0
TEXT = "20-8-6-4"


def settings(**modes: float) -> Callable[[str], str]:
    """The bench file's text with these settings, which stay with --ideal."""
    lines = "".join(f"{key} = {value}\n" for key, value in modes.items())
    return lambda text: f'{text}ideal_except = ["modes"]\n[simulation.modes]\n{lines}'


def twin_of(rig: Any, white: float = 1.0, **chosen: Any) -> Engine:
    """The same weights' network without instruments; fixed scales of the bench's own modes."""
    method = Method("optical", imperfections=Imperfections(**chosen), white=white)
    engine = Engine(network(TEXT, Absorber(DEPTH)), method, dtype=np.float64)
    forward, backward = ([one.values[:, None] for one in some] for some in rig.simulated.light.modes.scales)
    if chosen.get("deviation"):
        scales = [None, forward[0], None, forward[1], None], [None, backward[0], None, backward[1], None, backward[2]]
        engine.flaws = [Flaws(engine.method.imperfections, scales, np.random.default_rng(5))]
    return engine


def gradients(engine: Engine, rig: Any, rows: Array) -> list[Array]:
    flat = np.concatenate([weight.ravel() for weight in rig.weights])
    found = engine.gradient(engine.network.split(flat), rig.digits.images, rig.labels, rows).flat.copy()
    return [part for part in engine.network.split(found) if part is not None]


def test_a_step_through_uneven_modes_is_that_of_the_twin_with_the_same_modes(rig_of: Callable[..., Any]) -> None:
    rig, rows = rig_of(SIZES, depth=DEPTH, ideal=True, edit=settings(deviation=0.2)), np.arange(20)
    measured, modes = rig.step("optical", "digital", rows).gradients, rig.simulated.light.modes.scales
    wanted = gradients(twin_of(rig, deviation=0.2), rig, rows)
    measured[-1] = measured[-1] * modes[1][-1].values[:, None]  # on a bench the output error itself is a digital number
    for ours, theirs in zip(measured, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4 * np.abs(theirs).max())
    even = gradients(twin_of(rig), rig, rows)
    assert np.abs(measured[0] - even[0]).max() > 0.05 * np.abs(even[0]).max()


@pytest.mark.parametrize("error", ["digital", "optical"])
def test_gradients_scatter_about_the_true_one_as_much_as_the_twins(rig_of: Callable[..., Any], error: str) -> None:
    rig, rows = rig_of(SIZES, depth=DEPTH, ideal=True, edit=settings(noise=0.1)), np.arange(20)
    rng, engine, quiet = np.random.default_rng(3), twin_of(rig, noise=0.1), gradients(twin_of(rig), rig, rows)
    measured = [rig.step("optical", error, rng.permutation(rows)).gradients for _ in range(60)]  # in another order light is made anew
    twins = [gradients(engine, rig, rows) for _ in range(200)]
    for layer in (0, 1):
        ours, theirs = (np.stack([one[layer] for one in some]) for some in (measured, twins))
        assert np.sqrt(ours.var(axis=0).sum() / theirs.var(axis=0).sum()) == pytest.approx(1, abs=0.12)
        off = (ours.mean(axis=0) - quiet[layer]) / np.sqrt(theirs.var(axis=0) / 60)
        assert np.sqrt(np.mean(off**2)) < 1.6  # 1, and what noise in a saturating cell shifts


def test_noise_is_the_wanted_share_of_the_light_behind_each_cell(rig_of: Callable[..., Any]) -> None:
    rig = rig_of(SIZES, depth=DEPTH, images=400, ideal=True, edit=settings(noise=0.05))
    readings = rig.bench.play(rig.network.forward(rig.network.fields(rig.weights), np.arange(400), ("forward_in", "forward_out")))
    before, behind = (rig.network.tapped(readings, port) for port in ("forward_in", "forward_out"))
    for z, a in zip(before, behind, strict=True):
        clear = z * np.exp(-DEPTH / 2 / (1 + z**2))
        assert (a - clear).std() == pytest.approx(0.05 * clear.std(), rel=0.08)
    np.testing.assert_allclose(before[1], behind[0] @ rig.weights[1].T, atol=1e-6)  # what a tap shows is what goes on


def test_nothing_is_added_unless_the_file_says_so(rig_of: Callable[..., Any]) -> None:
    rows = np.arange(20)
    plain, named = rig_of(SIZES), rig_of(SIZES, edit=settings(noise=0.0, deviation=0.0))
    for ours, theirs in zip(
        plain.step("optical", "digital", rows).gradients, named.step("optical", "digital", rows).gradients, strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_brighter_inputs_are_the_twins_white(rig_of: Callable[..., Any]) -> None:
    rig, rows = rig_of(SIZES, depth=DEPTH, ideal=True, edit=lambda text: text.replace('"eq4"\n', '"eq4"\nwhite = 3.0\n')), np.arange(20)
    np.testing.assert_allclose(rig.network.inputs(rig.digits.images[rows]), 3 * rig.images[rows])
    engine, flat = twin_of(rig, white=3.0), np.concatenate([weight.ravel() for weight in rig.weights])
    outputs = engine.outputs(engine.network.split(flat), rig.digits.images)
    np.testing.assert_allclose(rig.outputs(rows), outputs[rows], atol=1e-5 * np.abs(outputs).max())
