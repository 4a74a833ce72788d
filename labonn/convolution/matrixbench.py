"""A vapour bench of one matrix that does layers in turn: each is shown, its patches are sent as shots, its cells are read.

The bench is D-C-C: input beams, `weights1`, one cell, and `weights2` as a relay that gives every neuron an error beam of its own. A layer
that is smaller leaves beams dark. Light of one number a neuron is signed and in saturation fields, as everywhere.

White = 5 (App. A.4): a modulator's full light is one saturation field, so inputs from 0 to 5 go out as 0 to 1 and the path gain behind
the matrix (amplifier current) is five times as high: the cells see the same. With the nominal amplifiers (4.0 at 24 mA) this holds up to
a weight of 0.8; beyond that the bench says so. The same is done for measured activations, which may be anything (`Setting.reach`).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labonn.absorbers import correction
from labonn.belief import Inputs
from labonn.channels import Floats
from labonn.convolution.patches import distinct, mean_pool
from labonn.convolution.stages import Stage, relay
from labonn.errors import ProcedureError, UnknownStateError
from labonn.gradients.optical import chop
from labonn.network import Network
from labonn.shots import Bank, Readings, ShotTable

Array = NDArray[Any]
Tables = Generator[ShotTable, Readings, Any]
TABLE_BYTES = 1 << 25  # of an input bank: what a table may take of memory, several times over
TABLE_SHOTS = 60_000  # below the depth of converters
LEVELLED = 512  # patches from which the level of a matrix is measured
RELAY = 0.1  # of the relay's matrix: error beams at the cells stay weak, 0.2 saturation fields at full light
USABLE, FEW = 0.96, 0.01  # of an amplifier's gain; of the weights may be beyond it
ALIKE = 0.8  # least correlation of light with its matrix: of a relay that leaks more, errors do not arrive at their neurons
TAPS = ("forward_in", "forward_out", "backward_in", "backward_out")


@dataclass
class Setting:
    """How a stage is shown.

    Attributes:
        unit: field of a light of 1: white/255 for images of bytes. reach: field that goes out as a modulator's full light; 0: not chosen.
        level: light at the cells over what is believed, measured. back: the same of error beams.
    """

    unit: float = 1.0
    reach: float = 0.0
    level: float = 1.0
    back: float = 1.0


class Behind(NamedTuple):
    """Fields before (z) and behind (a) the cells, (B, *after)."""

    z: Floats
    a: Floats


class Learnt(NamedTuple):
    """A stage's part of a gradient.

    Attributes:
        gradient: (C, D), the sum over patches of <delta a>. deltas: (B shots, C) errors behind the cells, measured; 0 where not sent.
    """

    gradient: Floats
    deltas: Floats


@dataclass
class MatrixBench:
    """What is shown, and the plans that show and read it.

    Attributes:
        network: of a D-C-C bench that has been warmed up. setting: of the stage that is shown. beams: (C, C) that makes error beams one a
            neuron: the inverse of the relay as its SLM displays it, whose zeros are not quite dark.
    """

    network: Network
    setting: Setting = field(default_factory=Setting)
    beams: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    _shown: list[Floats] = field(default_factory=list)

    def show(self, matrix: Floats, setting: Setting) -> Tables:
        """A (C, D) matrix on the SLM, with path gains for `setting`; returns how many weights were beyond the path gain."""
        network, (beams, neurons, _) = self.network, self.network.layers.sizes
        placed: Floats = np.zeros((neurons, beams), network.dtype)
        placed[: len(matrix), : matrix.shape[1]] = matrix * (setting.reach / setting.level)
        beyond = self._projected(placed)
        weights = [placed, relay(neurons, RELAY, network.dtype)]
        network.fit_gains(weights)
        currents = network.currents()
        yield ShotTable({**network.fields(weights), "gain": currents}, dwell_s=network.dwell_s, read=())
        self._shown, self.setting = network.displayed(weights), setting
        self.beams = np.linalg.inv(self._shown[1])
        return beyond

    def _projected(self, matrix: Floats) -> int:
        """Bring weights beyond what the amplifier reaches back to that, in place; how many there were.

        Raises:
            ProcedureError: more than a few of them.
        """
        network = self.network
        most = USABLE * float(network.optics.amplifier.amplitude(network.specs["gain"].upper)[0])
        if network.belief is not None and network.belief.inputs is not None:
            most *= network.belief.inputs.common
        beyond = int(np.count_nonzero(np.abs(matrix) > most))
        if beyond > FEW * np.count_nonzero(matrix):
            name, peak = network.specs["gain"].names[0], float(np.abs(matrix).max())
            told = f"{beyond} weights of up to {peak:.3g} need more than the {most:.3g} of gain/{name} at its upper limit"
            raise ProcedureError(f"weights1: {told}; smaller inputs (white), or a stronger amplifier")
        np.clip(matrix, -most, most, out=matrix)
        return beyond

    def level(self, stage: Stage, light: Array) -> Tables:
        """Compare what is shown with what reaches the cells, for some patches and some errors: the setting's levels, for the next `show`.

        Returns:
            port -> (N,) largest volts of either sign at the taps: what their ranges must hold.
        """
        network, setting = self.network, self.setting
        rows = stage.seen(light[: 1 + LEVELLED // stage.shots * 4])
        rows = rows[distinct(rows).first]
        rows = rows[rows.any(axis=1)][:LEVELLED]
        if not len(rows):
            raise ProcedureError("no light in the images from which the level of the matrix was to be measured")
        errors: Floats = np.random.default_rng(0).uniform(-1, 1, (len(rows), stage.outputs)).astype(network.dtype)
        beams, scale = self._error_beams(errors)
        order = np.arange(len(rows))
        readings = yield ShotTable({"input": self._volts(rows), **beams}, {"input": order, "error": order}, network.dwell_s, TAPS)
        believed = rows * (setting.unit / setting.reach) @ self._shown[0][: stage.outputs, : stage.inputs].T
        arrived = {port: network.tapped(readings, port)[0][:, : stage.outputs] for port in ("forward_in", "backward_in")}
        setting.level = _ratio("forward_in", arrived["forward_in"], believed)
        setting.back = _ratio("backward_in", arrived["backward_in"] * scale, errors)
        return {port: np.abs(volts).max(axis=0) for port, volts in readings.items()}

    def forward(self, stage: Stage, light: Array) -> Tables:
        """Light (B, *before) through the matrix that is shown and its cells; returns Behind. Every distinct patch is one shot."""
        parts: list[Behind] = []
        for some in self._chunks(stage.shots, len(light)):
            readings, order = yield from self._sent(stage.seen(light[some]), ("forward_in", "forward_out"))
            z, a = (self.network.tapped(readings, port)[0][:, : stage.outputs] for port in ("forward_in", "forward_out"))
            parts.append(Behind(stage.placed(z[order]), stage.placed(a[order])))
        return Behind(*map(np.concatenate, zip(*parts, strict=True)))

    def backward(self, stage: Stage, light: Array, errors: Floats, derivative: str = "optical", all_patches: bool = True) -> Tables:
        """Errors (B, *after) against the light that made them, through the cells as it saturates them, shot by shot; returns Learnt.

        Args:
            derivative: "optical": the transmission (Eq. 5). "corrected": that, with the measured correction for this layer's own gradient.
            all_patches: False leaves out those without light, which add nothing to the gradient; their deltas are 0 then.
        """
        network, unit = self.network, self.setting.unit
        gradient, deltas = np.zeros((stage.outputs, stage.inputs)), []
        ports = ("backward_out",) if derivative == "optical" else ("backward_out", "forward_in", "forward_out")
        for some in self._chunks(stage.shots, len(light)):
            rows, e = stage.seen(light[some]), stage.shot_errors(errors[some])
            delta: Floats = np.zeros(e.shape, network.dtype)
            lit = np.flatnonzero(e.any(axis=1) & (True if all_patches else rows.any(axis=1)))
            if len(lit):
                signs = chop(len(lit), network.dtype)
                beams, scale = self._error_beams(e[lit].astype(network.dtype) * signs)
                first, order = distinct(rows[lit])
                banks = {"input": self._volts(rows[lit][first]), **beams}
                readings = yield ShotTable(banks, {"input": order, "error": np.arange(len(lit))}, network.dwell_s, ports)
                delta[lit], own = self._tapped(stage, readings, signs * network.dtype(scale / self.setting.back), derivative)
                gradient += own.T.astype(np.float64) @ rows[lit]
            deltas.append(delta)
        return Learnt(np.asarray(unit * gradient, network.dtype), np.concatenate(deltas))

    def _sent(self, rows: Array, ports: tuple[str, ...]) -> Tables:
        """Shots of (T, D) rows, each distinct one once; returns readings, and which of their shots every row is."""
        first, order = distinct(rows)
        bank = self._volts(rows[first])
        readings = yield ShotTable({"input": bank}, {"input": np.arange(len(first))}, self.network.dwell_s, ports)
        return readings, order

    def _volts(self, rows: Array) -> Bank:
        """(K, N0) modulator volts of (K, D) rows, the beams beside them dark.

        Raises:
            ProcedureError: light beyond what the setting reaches.
        """
        network = self.network
        fields: Floats = np.zeros((len(rows), network.layers.sizes[0]), network.dtype)
        seen = np.multiply(rows, network.dtype(self.setting.unit / self.setting.reach), out=fields[:, : rows.shape[1]])
        peak = float(np.abs(seen).max(initial=0))
        if not peak <= 1 + 1e-5:
            reach = self.setting.reach
            raise ProcedureError(
                f"input: a field of {peak * reach:.4g} saturation fields; full light is {reach:.4g} of them now (Setting.reach)"
            )
        np.clip(fields, -1, 1, out=fields)  # rounding alone
        known = None if network.belief is None else network.belief.inputs
        return network.optics.modulator.volts(fields) if known is None else beam_volts(known, fields)

    def _error_beams(self, errors: Floats) -> tuple[dict[str, Bank], float]:
        """Volts of the error modulators so that errors (T, C) arrive at the cells, and the error that full light stands for there."""
        network = self.network
        neurons = network.layers.sizes[1]
        sent: Floats = np.asarray(errors @ self.beams[: errors.shape[1], :neurons], network.dtype)
        volts, scale = network.error_volts(sent)
        return {"error": volts}, scale

    def _tapped(self, stage: Stage, readings: Readings, scale: Floats, derivative: str) -> tuple[Floats, Floats]:
        """Errors behind the cells: as they travel on, and as this layer's gradient is made of."""
        read = {port: self.network.tapped(readings, port)[0][:, : stage.outputs] for port in readings}
        travelling = read["backward_out"] * scale
        if derivative == "optical":
            return travelling, travelling
        factor = correction(stage.absorber.cell, read["forward_in"], read["forward_out"], stage.absorber.depth)
        return travelling, travelling * factor

    def _chunks(self, shots: int, images: int) -> Iterator[slice]:
        """Images of which a table has room."""
        rows = min(TABLE_SHOTS, TABLE_BYTES // (np.dtype(self.network.dtype).itemsize * self.network.layers.sizes[0]))
        step = max(1, rows // shots)
        return (slice(start, min(start + step, images)) for start in range(0, images, step))


def beam_volts(inputs: Inputs, fields: Floats) -> Floats:
    """(K, C) modulator volts of fields (K, C) from -1 to 1 of a white that all beams have."""
    parts = np.minimum(inputs.common * inputs.reach / inputs.share, 1.0).astype(fields.dtype)
    volts = np.arcsin(fields * parts)
    volts *= (2 * inputs.v_pi_v / np.pi).astype(fields.dtype)
    volts += inputs.bias_v.astype(fields.dtype)
    return np.asarray(volts)


def through(network: Network, errors: Floats, gain: float = 1.0) -> Tables:
    """Errors (T, C) backward through the last matrix of a bench that has a cell in front of it; (T, D) as they arrive there.

    With `Stage.returned` the transpose of a convolution by light: the delta of every patch is one shot backward through the same matrix.

    Args:
        network: of a bench whose last weights show the stage. gain: what is shown is so many times the wanted matrix.
    """
    if not network.layers.hidden:
        raise ProcedureError("errors go back to the cell in front of a matrix; this bench has none")
    signs = chop(len(errors), network.dtype)
    volts, scale = network.error_volts(np.asarray(errors, network.dtype) * signs)
    readings = yield ShotTable({"error": volts}, {"error": np.arange(len(errors))}, network.dwell_s, ("backward_in",))
    return network.tapped(readings, "backward_in")[-1] * (signs * network.dtype(scale / gain))


def pooled_by_reading(fields: Floats, size: int) -> Floats:
    """Mean-pool of fields that were read: patches are shots one after the other, so neighbours never meet in light; detectors' means do."""
    return mean_pool(fields, size) if size else fields


def _ratio(port: str, read: Floats, believed: Floats) -> float:
    """What was read over what was believed, by least squares.

    Raises:
        UnknownStateError: the two have little to do with each other.
    """
    ratio = float(np.vdot(believed, read) / np.vdot(believed, believed))
    norms = float(np.linalg.norm(read) * np.linalg.norm(believed))
    alike = float(np.vdot(believed, read)) / norms if norms else 0.0
    if not (alike > ALIKE and 0.2 < ratio < 5):
        told = f"correlation {alike:.3g}, ratio {ratio:.3g}"
        raise UnknownStateError(
            f"{port}: the light is not that of the matrix that is shown ({told}); a beam blocked, or the wrong monitor?"
        )
    return ratio
