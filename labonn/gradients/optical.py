"""Gradient plans: optical backpropagation (Guo et al. 2021), and central differences of the measured loss to check it with."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labonn.absorbers import correction, derivative
from labonn.channels import Floats
from labonn.network import Network
from labonn.shots import Bank, Changes, Ints, Readings, ShotTable

DERIVATIVES = ("optical", "exact", "corrected")
ERRORS = ("digital", "optical")


@dataclass(frozen=True)
class Method:
    """How the backward light is made and read.

    Attributes:
        derivative: "optical": the transmission that the pump left (Eq. 5); "corrected": the same times the measured correction, for each
            layer's own weights; "exact": the error is detected before each cell, multiplied by g' (Eq. 6) digitally and sent on.
        error: "digital": z - t computed from the output reading and sent back by modulators (two trips); "optical": by interference
            with a target beam (one trip; "exact" adds one a further cell).
    """

    derivative: str = "optical"
    error: str = "digital"


@dataclass(frozen=True)
class Step:
    """A measured gradient.

    Attributes:
        gradients: (N_l, N_l-1) of the mean loss, one a layer. loss: mean of sum 1/2 (z - t)^2 (Eq. 7).
        outputs: (B, N_L) measured. shots, tables: what it took.
    """

    gradients: list[Floats]
    loss: float
    outputs: Floats
    shots: int
    tables: int


Steps = Generator[ShotTable, Readings, Step]


def backprop(
    network: Network, method: Method, banks: Mapping[str, Bank], rows: Ints, inputs: Floats, targets: Floats, labels: Ints
) -> Steps:
    """The gradient of one mini-batch, by light.

    Args:
        network, method: as set up. banks: weight banks to show first (empty: as they are).
        rows: (B,) images in the input memory. inputs: (B, N0) their fields.
        targets: (classes, N_L) wanted outputs. labels: (B,) class of each image.
    """
    forward = _forward_ports(network, method)
    backward = ("backward_in",) if method.derivative == "exact" else ("backward_out",)
    hidden = network.layers.hidden
    signs: Floats | float = 1.0
    if method.error == "optical" and hidden:
        signs = chop(len(rows), inputs.dtype)
        first = back = yield optical_error_table(network, banks, rows, labels, (*forward, *backward))
        tables = 1
        scale = network.optics.probe / (network.optics.feedback * network.feedback_level)  # taps count in error beams of full modulation
    else:
        first = yield network.forward(banks, rows, forward)
        back, scale, tables = {}, 1.0, 1
    outputs = network.outputs(first)
    error = outputs - targets[labels]
    loss = 0.5 * float(np.vdot(error, error)) / len(rows)
    activations = [inputs, *(network.tapped(first, "forward_out") if hidden else [])]
    if hidden and not back:
        signs = chop(len(rows), error.dtype)
        volts, scale = network.error_volts(error * signs)
        back = yield ShotTable({"error": volts}, {"error": np.arange(len(rows)), "input": rows}, network.dwell_s, backward)
        tables += 1
    deltas: list[Floats] = [error]
    if hidden:
        if method.derivative == "exact":
            deltas = yield from _exact(network, first, back, scale * signs, error)
            tables += len(hidden) - 1
        else:
            deltas = _tapped_errors(network, method, first, back, scale * signs, error)
    gradients = [delta.T @ activation for delta, activation in zip(deltas, activations, strict=True)]
    for gradient in gradients:
        gradient *= gradient.dtype.type(1 / len(rows))
    return Step(gradients, loss, outputs, tables * len(rows), tables)


def _forward_ports(network: Network, method: Method) -> tuple[str, ...]:
    if not network.layers.hidden:
        return ("output",)
    return ("forward_out", "output") if method.derivative == "optical" else ("forward_in", "forward_out", "output")


def optical_error_table(network: Network, banks: Mapping[str, Bank], rows: Ints, labels: Ints, read: tuple[str, ...]) -> ShotTable:
    """Forward light, error by interference with the target beam, and backward light, in the same shots (Fig. 1b).

    The feedback modulator attenuates the error to `feedback_level` and chops it.
    """
    orders = {"input": rows, "target": labels, "feedback": np.arange(len(rows)) % 2}
    return ShotTable({**banks, "feedback": network.feedback_bank()}, orders, network.dwell_s, read)


def _tapped_errors(network: Network, method: Method, first: Readings, back: Readings, scale: Floats | float, error: Floats) -> list[Floats]:
    """Errors at every layer from the taps behind the cells, corrected where that is wanted."""
    deltas = [tap * np.asarray(scale, tap.dtype) for tap in network.tapped(back, "backward_out")]
    if method.derivative == "corrected":
        taps = zip(deltas, network.tapped(first, "forward_in"), network.tapped(first, "forward_out"), strict=True)
        deltas = [d * correction(network.optics.cell, before, after, network.depth) for d, before, after in taps]
    return [*deltas, error]


def _exact(
    network: Network, first: Readings, back: Readings, scale: Floats | float, error: Floats
) -> Generator[ShotTable, Readings, list[Floats]]:
    """Errors at every layer, each read before its cell, multiplied by g' and sent on to the next by modulators."""
    before = network.tapped(first, "forward_in")
    deltas = [error]
    for cell in range(len(before) - 1, -1, -1):
        arrived = network.tapped(back, "backward_in")[cell] * np.asarray(scale, before[cell].dtype)
        deltas.insert(0, arrived * derivative(network.optics.cell, before[cell], network.depth).astype(arrived.dtype, copy=False))
        if cell:
            back, scale = yield from _inject(network, cell, deltas[0])
    return deltas


