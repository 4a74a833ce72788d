"""Tables for a mesh between modulators and photodiodes: settings of all heaters, with all beams lit in turn at each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labonn.bench import Bench, Plan
from labonn.calibration.fitting import Mask
from labonn.calibration.judging import raise_failed
from labonn.calibration.mesh.design import MeshDesign
from labonn.channels import Floats
from labonn.errors import CalibrationError, ProcedureError
from labonn.meshes import Numbers
from labonn.optics import Modulator
from labonn.shots import ShotTable

PORTS = ("heaters", "input", "quadrature", "outputs")
KIND = "mesh"
FULL = 0.995  # of a detector's range: readings beyond are taken as saturated
DARK = 0.05  # of the usual light
MOST_SATURATED = 0.1  # of the readings


@dataclass(frozen=True)
class MeshSweep:
    """How a mesh is driven and read.

    Attributes:
        names: (P,) of the heaters. inputs, outputs: (N,) names. lower, upper: (P,) limits of the heaters' port. watts: its unit is W.
        full_scale: (N,) of the detectors. modulator: believed curve of all inputs. steps: of the converters at heaters and inputs, 0 where
        they take any number. dwell_s: of a shot; heaters are settled in less.
    """

    names: Sequence[str]
    inputs: Sequence[str]
    outputs: Sequence[str]
    lower: Floats
    upper: Floats
    watts: bool
    full_scale: Floats
    modulator: Modulator
    steps: tuple[float, float] = (0.0, 0.0)
    dwell_s: float = 2e-5

    @classmethod
    def of(cls, bench: Bench, design: MeshDesign, dwell_s: float) -> MeshSweep:
        """For an open bench.

        Raises:
            ProcedureError: it has no such ports, or with other channels than the design says.
        """
        wanted = dict(zip(PORTS, (2 * design.couplers, *[design.ports] * 3), strict=True))
        for port, count in wanted.items():
            if port not in bench.specs or len(bench.specs[port]) != count:
                has = f"has {len(bench.specs[port])} channels" if port in bench.specs else "is missing"
                raise ProcedureError(f"{bench.file.name}: ports.{port} {has}; a mesh of {design.ports} ports needs {count}")
        heaters, inputs, _, outputs = (bench.specs[port] for port in PORTS)
        if heaters.unit != design.heater.drive:
            raise ProcedureError(f"heaters are set in {heaters.unit}; nominal.heater.drive is {design.heater.drive}")
        lower, upper = np.maximum(np.asarray(heaters.lower, np.float64), 0.0), np.asarray(heaters.upper, np.float64)
        return cls(
            heaters.names, inputs.names, outputs.names, lower, upper, heaters.unit == "W", np.asarray(outputs.upper, np.float64),
            design.modulator, (float(np.max(heaters.step)), float(np.max(inputs.step))), dwell_s,
        )  # fmt: skip

    def powers(self, driven: Floats) -> Floats:
        """What the heat is nearly proportional to: watts, or squares of volts."""
        return driven if self.watts else np.square(driven)

    def driven(self, powers: Floats) -> Floats:
        """The other way round."""
        return powers if self.watts else np.sqrt(powers)

    def random(self, settings: int, rng: np.random.Generator) -> Floats:
        """(S, P) drives of random powers, which the converter has codes for."""
        low, high = self.powers(self.lower), self.powers(self.upper)
        driven, step = self.driven(low + (high - low) * rng.random((settings, len(low)))), self.steps[0]
        return np.clip(np.rint(driven / step) * step, self.lower, self.upper) if step else driven

    def rounded(self, wanted: Numbers) -> Numbers:
        """Fields (B, N) that the modulators' converters have codes for."""
        step, rate, bias = self.steps[1], 0.5 * np.pi / self.modulator.v_pi_v, self.modulator.bias_v
        if not step:
            return wanted
        parts = [self.modulator.volts(np.ascontiguousarray(part, np.float64)) for part in (wanted.real, wanted.imag)]
        one, two = (np.sin(rate * (np.rint(volts / step) * step - bias)) for volts in parts)
        return np.asarray(one + 1j * two)

    def banks(self, driven: Floats, wanted: Numbers) -> dict[str, Any]:
        """Of heaters (S, P) and modulators (B, N)."""
        parts = [np.ascontiguousarray(part, np.float64) for part in (np.real(wanted), np.imag(wanted))]
        volts = [self.modulator.volts(part) for part in parts]
        return {"heaters": np.array(driven), "input": volts[0], "quadrature": volts[1]}

    def read(self, driven: Floats, wanted: Numbers) -> Plan[tuple[Floats, Mask]]:
        """(volts (S, B, N) of all settings (S, P) and beams (B, N), which are not saturated); heaters settle in one more shot each."""
        settings, beams = len(driven), np.concatenate([[0], np.arange(len(wanted))])
        fast, slow = np.tile(beams, settings), np.repeat(np.arange(settings), len(beams))
        orders = {"heaters": slow, "input": fast, "quadrature": fast.copy()}
        readings = yield ShotTable(self.banks(driven, wanted), orders, self.dwell_s, ("outputs",))
        y = readings["outputs"].astype(np.float64).reshape(settings, len(beams), -1)[:, 1:]
        return y, np.abs(y) < FULL * self.full_scale

    def check_light(self, y: Floats, used: Mask) -> None:
        """Raise CalibrationError for beams without light, outputs that see none, and detectors that saturate.

        Args:
            y, used: (S, N, N) of single beams at random settings, which light all outputs.
        """
        many = np.mean(~used, axis=(0, 1)) > MOST_SATURATED
        told = {
            str(self.outputs[int(d)]): f"saturated: {int(np.sum(~used[:, :, d]))} of {used[:, :, d].size} readings"
            for d in np.flatnonzero(many)
        }
        raise_failed(KIND, "outputs", told, len(self.outputs), 0)
        for port, names, axes in (("input", self.inputs, (0, 2)), ("outputs", self.outputs, (0, 1))):
            light = np.mean(y, axis=axes)
            if not float(np.max(light)) > 0:
                raise CalibrationError(f"{port}: no light at all during the {KIND} calibration; is the laser on?")
            dark = np.flatnonzero(light < DARK * np.median(light[light > 0]))
            what = "blocked: no output sees this beam" if port == "input" else "dark: it sees no beam; a blocked fibre or a dead detector?"
            raise_failed(KIND, port, {str(names[int(i)]): what for i in dark}, len(names), 0)

    def raise_failed(self, words: Mapping[str, str]) -> None:
        """Raise CalibrationError if there are words about heaters: a mesh needs all of them."""
        raise_failed(KIND, "heaters", words, len(self.names), 0)
