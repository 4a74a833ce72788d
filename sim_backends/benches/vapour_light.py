"""The light of the vapour-cell bench: fields of all shots at once, forward through SLMs and cells and back through the same."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from labonn.optics import Optics
from sim_backends.benches.vapour_drives import Drive, Fields, Memory, Shots
from sim_backends.benches.vapour_settings import PARTS, LightSettings
from sim_backends.physics.cells import Cells
from sim_backends.physics.detectors import HomodyneArray
from sim_backends.physics.drift import Laser
from sim_backends.physics.gain import Amplifiers
from sim_backends.physics.modes import Modes
from sim_backends.physics.modulators import Modulators
from sim_backends.physics.noise import Noise
from sim_backends.physics.ovens import OvenPlant
from sim_backends.physics.slm import Panel

__all__ = ["PARTS", "Light", "LightSettings", "Shots"]

Passage = tuple[list[Fields], list[Fields], list[Fields]]  # fields before and behind every cell, and the cells' transmissions
PIECE_S = 1.0
DEPTH_TICK_S = 0.1


class Light:
    """All that happens between modulators and detectors.

    Args:
        sizes: N0 ... N_L. cell: the cells' model. optics: nominal levels of detectors and probe, which the bench was built to.
        settings: imperfections. seed: of hidden truths and noise. panels: (bits, pixels (rows, columns)) of each SLM.
        ideal: cells follow the nominal curve of depth against temperature, and light is computed in float64.
    """

    unsaved: ClassVar[tuple[str, ...]] = ("_memory",)  # made again when it is wanted

    def __init__(
        self, sizes: tuple[int, ...], cell: str, optics: Optics, settings: LightSettings, seed: int,
        panels: list[tuple[int, tuple[int, int]]],
        ideal: bool = False,
    ) -> None:  # fmt: skip
        self.count, self._optics, noise = len(sizes) - 1, optics, Noise(seed)
        hidden, outer = sizes[1:-1], sizes[-1]
        edges = np.cumsum([0, *hidden])
        self._taps = [slice(int(a), int(b)) for a, b in pairwise(edges)]
        self._injected = [slice(t.start - hidden[0], t.stop - hidden[0]) for t in self._taps]
        dtype = np.float64 if ideal else np.float32
        self._panels = [
            Panel(rows, columns, bits, replace(settings.slm, native_rows=h, native_columns=w), noise.child(f"weights{i}"), dtype)
            for i, (rows, columns, (bits, (h, w))) in enumerate(zip(sizes[1:], sizes, panels, strict=False), start=1)
        ]
        self._shapes = list(zip(sizes[1:], sizes, strict=False))
        self._full_light = 10 ** (settings.modulators.insertion_db / 20)  # the laser makes up for the modulators' insertion loss
        self._white = optics.white
        self._law = optics.oven.depth_at if ideal else None
        channels = {"input": sizes[0], "target": outer, "feedback": 1, "error": outer, "inject": sum(hidden[1:])}
        self._modulators = {p: Modulators(n, settings.modulators, noise.child(p)) for p, n in channels.items() if n}
        taps = dict.fromkeys(("forward_in", "forward_out", "backward_in", "backward_out"), sum(hidden)) | {"output": outer}
        self._detectors = {p: HomodyneArray(n, settings.detectors, noise.child(p)) for p, n in taps.items() if n}
        self._laser = Laser(settings.laser, noise.child("laser"))
        self._amplifiers = Amplifiers(self.count, settings.gain, noise.child("gain"))
        self._spontaneous = noise.child("spontaneous emission")
        self._plant = OvenPlant(len(hidden), settings.ovens, noise.child("ovens"))
        self.cells = Cells(cell, hidden, settings.cells, noise.child("cells"))
        self.modes = Modes(hidden, outer, settings.modes, noise.child("modes"))
        self._empty = settings.cells.empty
        self._set_ovens = self._set_currents = 0
        self._versions = [0] * self.count
        self._currents, self._amplitudes, self._ase = np.zeros(0), np.zeros(self.count), np.zeros(self.count)
        self._depths: tuple[Any, Fields] = (None, np.zeros(len(hidden)))
        self._remembered: tuple[Any, Passage] = (None, ([], [], []))

    def set_frame(self, index: int, slm: Any, now_s: float) -> None:
        """The SLM of layer `index` (from 1) shows what its instrument holds."""
        if slm.version != self._versions[index - 1]:
            panel = self._panels[index - 1]
            panel.show(slm.block(*self._shapes[index - 1]), now_s)
            self._versions[index - 1] = slm.version

    def set_currents(self, currents_a: Fields) -> None:
        """Amplifier currents, all layers."""
        if not np.array_equal(currents_a, self._currents):
            self._currents, self._set_currents = currents_a.copy(), self._set_currents + 1
            self._amplitudes, self._ase = self._amplifiers.amplitude(currents_a), self._amplifiers.ase_sigma(currents_a)

    def set_ovens(self, targets_c: Fields, enabled: Fields, now_s: float) -> None:
        """Set points and output enables, all cells."""
        self._plant.drive(targets_c, enabled, now_s)
        self._set_ovens += 1

    def temperatures(self, now_s: float) -> Fields:
        """(H,) oven temperatures in degC."""
        return self._plant.temperatures(now_s)

    def depths(self, now_s: float) -> Fields:
        """(H,) true optical depths, renewed every tenth of a second."""
        key = (self._set_ovens, int(now_s / DEPTH_TICK_S))
        if key != self._depths[0]:
            celsius = self._plant.temperatures(now_s)
            depths = self._plant.by_law(self._law, celsius) if self._law else self._plant.optical_depth(celsius)
            self._depths = (key, np.zeros_like(depths) if self._empty else depths)
        return self._depths[1]

    def play(self, shots: Shots, wanted: list[str], now_s: float) -> dict[str, Fields]:
        """(T, D) volts at every wanted detector; in pieces short enough for drifts to stand still."""
        step = max(1, int(PIECE_S / shots.dwell_s))
        drives = {port: Drive(found) for port, found in shots.beams.items()}
        parts: list[dict[str, Fields]] = []
        for start in range(0, shots.count, step):
            part = slice(start, min(start + step, shots.count))
            key = None
            if "input" in shots.beams and step >= shots.count:
                key = tuple((d.bank_version, d.order.tobytes()) for d in shots.beams["input"])
            now = now_s + start * shots.dwell_s
            beams = {p: d if key else d.part(part) for p, d in drives.items()}
            fields = self._propagate(beams, part.stop - start, wanted, now, key, shots.dwell_s)
            phase_rad = self._laser.phase_rad(now)
            parts.append({port: self._detectors[port].volts(f, now, phase_rad, shots.dwell_s) for port, f in fields.items()})
        return parts[0] if len(parts) == 1 else {port: np.concatenate([p[port] for p in parts]) for port in wanted}

    def _propagate(
        self, drives: dict[str, Drive], count: int, wanted: list[str], now_s: float, key: Any, dwell_s: float
    ) -> dict[str, Fields]:
        dtype = next((d.dtype for d in drives.values()), np.dtype(np.float32))
        level = self._laser.shot_amplitudes(count, now_s, dtype)[:, None] * dtype.type(self._full_light)
        beams = {p: self._modulators[p].fields(d.volts(), now_s) * level for p, d in drives.items() if p != "input"}
        z, a, t = self._forward(drives.get("input"), level, now_s, key, dwell_s)
        found: dict[str, Fields] = {"output": z[-1]} if "output" in wanted else {}
        taps: dict[str, list[Fields]] = {"forward_in": z[:-1], "forward_out": self.cells.seen(a)}
        if "backward_in" in wanted or "backward_out" in wanted:
            taps["backward_in"], taps["backward_out"] = self._backward(beams, z[-1], t, count, now_s, dtype, dwell_s)
        return found | {port: np.concatenate(fields, axis=1) for port, fields in taps.items() if port in wanted}

    def _forward(self, drive: Drive | None, level: Fields, now_s: float, key: Any, dwell_s: float) -> Passage:
        """Fields before (z) and behind (a) every cell, and the cells' transmissions (t); z also of the output.

        Remembered while nothing has changed since the last play: images, SLMs (their flicker too), modulators, amplifiers, cells and
        the laser's mean power. Between such plays only the white noise of laser and amplifiers would differ, 1e-4 of the light and less;
        noise of the modes is drawn anew for new light, as for a mini-batch in App. D.
        """
        depths = self.depths(now_s)
        if drive is None:
            z = [np.zeros((len(level), rows), level.dtype) for rows, _ in self._shapes]
            passed = [self.cells.transmission(i, z[i], level.dtype.type(depth)) for i, depth in enumerate(depths)]
            return z, z[:-1], passed
        state = (key, self._modulators["input"].key(now_s), self._depths[0], self._set_currents, self._laser.amplitude(now_s), dwell_s)
        whole = (*state, *((p.key(now_s), p.refresh(now_s)) for p in self._panels))
        if key is None or whole != self._remembered[0]:
            self._remembered = (whole, self._through(self._inputs(drive, now_s), level, now_s, dwell_s, depths))
        return self._remembered[1]

    def _inputs(self, drive: Drive, now_s: float) -> Fields:
        """(T, N0) fields behind the input modulators; of steady ones each row of the memory is computed once."""
        modulators, found = self._modulators["input"], drive.memory()
        if found is None or not modulators.steady:
            return modulators.fields(drive.volts(), now_s)
        memory: Memory | None = self.__dict__.get("_memory")
        if memory is None or memory.bank is not found[0]:
            memory = self._memory = Memory(found[0])
        return memory.fields(found[1], modulators, now_s)

    def _through(self, light: Fields, level: Fields, now_s: float, dwell_s: float, depths: Fields) -> Passage:
        z: list[Fields] = []
        a: list[Fields] = []
        t: list[Fields] = []
        dtype = level.dtype
        light *= level if self._white == 1 else level * dtype.type(self._white)
        for index, panel in enumerate(self._panels):
            light = panel.blur_columns(light)
            shown = light @ panel.field(now_s).astype(dtype, copy=False).T
            flicker = panel.flicker(light, shown.shape[1], dwell_s)
            if flicker is not None:
                shown += flicker
            z.append(panel.blur_rows(shown))
            z[-1] *= dtype.type(self._amplitudes[index])
            self._amplifiers.saturate(z[-1], float(self._amplitudes[index]))
            if self._ase[index] > 0:
                z[-1] += self._spontaneous.normal(z[-1].shape, dtype) * dtype.type(self._ase[index])
            if index < len(depths):
                self.cells.block(index, z[-1])
                t.append(self.cells.transmission(index, z[-1], dtype.type(depths[index])))
                a.append(self.modes.forward(index, z[-1] * t[-1]))
                light = a[-1]
        return z, a, t

    def _backward(
        self, beams: dict[str, Fields], output: Fields, t: list[Fields], count: int, now_s: float, dtype: Any, dwell_s: float
    ) -> tuple[list[Fields], list[Fields]]:
        """Weak backward fields before (arrived) and behind (passed) every cell; they add to no pump."""
        error: Fields | None = None
        if "error" in beams:
            error = dtype.type(self._optics.probe) * beams["error"]
        if "feedback" in beams:
            mixed = (output - beams["target"] if "target" in beams else output) * (beams["feedback"] * dtype.type(self._optics.feedback))
            error = mixed if error is None else error + mixed
        if error is not None:
            error = self.modes.backward(self.count - 1, error)
        arrived: list[Fields] = []
        passed: list[Fields] = []
        for index in range(self.count - 1, 0, -1):
            panel = self._panels[index]
            if error is None:
                arrived.insert(0, np.zeros((count, self._shapes[index][1]), dtype))
            else:
                sent = panel.blur_rows(error)
                back = sent @ panel.field(now_s).astype(dtype, copy=False)
                flicker = panel.flicker(sent, back.shape[1], dwell_s)
                if flicker is not None:
                    back += flicker
                arrived.insert(0, panel.blur_columns(back))
                arrived[0] *= dtype.type(self._amplitudes[index])
            passed.insert(0, self.modes.backward(index - 1, arrived[0] * t[index - 1]))
            error = passed[0] if error is not None else None
            if "inject" in beams and index > 1:
                sent = self.modes.backward(index - 1, dtype.type(self._optics.probe) * beams["inject"][:, self._injected[index - 1]])
                error = sent if error is None else error + sent
        return arrived, passed