def chop(shots: int, dtype: Any) -> Floats:
    """(shots, 1) signs + - + - ...: errors are sent with them, readings multiplied by them, and detector offsets cancel in the mean."""
    return np.where(np.arange(shots) % 2, -1, 1).astype(dtype)[:, None]


def _inject(network: Network, cell: int, errors: Floats) -> Generator[ShotTable, Readings, tuple[Readings, Floats | float]]:
    """Send the errors of one cell backward from its own modulators, all other light off."""
    signs = chop(len(errors), errors.dtype)
    columns = network.layers.injected()
    volts, scale = network.error_volts(errors * signs)
    bank = np.full((len(errors), columns[-1].stop), network.optics.modulator.bias_v, volts.dtype)  # type: ignore[union-attr]
    bank[:, columns[cell - 1]] = volts
    back = yield ShotTable({"inject": bank}, {"inject": np.arange(len(errors))}, network.dwell_s, ("backward_in",))
    return back, scale * signs


def measure_outputs(network: Network, banks: Mapping[str, Bank], rows: Ints, chunk: int = 1000) -> Generator[ShotTable, Readings, Floats]:
    """(len(rows), N_L) outputs for images of the input memory."""
    parts = []
    for start in range(0, len(rows), chunk):
        readings = yield network.forward(banks if start == 0 else {}, rows[start : start + chunk], ("output",))
        parts.append(network.outputs(readings))
    return np.concatenate(parts)


def central_differences(
    network: Network, weights: Sequence[Floats], layer: int, indices: Ints, step: float, rows: Ints, targets: Floats, labels: Ints
) -> Generator[ShotTable, Readings, Floats]:
    """dL/dW of some weights, by moving each to either side in the SLM and measuring the loss: 2 frames a weight and one as it is.

    The SLM's gray steps are known, so the three points of each weight need not be equally far apart.

    Args:
        layer: 0 for the first. indices: (P,) flat positions in that layer's matrix. step: of the SLM field.
        rows, targets, labels: the batch.

    Returns:
        (P,) derivatives of the mean loss at the displayed weights.
    """
    banks, port = network.fields(weights), network.layers.weights()[layer]
    base = banks[port][0].astype(np.float64)  # type: ignore[index]
    moved = np.clip(np.concatenate([base[indices] + step, base[indices] - step, base[indices[:1]]]), -1, 1)
    frames = Changes(base, np.concatenate([indices, indices, indices[:1]])[:, None], moved[:, None])
    count, batch = len(moved), len(rows)
    orders = {"input": np.tile(rows, count), port: np.repeat(np.arange(count), batch)}
    readings = yield ShotTable({**banks, port: frames}, orders, network.dwell_s, ("output",))
    error = network.outputs(readings).astype(np.float64).reshape(count, batch, -1) - targets[labels]
    loss = 0.5 * np.sum(error**2, axis=(1, 2)) / batch
    show = network.shown[layer] if network.shown else lambda fields: fields
    up, down, here = (np.asarray(show(part), np.float64) for part in (*np.split(moved[:-1], 2), base[indices]))
    above, below = up - here, here - down
    rise, fall = loss[: len(indices)] - loss[-1], loss[-1] - loss[len(indices) : -1]
    return np.asarray((rise * below / above + fall * above / below) / (above + below) / network.gains[layer])
