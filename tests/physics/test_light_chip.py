"""Photonic chips: the fast ways against each setting's chip on its own, built of embedded matrices; monitors against differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

from sim_backends.physics.chip import Chip
from sim_backends.physics.chip_stages import AmplifierStage, Detection, MeshStage
from sim_backends.physics.coupler_laws import AttenuatorLaw, CouplerLaw, ExponentialLaw, MziLaw, PtLaw, RotationLaw
from sim_backends.physics.drives import Dense, Sparse
from sim_backends.physics.meshes import Mesh
from sim_backends.physics.noise import Noise

Array = NDArray[Any]
Z = np.random.default_rng(11).uniform(0.8, 1.2, 21)
PT, PT_COMPLEX, ROTATION = PtLaw(Z, one_sided=True), PtLaw(Z, real=False, alpha_h=2.0), RotationLaw()
MZI = MziLaw(0.1 * Z, -0.05)
LAWS: dict[str, tuple[CouplerLaw, type]] = {
    "pt": (PT, np.float64),
    "pt complex": (PT_COMPLEX, np.complex128),
    "rotation": (ROTATION, np.float64),
    "mzi": (MZI, np.complex128),
}


def triangle(n: int) -> tuple[Array, ...]:
    return tuple(np.arange(c % 2, min(c, 2 * n - 4 - c) + 1, 2) for c in range(2 * n - 3))


def soft(fields: Array, factors: Array) -> Array:
    """An amplifier that gives less to strong fields, the more so the more it amplifies."""
    return np.asarray(fields / np.sqrt(1 + 0.3 * factors**2 * np.abs(fields) ** 2))


def build(law: CouplerLaw, dtype: Any, saturate: Any = None) -> Chip:
    """7-5-4 with amplifiers between the meshes of each layer."""
    gain = AttenuatorLaw(1.1) if isinstance(law, RotationLaw) else ExponentialLaw(0.9)
    return Chip(
        [
            MeshStage(Mesh(triangle(7), 7), law, 5),
            AmplifierStage(5, gain, saturate),
            MeshStage(Mesh(triangle(5), 5), law),
            Detection(5, 5),
            MeshStage(Mesh(triangle(5), 5), law, 4),
            AmplifierStage(4, gain, saturate),
            MeshStage(Mesh(triangle(4), 4), law),
        ],
        dtype,
    )


def sigmoid(fields: Array, rows: slice) -> Array:
    return np.asarray(1 / (1 + np.exp(-fields.real)))


def slow(chip: Chip, values: Array, x: Array, hidden: Callable[[Array, slice], Array] = sigmoid) -> Array:
    """One setting, coupler by coupler."""
    fields, at = x.astype(complex), 0
    for stage in chip.stages:
        if isinstance(stage, Detection):
            fields = hidden(fields[None], slice(0, 1))[0].astype(complex)
            continue
        own = values[at : at + stage.count * stage.width]
        at += len(own)
        if isinstance(stage, AmplifierStage):
            factors = stage.law.factors(np.arange(stage.count), own)
            fields = fields * factors
            if stage.saturate is not None:
                fields = stage.saturate(fields[None], factors[None, None])[0]
            continue
        blocks = stage.law.blocks(np.arange(stage.count), own.reshape(-1, 2) if stage.width == 2 else own)
        ports = stage.mesh.ports
        for upper, block in zip([i for column in triangle(ports) for i in column], blocks, strict=True):
            whole = np.eye(ports, dtype=complex)
            whole[upper : upper + 2, upper : upper + 2] = block
            fields = fields @ whole.T
        fields = fields[:, : stage.kept]
    return fields


def drawn(chip: Chip, seed: int = 1) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    return rng.uniform(-0.3, 0.3, chip.parameters), rng.uniform(0, 1, (6, 7))


def frames(drive: Sparse) -> Array:
    full = np.repeat(drive.base[None], len(drive.values), axis=0)
    for row, channels, values in zip(full, drive.channels, drive.values, strict=True):
        for channel, value in zip(channels, values, strict=True):
            row[channel] = value
    return full


def each_channel(base: Array, step: float = 0.1) -> Sparse:
    """Plus and minus for every channel, mixed up, with baselines between."""
    order = np.random.default_rng(5).permutation(np.repeat(np.arange(len(base)), 2))
    signs = np.random.default_rng(6).choice([-1.0, 0.0, 1.0], len(order))
    return Sparse(base, order[:, None], (base[order] + step * signs)[:, None])


@pytest.mark.parametrize("saturate", [None, soft])
@pytest.mark.parametrize("name", list(LAWS))
def test_rows_that_change_one_channel_equal_each_settings_chip_on_its_own(name: str, saturate: Any) -> None:
    chip = build(*LAWS[name], saturate)
    base, x = drawn(chip)
    drive = each_channel(base)
    found = chip.outputs(drive, x, sigmoid)
    assert found.shape == (2 * chip.parameters, 6, 4)
    assert np.ptp(np.abs(found), axis=0).min() > 0
    for one, values in zip(found, frames(drive), strict=True):
        assert np.allclose(one, slow(chip, values, x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("saturate", [None, soft])
@pytest.mark.parametrize("name", ["pt", "mzi"])
def test_rows_may_change_several_channels_anywhere_and_the_last_of_a_repeated_one_counts(name: str, saturate: Any) -> None:
    chip = build(*LAWS[name], saturate)
    base, x = drawn(chip)
    rng = np.random.default_rng(7)
    channels = rng.integers(0, chip.parameters, (120, 3))
    channels[:20, 1] = channels[:20, 0]
    channels[20:60] = rng.integers(0, 10, (40, 3)) + 30  # within one mesh, some within one coupler
    values = base[channels] + rng.choice([0, 0.1, -0.2], channels.shape)
    drive = Sparse(base, channels, values)
    found = chip.outputs(drive, x, sigmoid)
    for one, setting in zip(found, frames(drive), strict=True):
        assert np.allclose(one, slow(chip, setting, x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("saturate", [None, soft])
@pytest.mark.parametrize("name", list(LAWS))
def test_dense_settings_equal_each_settings_chip_on_its_own(name: str, saturate: Any) -> None:
    chip = build(*LAWS[name], saturate)
    _, x = drawn(chip)
    settings = np.random.default_rng(8).uniform(-0.4, 0.4, (37, chip.parameters))
    found = chip.outputs(Dense(settings), x, sigmoid)
    for one, values in zip(found, settings, strict=True):
        assert np.allclose(one, slow(chip, values, x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("saturate", [None, soft])
@pytest.mark.parametrize("kind", ["sparse", "dense"])
def test_settings_come_in_blocks_in_order_and_noise_makes_all_that_follows_differ(
    kind: str, saturate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sim_backends.physics.chip.CACHE_BYTES", 1)
    chip = build(PT, np.float64, saturate)
    base, x = drawn(chip)
    drive = each_channel(base)
    noise = np.random.default_rng(9).normal(size=(len(drive.values), 6, 5))
    seen: list[tuple[slice, Array]] = []

    def noisy(fields: Array, rows: slice) -> Array:
        seen.append((rows, fields.copy()))
        return sigmoid(fields + noise[rows], rows)

    found = chip.outputs(drive if kind == "sparse" else Dense(frames(drive)), x, noisy)
    assert [rows.start for rows, _ in seen] == list(range(0, len(found), 16))
    hidden = np.concatenate([fields for _, fields in seen])
    for row, values in enumerate(frames(drive)):

        def again(fields: Array, rows: slice, row: int = row) -> Array:
            assert np.allclose(fields[0], hidden[row], atol=1e-12)
            return sigmoid(fields + noise[row], rows)

        assert np.allclose(found[row], slow(chip, values, x, again), rtol=0, atol=1e-12)


def test_a_chip_of_one_mesh_and_one_of_an_amplifier_alone_work() -> None:
    x = np.random.default_rng(1).uniform(size=(3, 4))
    for stage in (MeshStage(Mesh(triangle(4), 4), PT), AmplifierStage(4, ExponentialLaw(), soft)):
        chip = Chip([stage], np.float64)
        drive = each_channel(np.linspace(-0.2, 0.3, chip.parameters))
        found = chip.outputs(drive, x)
        assert np.allclose(found, chip.outputs(Dense(frames(drive)), x), atol=1e-13)
        assert np.allclose(found[0], slow(chip, frames(drive)[0], x), atol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
def test_single_precision_is_single_precision_only(dtype: Any) -> None:
    exact, chip = build(PT, np.float64), build(PT, dtype)
    base, x = drawn(chip)
    drive = each_channel(base)
    expected = exact.outputs(drive, x, sigmoid)
    for found in (chip.outputs(drive, x, sigmoid), chip.outputs(Dense(frames(drive)), x, sigmoid)):
        assert found.dtype == dtype
        assert np.allclose(found, expected, atol=3e-6)


def size(fields: Array) -> Array:
    return np.asarray(np.sqrt(np.mean(np.abs(fields) ** 2, axis=(1, 2))))


def rms(fields: Array) -> float:
    return float(np.sqrt(np.mean(np.abs(fields) ** 2)))


def neighbours(parameters: int) -> Array:
    """Crosstalk of 1 % to either side, and less beyond."""
    near = [0.01 * np.exp(1 - k) * (np.eye(parameters, k=k) + np.eye(parameters, k=-k)) for k in (1, 2, 3)]
    return np.asarray(np.sum(near, axis=0))


@pytest.mark.parametrize("saturate", [None, soft])
@pytest.mark.parametrize("name", ["rotation", "mzi", "pt"])
def test_crosstalk_of_one_percent_is_right_to_a_thousandth_of_the_change(name: str, saturate: Any) -> None:
    chip = build(*LAWS[name], saturate)
    base, x = drawn(chip)
    mixing = neighbours(chip.parameters)
    channels = np.repeat(np.arange(chip.parameters), 2)[:, None]
    own = Sparse(base, channels, base[channels] + np.tile([0.05, -0.05], chip.parameters)[:, None])
    mixed = Sparse(own.base, own.channels, own.values, sparse.csr_array(mixing))
    settings = frames(own) + (frames(own) - base) @ mixing.T
    exact = np.array([slow(chip, values, x) for values in settings])
    found, change = chip.outputs(mixed, x, sigmoid), exact - slow(chip, base, x)
    assert rms(found - exact) <= 1e-3 * rms(change)
    assert np.median(size(found - exact) / size(change)) <= 1e-3
    assert np.median(size(chip.outputs(own, x, sigmoid) - exact) / size(change)) > 5e-3
    differences = (found - exact)[::2] - (found - exact)[1::2]
    assert rms(differences) <= 3e-5 * rms(change[::2] - change[1::2])
    assert np.allclose(mixed.dense().values, settings, rtol=0, atol=1e-15)


def test_crosstalk_between_the_two_phases_of_a_coupler_is_exact() -> None:
    chip = Chip([MeshStage(Mesh(triangle(4), 4), MZI)], np.complex128)
    base, x = np.linspace(-0.3, 0.4, 12), np.random.default_rng(1).uniform(size=(3, 4))
    mixing = np.kron(np.eye(6), [[0, 0.2], [0.1, 0]])
    channels = np.arange(12)[:, None]
    mixed = Sparse(base, channels, base[channels] + 0.3, mixing)
    exact = [slow(chip, values, x) for values in base + 0.3 * (np.eye(12) + mixing.T)]
    assert np.allclose(chip.outputs(mixed, x), exact, rtol=0, atol=1e-12)


def test_crosstalk_of_rows_that_change_nothing_or_much_is_there_too() -> None:
    chip = build(*LAWS["mzi"])
    base, x = drawn(chip)
    channels = np.array([[0, 50], [3, 3], [20, 21], [30, 34], [80, 81]])
    by = np.array([[0, 0], [0.1, 0.01], [0.01, 0.01], [0.01, 0], [0.01, -0.01]])
    mixed = Sparse(base, channels, base[channels] + by, neighbours(chip.parameters))
    found = chip.outputs(mixed, x, sigmoid)
    exact = np.array([slow(chip, values, x) for values in mixed.dense().values])
    assert np.allclose(found[0], slow(chip, base, x), atol=1e-12)
    assert np.all(size(found - exact)[1:] <= 1e-3 * size(exact - exact[0])[1:])


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_spontaneous_emission_has_the_covariance_of_noise_behind_every_coupler(dtype: Any) -> None:
    """Against noise sent by hand from the place of every coupler to the outputs."""
    law: CouplerLaw = PT if dtype is np.float64 else PT_COMPLEX
    chip = Chip([MeshStage(Mesh(triangle(4), 4), law, 3), AmplifierStage(3, ExponentialLaw())], dtype)
    base = np.linspace(-0.3, 0.4, 9)
    variances, last = np.linspace(0.5, 1.5, 6), np.array([0.3, 0.2, 0.1])
    blocks = law.blocks(np.arange(6), base[:6])
    expected: Array = np.diag(last).astype(complex)
    uppers = [i for column in triangle(4) for i in column]
    for k in range(6):
        sent = np.zeros(4, complex)
        sent[uppers[k]] = 1
        for upper, block in zip(uppers[k + 1 :], blocks[k + 1 :], strict=True):
            sent[upper : upper + 2] = block @ sent[upper : upper + 2]
        out = sent[:3] * np.exp(base[6:])
        expected += variances[k] * np.outer(out, out.conj())
    if dtype is np.float64:
        expected = expected.real / 2
    for drive in (Sparse(base, np.zeros((100, 1), int), np.full((100, 1), base[0])), Dense(np.repeat(base[None], 100, axis=0))):
        fields = chip.outputs(drive, np.zeros((2000, 4)), emission=[variances, last], noise=Noise(3)).reshape(-1, 3)
        assert np.allclose(fields.T @ fields.conj() / len(fields), expected, atol=0.01 * np.abs(expected).max())
        assert np.abs(fields.mean(axis=0)).max() < 0.02


def test_emission_rides_on_the_right_light_through_a_hidden_layer() -> None:
    chip = build(PT, np.float64, soft)
    base, x = drawn(chip)
    drive = each_channel(base)
    emission = [None, np.full(5, 1e-20), None, None, np.full((10, 2), 1e-20), None, None]
    found = chip.outputs(drive, x, sigmoid, emission=emission, noise=Noise(1))
    assert np.allclose(found, chip.outputs(drive, x, sigmoid), rtol=0, atol=1e-7)
    assert not np.array_equal(found, chip.outputs(drive, x, sigmoid))


def loss_slopes(chip: Chip, base: Array, x: Array, weights: Array) -> Array:
    """Derivatives of sum(weights * Re outputs) by central differences of the slow way."""
    step, out = 1e-5, []
    for channel in range(chip.parameters):
        up, down = base.copy(), base.copy()
        up[channel] += step
        down[channel] -= step
        out.append(np.sum(weights * (slow(chip, up, x) - slow(chip, down, x)).real) / (2 * step))
    return np.array(out)


@pytest.mark.parametrize("name", ["rotation", "mzi"])
def test_fields_in_the_arms_forward_and_backward_give_the_gradient(name: str) -> None:
    """i f b of every arm (Hughes 2018); the arms of a rotation turn by -h and h, the upper arm of a full MZI by its phase."""
    law, dtype = LAWS[name]
    chip = build(law, dtype)
    base, x = drawn(chip)
    weights = np.random.default_rng(12).normal(size=(6, 4))
    trace = chip.trace(base, x, sigmoid)
    assert np.allclose(trace.outputs, slow(chip, base, x), atol=1e-12)
    behind = chip.backward(base, weights, stretch=1)
    first = slow(Chip(chip.stages[:3], dtype), base[: chip.stretches[0].parameters], x)
    bent = sigmoid(first, slice(0, 1))
    front = chip.backward(base, behind.outputs.real * bent * (1 - bent), stretch=0)
    charges = np.array([-1.0, 1.0]) if name == "rotation" else np.array([1.0, 0.0])
    slopes = loss_slopes(chip, base, x, weights)
    at = 0
    for forward, backward, stage in zip(trace.stages, [*front.stages, None, *behind.stages], chip.stages, strict=True):
        if isinstance(stage, Detection):
            continue
        if isinstance(stage, MeshStage):
            assert forward is not None
            assert backward is not None
            assert forward.arms is not None
            assert backward.arms is not None
            found = np.sum((1j * forward.arms * backward.arms).real @ charges, axis=1).T.ravel()
            assert np.allclose(found, slopes[at : at + len(found)], atol=1e-8)
        at += stage.count * stage.width


def test_light_at_every_coupler_and_amplifier_gives_the_gradient_of_gain() -> None:
    chip = build(PT, np.float64)
    base, x = drawn(chip)
    weights = np.random.default_rng(12).normal(size=(6, 4))
    slopes = loss_slopes(chip, base, x, weights)
    trace, behind = chip.trace(base, x, sigmoid), chip.backward(base, weights)
    at = chip.stretches[1].first
    for forward, backward, stage in zip(trace.stages[4:], behind.stages, chip.stages[4:], strict=True):
        assert isinstance(stage, MeshStage | AmplifierStage)
        assert forward is not None
        assert backward is not None
        assert forward.arms is None
        (slope,) = stage.derivatives(np.arange(stage.count), base[at : at + stage.count, None])
        found = np.einsum("beo,eoi,bei->e", backward.couplers, slope, forward.couplers)
        assert np.allclose(found, slopes[at : at + stage.count], atol=1e-8)
        at += stage.count


def test_differences_of_a_fast_sweep_are_the_gradient() -> None:
    chip = build(PT, np.float64, soft)
    base, x = drawn(chip)
    step = 1e-5
    channels = np.repeat(np.arange(chip.parameters), 2)[:, None]
    values = base[channels] + np.tile([step, -step], chip.parameters)[:, None]
    weights = np.random.default_rng(12).normal(size=(6, 4))
    sums = np.sum(chip.outputs(Sparse(base, channels, values), x, sigmoid) * weights, axis=(1, 2))
    assert np.allclose((sums[::2] - sums[1::2]) / (2 * step), loss_slopes(chip, base, x, weights), atol=1e-8)


@pytest.mark.parametrize("law", [PtLaw(), ROTATION])
def test_the_networks_own_size_runs_in_single_precision(law: CouplerLaw) -> None:
    """49-20-10, a batch of 16: every 400th of all central differences against the slow way."""
    stages: list[MeshStage | AmplifierStage]
    stages = [MeshStage(Mesh(triangle(49), 49), law, 20), AmplifierStage(20, ExponentialLaw()), MeshStage(Mesh(triangle(20), 20), law)]
    after: list[MeshStage | AmplifierStage]
    after = [MeshStage(Mesh(triangle(20), 20), law, 10), AmplifierStage(10, ExponentialLaw()), MeshStage(Mesh(triangle(10), 10), law)]
    chip = Chip([*stages, Detection(20, 20), *after])
    assert chip.parameters == 1631
    rng = np.random.default_rng(13)
    base, x = rng.uniform(-0.2, 0.2, 1631), rng.uniform(size=(16, 49))
    channels = np.repeat(np.arange(1631), 2)[:, None]
    drive = Sparse(base, channels, base[channels] + np.tile([0.05, -0.05], 1631)[:, None])
    found = chip.outputs(drive, x, sigmoid)
    assert found.dtype == np.float32
    settings = frames(drive)
    assert np.allclose(found, chip.outputs(Dense(settings), x, sigmoid), rtol=0, atol=2e-5)
    for row in range(0, len(settings), 400):
        assert np.allclose(found[row], slow(chip, settings[row], x), rtol=0, atol=1e-5)


def test_what_does_not_fit_is_refused_with_numbers() -> None:
    chip = build(PT, np.float64)
    base, x = drawn(chip)
    with pytest.raises(ValueError, match=r"channels -1 to 3 change; allowed is 0 to 55"):
        chip.outputs(Sparse(base, np.array([[-1], [3]]), np.zeros((2, 1))), x, sigmoid)
    with pytest.raises(ValueError, match=r"a drive of \(2, 3\); the chip has 56 parameters"):
        chip.outputs(Dense(np.zeros((2, 3))), x, sigmoid)
    with pytest.raises(ValueError, match=r"fields \(6, 4\) enter; the chip takes \(B, 7\)"):
        chip.outputs(Dense(base[None]), x[:, :4], sigmoid)
    with pytest.raises(ValueError, match="0 hidden layers are given; the chip detects 1 times"):
        chip.outputs(Dense(base[None]), x)
    with pytest.raises(ValueError, match=r"the hidden layer returned \(1, 6, 4\) for \(1, 6, 5\); \(1, 6, 5\) go on"):
        chip.outputs(Dense(base[None]), x, lambda fields, rows: fields[..., :4])
    with pytest.raises(ValueError, match="mixing has a diagonal"):
        chip.outputs(Sparse(base, np.array([[0]]), np.array([[1.0]]), sparse.eye_array(56)), x, sigmoid)
    with pytest.raises(ValueError, match="complex blocks and the chip's light is float32"):
        build(MZI, np.float32).outputs(Dense(np.zeros((1, 103))), x, sigmoid)
    with pytest.raises(ValueError, match="stage 0 gives 7 fields and stage 1 takes 5"):
        Chip([MeshStage(Mesh(triangle(7), 7), PT), AmplifierStage(5, ExponentialLaw())])
    with pytest.raises(ValueError, match="begins and ends with a mesh or an amplifier"):
        Chip([Detection(5, 5)])
    with pytest.raises(ValueError, match="light of int64"):
        Chip([AmplifierStage(5, ExponentialLaw())], np.int64)
    with pytest.raises(ValueError, match=r"variance of spontaneous emission is -1; allowed is 0 and more"):
        chip.outputs(Dense(base[None]), x, sigmoid, emission=[None, -np.ones(5), *[None] * 5], noise=Noise(1))
