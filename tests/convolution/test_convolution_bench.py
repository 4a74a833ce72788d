"""Convolutions, pools and their gradients through the drivers of an ideal bench, beside scipy, loops and finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from convolved import DEPTH, absorbed, correlated
from scipy.signal import convolve2d

from labonn.convolution import (
    Setting,
    check_bench,
    compare,
    cosine,
    mean_pool,
    measure_beams,
    relative_rms,
    stages_of,
    through,
    twin_outputs,
    unfold,
)
from labonn.errors import ProcedureError, UnknownStateError
from labonn.layers import Layers
from labonn.shots import ShotTable
from labonn.twin import Absorber, network
from labonn.twin.passes import backward, forward, output_error

Rigs = Callable[..., Any]
RNG = np.random.default_rng(4)


def shown(rig: Any, light: Any, stage: int = 0) -> Any:
    """Show a stage for this light, levels measured."""
    return rig.run(rig.hybrid._take(("layer", stage), rig.hybrid.stages[stage], rig.hybrid._matrix(stage), light))


def raw(rig: Any) -> Any:
    """(B, 1, R, S) bytes."""
    return rig.images.reshape(-1, *rig.hybrid.twin.before)


def test_a_convolution_by_shots_is_scipys_with_the_absorbers_behind_it(rig_of: Rigs) -> None:
    rig = rig_of()
    shown(rig, raw(rig))
    behind = rig.run(rig.hybrid.bench.forward(rig.hybrid.stages[0], raw(rig)))
    z = correlated(rig.pictures, rig.kernels(0))
    assert z.shape == (6, 4, 8, 8)
    np.testing.assert_allclose(behind.z, z, atol=5e-4 * np.abs(z).max())
    np.testing.assert_allclose(behind.a, absorbed(z), atol=1e-3 * np.abs(z).max())


def test_every_distinct_patch_is_sent_once(rig_of: Rigs) -> None:
    rig = rig_of()
    shown(rig, raw(rig))
    before, tables = rig.bench.shots, len(rig.tables)
    rig.run(rig.hybrid.bench.forward(rig.hybrid.stages[0], raw(rig)))
    patches = {tuple(row) for row in unfold(raw(rig), 3)}
    (table,) = rig.tables[tables:]
    assert table.shots == table.banks["input"].shape[0] == rig.bench.shots - before == len(patches)
    assert len(patches) < 6 * 64 * 0.8, "a half of the images is black"


def test_images_that_no_table_has_room_for_are_split_and_give_the_same(rig_of: Rigs, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = rig_of()
    shown(rig, raw(rig))
    stage, bench = rig.hybrid.stages[0], rig.hybrid.bench
    whole, tables = rig.run(bench.forward(stage, raw(rig))), len(rig.tables)
    monkeypatch.setattr("labonn.convolution.matrixbench.TABLE_SHOTS", 130)  # two images of 64 patches
    parts = rig.run(bench.forward(stage, raw(rig)))
    assert len(rig.tables) - tables == 3
    assert all(table.shots <= 130 for table in rig.tables[tables:])
    np.testing.assert_allclose(parts.z, whole.z, rtol=0, atol=1e-12)


@pytest.mark.parametrize("all_patches", [True, False])
def test_the_optical_gradient_is_a_sum_over_patches_of_errors_through_the_cells_times_light(rig_of: Rigs, all_patches: bool) -> None:
    rig = rig_of(count=2)
    shown(rig, raw(rig))
    errors = RNG.normal(size=(2, 4, 8, 8)) * 1e-3
    learnt = rig.run(rig.hybrid.bench.backward(rig.hybrid.stages[0], raw(rig), errors, all_patches=all_patches))
    z, kernels = correlated(rig.pictures, rig.kernels(0)), rig.kernels(0)
    t, wanted = np.exp(-DEPTH / 2 / (1 + z**2)), np.zeros_like(kernels)
    for b in range(2):
        for i in range(8):
            for j in range(8):
                patch = rig.pictures[b, :, i : i + 3, j : j + 3].transpose(1, 2, 0)
                wanted += (errors * t)[b, :, i, j][:, None, None, None] * patch
    np.testing.assert_allclose(learnt.gradient, wanted.reshape(4, 9), atol=1e-3 * np.abs(wanted).max())
    deltas = (errors * t).transpose(0, 2, 3, 1).reshape(-1, 4)
    lit = unfold(raw(rig), 3).any(axis=1)
    assert not lit.all()
    np.testing.assert_allclose(learnt.deltas[lit], deltas[lit], atol=1e-6)
    assert np.any(learnt.deltas[~lit]) == all_patches


def test_the_corrected_gradient_is_that_of_finite_differences(rig_of: Rigs) -> None:
    rig = rig_of(count=2)
    shown(rig, raw(rig))
    errors = RNG.normal(size=(2, 4, 8, 8)) * 1e-3
    learnt = rig.run(rig.hybrid.bench.backward(rig.hybrid.stages[0], raw(rig), errors, "corrected"))
    kernels, wanted, step = rig.kernels(0), np.zeros((4, 3, 3, 1)), 1e-5
    for at in np.ndindex(wanted.shape):
        loss = []
        for sign in (1, -1):
            moved = kernels.copy()
            moved[at] += sign * step
            loss.append(np.sum(errors * absorbed(correlated(rig.pictures, moved))))
        wanted[at] = (loss[0] - loss[1]) / (2 * step)
    np.testing.assert_allclose(learnt.gradient, wanted.reshape(4, 9), atol=1e-3 * np.abs(wanted).max())


@pytest.mark.parametrize(("layers", "pool"), [(1, "read"), (2, "read"), (2, "light")])
def test_a_network_with_layers_by_light_is_the_twin(rig_of: Rigs, layers: int, pool: str) -> None:
    rig = rig_of(layers, pool=pool)
    hybrid = rig.hybrid
    wanted = twin_outputs(hybrid.twin, hybrid.weights, rig.images, 5.0)
    np.testing.assert_allclose(rig.run(hybrid.outputs(rig.images)), wanted, atol=2e-3 * np.abs(wanted).max())
    compared = rig.run(compare(hybrid, rig.images, rig.labels))
    for found, twin in zip(compared.measured, compared.twin, strict=True):
        assert relative_rms(found, twin) < 2e-3
    for found, exact in zip(compared.gradient.parts, compared.exact, strict=True):
        assert relative_rms(found, exact) < 5e-3
    assert hybrid.projected == 0


def test_a_dense_layer_is_one_shot_an_image(rig_of: Rigs) -> None:
    rig = rig_of(2, text="10x10-3x3x4-pool-6-3")
    light, passed = rig.run(rig.hybrid.measured(rig.images, keep=True))
    assert (light.shape, passed[1].light.shape) == ((6, 6), (6, 4, 4, 4))
    wanted = absorbed(mean_pool(absorbed(correlated(rig.pictures, rig.kernels(0)))).reshape(6, -1) @ rig.hybrid._matrix(1).T)
    np.testing.assert_allclose(light, wanted, atol=3e-3 * np.abs(wanted).max())


def test_a_pool_by_light_is_the_mean_of_four_neighbours(rig_of: Rigs) -> None:
    rig = rig_of(pool="light")
    light, passed = rig.run(rig.hybrid.measured(rig.images, keep=True))
    a = passed[0].behind.a
    wanted = (a[:, :, ::2, ::2] + a[:, :, 1::2, ::2] + a[:, :, ::2, 1::2] + a[:, :, 1::2, 1::2]) / 4
    np.testing.assert_allclose(light, wanted, atol=5e-4 * np.abs(wanted).max())


def test_errors_go_back_through_the_matrix_as_a_transposed_convolution(rig_of: Rigs) -> None:
    rig = rig_of(sizes=(2, 9, 4))  # the matrix is the second, so that there is a tap in front of it
    net, stage = rig.hybrid.bench.network, rig.hybrid.stages[0]
    matrix, deltas = rig.hybrid._matrix(0), RNG.normal(size=(2, 4, 8, 8))
    weights = [np.full((9, 2), 0.1, np.float32), matrix]
    net.fit_gains(weights)
    rig.bench.play(ShotTable({"gain": net.currents(), **net.fields(weights)}, dwell_s=net.dwell_s, read=()))
    found = stage.returned(rig.run(through(net, stage.shot_errors(deltas))))
    wanted = np.array([[sum(convolve2d(one[c], rig.kernels(0)[c, :, :, 0]) for c in range(4))] for one in deltas])
    np.testing.assert_allclose(found, wanted, atol=1e-3 * np.abs(wanted).max())


def test_beams_are_found_to_be_what_the_simulator_hides(rig_of: Rigs) -> None:
    rig = rig_of(ideal=False, text="12x12-5x5x16-pool-3")
    net = rig.hybrid.bench.network
    rig.run(measure_beams(net))
    truth = rig.bench._opened.simulated.light._modulators["input"]
    usual = truth.insertion / np.median(truth.insertion)
    assert np.std(net.belief.inputs.share / usual - 1) < 0.3 * usual.std()
    drawn = truth._offset_rad(rig.bench.clock.now()) * -2 * 3.5 / np.pi
    assert np.std(net.belief.inputs.bias_v - drawn) < 0.3 * drawn.std()


def test_measured_beams_bring_a_real_bench_nearer_to_the_twin(rig_of: Rigs) -> None:
    errors = []
    for measure in (False, True):
        rig = rig_of(ideal=False)
        if measure:
            rig.run(measure_beams(rig.hybrid.bench.network))
        found = rig.run(compare(rig.hybrid, rig.images, rig.labels))
        errors.append(relative_rms(found.measured[0], found.twin[0]))
        assert cosine(found.gradient.parts[0], found.gradient.believed[0]) > 0.99
    assert errors[1] < 0.8 * errors[0]


def test_a_blocked_beam_is_named(rig_of: Rigs) -> None:
    rig = rig_of(ideal=False)
    light = rig.bench._opened.simulated.light._modulators["input"]
    pass_all = light.fields
    light.fields = lambda volts, now_s: pass_all(volts, now_s) * (np.arange(9) != 3).astype(volts.dtype)
    with pytest.raises(UnknownStateError, match=r"input: of 1 of 9 beams hardly any light arrives \(ch3"):
        rig.run(measure_beams(rig.hybrid.bench.network))


def test_light_beyond_what_is_shown_is_refused_and_shown_anew_by_a_network(rig_of: Rigs) -> None:
    rig = rig_of(2)
    hybrid, stage = rig.hybrid, rig.hybrid.stages[1]
    light = np.abs(RNG.normal(size=(1, 4, 4, 4)))
    rig.run(hybrid.bench.show(hybrid._matrix(1), Setting(reach=0.5 * float(light.max()))))
    with pytest.raises(ProcedureError, match=r"input: a field of .* saturation fields; full light is .* of them now"):
        rig.run(hybrid.bench.forward(stage, light))
    shown(rig, light, 1)
    z = rig.run(hybrid.bench.forward(stage, light)).z
    wanted = correlated(light, rig.kernels(1))
    np.testing.assert_allclose(z, wanted, atol=5e-4 * np.abs(wanted).max())


def test_weights_beyond_the_amplifier_are_counted_or_refused(rig_of: Rigs) -> None:
    rig = rig_of()
    matrix = rig.hybrid._matrix(0)
    with pytest.raises(ProcedureError, match=r"weights1: .* weights of up to .* need more than the .* of gain/.* smaller inputs"):
        rig.run(rig.hybrid.bench.show(matrix, Setting(reach=100.0)))


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ((9, 4, 3), "needs one matrix, one cell and a relay: D-C-C, such as 9-4-4"),
        ((9, 4), "D-C-C"),
        ((8, 4, 4), "need 9 input beams and 4 neurons"),
    ],
)
def test_a_bench_of_another_shape_is_refused(sizes: tuple[int, ...], told: str) -> None:
    stages = stages_of(network("10x10-3x3x4-pool-3", Absorber(4.0)), 1)
    with pytest.raises(ProcedureError, match=f"lab.toml: layers {'-'.join(map(str, sizes))}; .*{told}"):
        check_bench(Layers(sizes), stages, "lab.toml")


def test_a_dark_bench_is_not_taken_for_a_matrix(rig_of: Rigs) -> None:
    rig = rig_of(ideal=False)
    rig.bench._opened.simulated.light._panels[0].field = lambda now: np.zeros((4, 9))
    with pytest.raises(UnknownStateError, match=r"forward_in: the light is not that of the matrix that is shown"):
        shown(rig, raw(rig))


def test_errors_at_the_inputs_of_the_twin_are_finite_differences_of_its_loss() -> None:
    twin = network("6x6-3x3x2-pool-3", Absorber(2.0))
    weights = [None if shape is None else RNG.normal(0, 0.4, shape) for shape in twin.matrices]
    light, labels = RNG.uniform(0, 2, (1, 6, 6, 3)), np.array([0, 2, 1])

    def loss(fields: Any) -> float:
        return output_error(forward(twin, weights, fields).outputs, labels, "mse")[1] / 3

    trace = forward(twin, weights, light)
    error, _ = output_error(trace.outputs, labels, "mse")
    gradients = [None if weight is None else np.empty_like(weight) for weight in weights]
    found = backward(twin, weights, trace, error, gradients, "exact", through=True)
    wanted = np.zeros_like(light)
    for at in np.ndindex(light.shape):
        up, down = light.copy(), light.copy()
        up[at] += 1e-5
        down[at] -= 1e-5
        wanted[at] = (loss(up) - loss(down)) / 2e-5
    np.testing.assert_allclose(found, wanted, atol=1e-9)
