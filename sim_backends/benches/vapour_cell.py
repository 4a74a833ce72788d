"""The simulated bench of Guo et al. 2021: SLM weights, vapour cells, amplifiers, homodyne taps; light forward and backward."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from labonn.benchfile import BenchFile
from labonn.clock import SimulatedClock
from labonn.errors import BenchFileError, ProcedureError
from labonn.layers import layers_of
from labonn.optics import CELLS, Optics
from sim_backends.benches.base import SimulatedBench
from sim_backends.benches.instruments import Instruments
from sim_backends.benches.vapour_light import Light, LightSettings, Shots
from sim_backends.firmware.stream_messages import Refusal

Fields = NDArray[Any]
TAPS = ("forward_in", "forward_out", "backward_in", "backward_out", "output")
BEAMS = ("input", "target", "feedback", "error", "inject")


class VapourCell(SimulatedBench):
    """Emulated instruments of a bench file, coupled by one light.

    Args:
        file: the bench file; its ports are wired by name (labonn.layers), its [simulation] table has every imperfection.
        clock: the bench's. ideal: every imperfection off. seed: of hidden truths and noise; None: the file's.

    Raises:
        BenchFileError: a [simulation] key or value is wrong, or a port cannot be simulated.
    """

    def __init__(self, file: BenchFile, clock: SimulatedClock, ideal: bool = False, seed: int | None = None) -> None:
        table = dict(file.simulation)
        own_seed = table.get("seed", 0)
        if type(own_seed) is not int or own_seed < 0:
            raise BenchFileError(f"{file.name}: simulation.seed = {own_seed!r}: a whole number from 0 is wanted")
        optics = Optics.of(file)
        cell = table.get("cell", optics.cell)
        if cell not in CELLS:
            raise BenchFileError(f"{file.name}: simulation.cell = {cell!r}: allowed are {', '.join(CELLS)}")
        self._clock = clock
        super().__init__(file, clock, own_seed if seed is None else seed)
        sizes = _sizes(file, self.instruments)
        settings = LightSettings.of(file, ideal)
        try:
            self.light = Light(sizes, cell, optics, settings, own_seed if seed is None else seed, self.instruments.panels(), ideal)
        except ValueError as problem:
            raise BenchFileError(f"{file.name}: simulation: {problem}") from None
        for port in file.ports:
            if port not in (*BEAMS, *TAPS, "gain", "ovens") and not port.startswith("weights"):
                raise BenchFileError(f"{file.name}: ports.{port}: the simulated bench 'vapour_cell' has no such port")
        self._slms = [slm for index in range(len(sizes) - 1) for slm in self.instruments.of(f"weights{index + 1}")]
        self._talks = -1
        start = 0
        for oven in self.instruments.of("ovens"):
            part = slice(start, start + len(oven.targets_c))
            oven.plant = lambda part=part: self._temperatures()[part]
            start = part.stop
        for port in TAPS:
            for emulator in self.instruments.of(port):
                emulator.on_fire = self._fire

        clock.before_wait = self._take_down

    def _temperatures(self) -> Fields:
        return self.light.temperatures(self._clock.now())

    def _take_down(self) -> None:
        """What the slow instruments are set to acts on the light from now on."""
        for index, slm in enumerate(self._slms, start=1):
            self.light.set_frame(index, slm, self._clock.now())
        if self._talks == self.instruments.talks:
            return
        self._talks = self.instruments.talks
        ovens = self.instruments.of("ovens")
        if ovens:
            targets_c, enabled = (self.instruments.values("ovens", attribute) for attribute in ("targets_c", "enabled"))
            self.light.set_ovens(targets_c, enabled, self._clock.now())
        self.light.set_currents(self.instruments.values("gain", "currents_a"))

    def _fire(self, shots: int, dwell_s: float) -> None:
        """The trigger: every armed instrument plays or records its table."""
        dacs = {port: self.instruments.of(port) for port in BEAMS}
        armed = {port: all(d.armed for d in found) for port, found in dacs.items() if found}
        for port, found in dacs.items():
            for dac in found:
                if dac.armed and len(dac.order) != shots:
                    raise Refusal("state", f"{port} is armed for {len(dac.order)} shots, not {shots}")
        adcs = {port: self.instruments.of(port) for port in TAPS}
        for port, found in adcs.items():
            for adc in found:
                if adc.armed_shots not in (0, shots):
                    raise Refusal("state", f"{port} is armed for {adc.armed_shots} shots, not {shots}")
        self._take_down()
        beams = {port: found for port, found in dacs.items() if armed.get(port)}
        wanted = [port for port, found in adcs.items() if found and all(a.armed_shots for a in found)]
        volts = self.light.play(Shots(beams, shots, dwell_s), wanted, self._clock.now())
        for port in wanted:
            start = 0
            for adc in adcs[port]:
                adc.record(volts[port][:, start : start + adc.channels])
                start += adc.channels
        for found in dacs.values():
            for dac in found:
                dac.played()
        self._clock.wait(shots * dwell_s)


def _sizes(file: BenchFile, instruments: Instruments) -> tuple[int, ...]:
    """N0 ... N_L, from the shapes of the SLMs; the simulated light needs all ports of such a bench.

    Raises:
        BenchFileError: a port is missing, or sizes do not fit together.
    """
    try:
        return layers_of(instruments.stand_ins(), instruments.stand_ins(), file.name).sizes  # type: ignore[arg-type]
    except ProcedureError as problem:
        raise BenchFileError(str(problem)) from None
