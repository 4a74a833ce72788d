"""The light of the vapour-cell bench: fields of all shots at once, forward through SLMs and cells and back through the same."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labonn.benchfile import BenchFile, dataclass_from, unknown_keys
from labonn.errors import BenchFileError
from labonn.optics import Optics
from sim_backends.physics.absorbers import transmission
from sim_backends.physics.detectors import DetectorSettings, HomodyneArray
from sim_backends.physics.drift import Laser, LaserSettings
from sim_backends.physics.gain import Amplifiers, GainSettings
from sim_backends.physics.modulators import Modulators, ModulatorSettings
from sim_backends.physics.noise import Noise
from sim_backends.physics.ovens import OvenPlant, OvenSettings
from sim_backends.physics.slm import Panel, SlmSettings

Fields = NDArray[Any]
PIECE_S = 1.0
PARTS: dict[str, Any] = {
    "slm": SlmSettings, "modulators": ModulatorSettings, "detectors": DetectorSettings, "laser": LaserSettings, "gain": GainSettings, "ovens": OvenSettings,
}  # fmt: skip


@dataclass(frozen=True)
class LightSettings:
    """Every imperfection of the light, part by part; the [simulation.PART] tables of a bench file."""

    slm: SlmSettings = field(default_factory=SlmSettings)
    modulators: ModulatorSettings = field(default_factory=ModulatorSettings)
    detectors: DetectorSettings = field(default_factory=DetectorSettings)
    laser: LaserSettings = field(default_factory=LaserSettings)
    gain: GainSettings = field(default_factory=GainSettings)
    ovens: OvenSettings = field(default_factory=OvenSettings)

    @classmethod
    def of(cls, file: BenchFile, ideal: bool) -> LightSettings:
        """The file's settings; with `ideal` all imperfections off, whatever the file says (its tables are still checked).

        Raises:
            BenchFileError: unknown keys or wrong values.
        """
        problems = unknown_keys(file.simulation, ["bench", "seed", "cell", *PARTS], "simulation.")
        if problems:
            raise BenchFileError("\n".join(f"{file.name}: {p}" for p in problems))
        parts = {k: dataclass_from(c, file.simulation.get(k, {}), f"{file.name}: simulation.{k}") for k, c in PARTS.items()}
        return cls(**{key: part.ideal() for key, part in PARTS.items()}) if ideal else cls(**parts)


@dataclass(frozen=True)
class Shots:
    """One firing: the DACs that play in it (port -> instruments), how many shots, how long each."""

    beams: Mapping[str, list[Any]]
    count: int
    dwell_s: float


class Light:
    """All that happens between modulators and detectors.

    Args:
        sizes: N0 ... N_L. cell: the cells' model. optics: nominal levels of detectors and probe, which the bench was built to.
        settings: imperfections. seed: of hidden truths and noise. panels: (bits, pixels (rows, columns)) of each SLM.
        ideal: cells follow the nominal curve of depth against temperature, and light is computed in float64.
    """

    def __init__(
        self, sizes: tuple[int, ...], cell: str, optics: Optics, settings: LightSettings, seed: int, panels: list[tuple[int, tuple[int, int]]],
        ideal: bool = False,
    ) -> None:  # fmt: skip
        self.count, self._cell, self._optics, noise = len(sizes) - 1, cell, optics, Noise(seed)
        hidden, outer = sizes[1:-1], sizes[-1]
        edges = np.cumsum([0, *hidden])
        self._taps = [slice(int(a), int(b)) for a, b in zip(edges, edges[1:], strict=False)]
        self._injected = [slice(t.start - hidden[0], t.stop - hidden[0]) for t in self._taps]
        self._panels = [
            Panel(rows, columns, bits, replace(settings.slm, native_rows=h, native_columns=w), noise.child(f"weights{i}"), np.float64 if ideal else np.float32)
            for i, (rows, columns, (bits, (h, w))) in enumerate(zip(sizes[1:], sizes, panels, strict=False), start=1)
        ]
        self._shapes = list(zip(sizes[1:], sizes, strict=False))
        self._full_light = 10 ** (settings.modulators.insertion_db / 20)  # the laser makes up for the modulators' insertion loss
        self._law = optics.oven.depth_at if ideal else None
        channels = {"input": sizes[0], "target": outer, "feedback": 1, "error": outer, "inject": sum(hidden[1:])}
        self._modulators = {p: Modulators(n, settings.modulators, noise.child(p)) for p, n in channels.items() if n}
        taps = dict.fromkeys(("forward_in", "forward_out", "backward_in", "backward_out"), sum(hidden)) | {"output": outer}
        self._detectors = {p: HomodyneArray(n, settings.detectors, noise.child(p)) for p, n in taps.items() if n}
        self._laser = Laser(settings.laser, noise.child("laser"))
        self._amplifiers = Amplifiers(self.count, settings.gain, noise.child("gain"))
        self._spontaneous = noise.child("spontaneous emission")
        self._plant = OvenPlant(len(hidden), settings.ovens, noise.child("ovens"))
        self._versions = [0] * self.count
        self._currents, self._amplitudes, self._ase = np.zeros(0), np.zeros(self.count), np.zeros(self.count)
        self._depths: tuple[Any, Fields] = (None, np.zeros(len(hidden)))
        self._first: tuple[Any, Any] = (None, None)

    def set_frame(self, index: int, slm: Any, now_s: float) -> None:
        """The SLM of layer `index` (from 1) shows what its instrument holds."""
        if slm.version != self._versions[index - 1]:
            panel = self._panels[index - 1]
            panel.show(slm.block(*self._shapes[index - 1]), now_s)
            self._versions[index - 1] = slm.version

    def set_currents(self, currents_a: Fields) -> None:
        """Amplifier currents, all layers."""
        if not np.array_equal(currents_a, self._currents):
            self._currents = currents_a.copy()
            self._amplitudes, self._ase = self._amplifiers.amplitude(currents_a), self._amplifiers.ase_sigma(currents_a)

    def set_ovens(self, targets_c: Fields, enabled: Fields, now_s: float) -> None:
        """Set points and output enables, all cells."""
        self._plant.drive(targets_c, enabled, now_s)

    def temperatures(self, now_s: float) -> Fields:
        """(H,) oven temperatures in degC."""
        return self._plant.temperatures(now_s)

    def depths(self, now_s: float) -> Fields:
        """(H,) true optical depths."""
        key = self._plant.key(now_s)
        if key != self._depths[0]:
            celsius = self._plant.temperatures(now_s)
            self._depths = (key, self._law(celsius) if self._law else self._plant.optical_depth(celsius))
        return self._depths[1]

    def play(self, shots: Shots, wanted: list[str], now_s: float) -> dict[str, Fields]:
        """(T, D) volts at every wanted detector; in pieces short enough for drifts to stand still."""
        step = max(1, int(PIECE_S / shots.dwell_s))
        volts = {port: [d.volts() for d in found] for port, found in shots.beams.items()}
        drives = {port: v[0] if len(v) == 1 else np.concatenate(v, axis=1) for port, v in volts.items()}
        parts: list[dict[str, Fields]] = []
        for start in range(0, shots.count, step):
            part = slice(start, min(start + step, shots.count))
            key = None
            if "input" in shots.beams and step >= shots.count:
                key = tuple((d.bank_version, d.order.tobytes()) for d in shots.beams["input"])
            now = now_s + start * shots.dwell_s
            fields = self._propagate({p: d[part] for p, d in drives.items()}, part.stop - start, wanted, now, key, shots.dwell_s)
            parts.append({port: self._detectors[port].volts(f, now, self._laser.phase_rad(now), shots.dwell_s) for port, f in fields.items()})
        return parts[0] if len(parts) == 1 else {port: np.concatenate([p[port] for p in parts]) for port in wanted}

    def _propagate(self, drives: dict[str, Fields], count: int, wanted: list[str], now_s: float, key: Any, dwell_s: float) -> dict[str, Fields]:
        dtype = next((d.dtype for d in drives.values()), np.dtype(np.float32))
        level = self._laser.shot_amplitudes(count, now_s, dtype)[:, None] * dtype.type(self._full_light)
        beams = {p: self._modulators[p].fields(d, now_s) * level for p, d in drives.items() if p != "input"}
        z, a, t = self._forward(drives.get("input"), level, count, now_s, key, dtype, dwell_s)
        found: dict[str, Fields] = {"output": z[-1]} if "output" in wanted else {}
        for port, values in (("forward_in", z[:-1]), ("forward_out", a)):
            if port in wanted:
                found[port] = np.concatenate(values, axis=1)
        if "backward_in" in wanted or "backward_out" in wanted:
            arrived, passed = self._backward(beams, z[-1], t, count, now_s, dtype, dwell_s)
            for port, values in (("backward_in", arrived), ("backward_out", passed)):
                if port in wanted:
                    found[port] = np.concatenate(values, axis=1)
        return found

    def _forward(
        self, drive: Fields | None, level: Fields, count: int, now_s: float, key: Any, dtype: Any, dwell_s: float
    ) -> tuple[list[Fields], list[Fields], list[Fields]]:
        """Fields before (z) and behind (a) every cell, and the cells' transmissions (t); z also of the output."""
        depths, z, a, t = self.depths(now_s), [], [], []
        for index, panel in enumerate(self._panels):
            if drive is None:
                z.append(np.zeros((count, self._shapes[index][0]), dtype))
            elif index == 0:
                inputs, shown = self._first_layer(drive, now_s, key)
                z.append(_plus(shown, panel.flicker(inputs, shown.shape[1], dwell_s)) * (level * dtype.type(self._amplitudes[0])))
            else:
                inputs = panel.blur_columns(a[-1])
                shown = inputs @ panel.field(now_s).astype(dtype, copy=False).T
                z.append(panel.blur_rows(_plus(shown, panel.flicker(inputs, shown.shape[1], dwell_s))))
                z[-1] *= dtype.type(self._amplitudes[index])
            if drive is not None and self._ase[index] > 0:
                z[-1] += self._spontaneous.normal(z[-1].shape, dtype) * dtype.type(self._ase[index])
            if index < len(depths):
                t.append(transmission(self._cell, z[-1], dtype.type(depths[index])))
                a.append(z[-1] * t[-1])
        return z, a, t

    def _first_layer(self, drive: Fields, now_s: float, key: Any) -> tuple[Fields, Fields]:
        """Images at the first SLM, and through the first SLM at unit laser and amplifier; remembered while neither images nor SLM nor modulators have changed."""
        panel, modulators = self._panels[0], self._modulators["input"]
        whole = (key, panel.key(now_s), modulators.key(now_s))
        if key is None or self._first[0] != whole:
            inputs = panel.blur_columns(modulators.fields(drive, now_s))
            self._first = (whole, (inputs, panel.blur_rows(inputs @ panel.field(now_s).astype(inputs.dtype, copy=False).T)))
        return self._first[1]

    def _backward(
        self, beams: dict[str, Fields], output: Fields, t: list[Fields], count: int, now_s: float, dtype: Any, dwell_s: float
    ) -> tuple[list[Fields], list[Fields]]:
        """Weak backward fields before (arrived) and behind (passed) every cell; linear, so that they add to no pump."""
        error: Fields | None = None
        if "error" in beams:
            error = dtype.type(self._optics.probe) * beams["error"]
        if "feedback" in beams:
            mixed = (output - beams["target"] if "target" in beams else output) * (beams["feedback"] * dtype.type(self._optics.feedback))
            error = mixed if error is None else error + mixed
        arrived: list[Fields] = []
        passed: list[Fields] = []
        for index in range(self.count - 1, 0, -1):
            panel = self._panels[index]
            if error is None:
                arrived.insert(0, np.zeros((count, self._shapes[index][1]), dtype))
            else:
                sent = panel.blur_rows(error)
                back = sent @ panel.field(now_s).astype(dtype, copy=False)
                arrived.insert(0, panel.blur_columns(_plus(back, panel.flicker(sent, back.shape[1], dwell_s))))
                arrived[0] *= dtype.type(self._amplitudes[index])
            passed.insert(0, arrived[0] * t[index - 1])
            error = passed[0] if error is not None else None
            if "inject" in beams and index > 1:
                sent = dtype.type(self._optics.probe) * beams["inject"][:, self._injected[index - 1]]
                error = sent if error is None else error + sent
        return arrived, passed


def _plus(light: Fields, flicker: Fields | None) -> Fields:
    return light if flicker is None else np.add(light, flicker)


def described(settings: LightSettings) -> dict[str, dict[str, Any]]:
    """All settings as plain tables, for a record of the run."""
    return {part: dataclasses.asdict(getattr(settings, part)) for part in PARTS}
