"""The simulated bench "mesh_bench": converters at the heaters and modulators of one mesh of interferometers, photodiodes at its outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labonn.benchfile import BenchFile, dataclass_from, unknown_keys
from labonn.calibration.mesh.design import MeshDesign
from labonn.clock import SimulatedClock
from labonn.errors import BenchFileError
from sim_backends.benches.base import SimulatedBench
from sim_backends.firmware.stream_messages import Refusal
from sim_backends.physics.heaters import HeaterSettings
from sim_backends.physics.mesh_bench import MeshLight, MeshSettings

ACTUATORS = ("heaters", "input", "quadrature")
DETECTOR = "outputs"


class MeshBench(SimulatedBench):
    """Emulated instruments of a bench file, coupled by the light of one mesh.

    Args:
        file: the bench file; its ports are called heaters, input, quadrature and outputs, its [nominal.mesh] is the design, and its
            [simulation] has tables heaters and mesh (sim_backends/physics: heaters.py, mesh_bench.py).
        clock: the bench's. ideal: every imperfection off. seed: of hidden truths and noise; None: the file's.

    Raises:
        BenchFileError: a [simulation] key or value is wrong, or a port cannot be simulated.
    """

    def __init__(self, file: BenchFile, clock: SimulatedClock, ideal: bool = False, seed: int | None = None) -> None:
        own = file.simulation.get("seed", 0)
        problems = [f"{file.name}: {line}" for line in unknown_keys(file.simulation, ("bench", "seed", "heaters", "mesh"), "simulation.")]
        if type(own) is not int or own < 0:
            problems.append(f"{file.name}: simulation.seed = {own!r}: a whole number from 0 is wanted")
        if problems:
            raise BenchFileError("\n".join(problems))
        seed, design = own if seed is None else seed, MeshDesign.of(file)
        super().__init__(file, clock, seed)
        self._clock = clock
        _check_ports(file, design, {name: len(port) for name, port in self.instruments.stand_ins().items()})
        heater = design.heater
        nominal = {"p_pi_w": heater.p_pi_w, "resistance_ohm": heater.resistance_ohm, "tau_s": heater.tau_s, "drive": heater.drive}
        table = file.simulation.get("heaters", {})
        heaters = dataclass_from(HeaterSettings, nominal | table, f"{file.name}: simulation.heaters")
        mesh = dataclass_from(MeshSettings, file.simulation.get("mesh", {}), f"{file.name}: simulation.mesh")
        if ideal:
            heaters, mesh = HeaterSettings.ideal(**nominal), mesh.ideal()
        try:
            self.light = MeshLight(design.layout, design.ports, heaters, mesh, seed)
        except ValueError as problem:
            raise BenchFileError(f"{file.name}: simulation.mesh: {problem}") from None
        self._per_v = float(getattr(file.ports["heaters"].options, "behind", ("V", 1.0))[1])
        (adc,) = self.instruments.of(DETECTOR)
        adc.on_fire = lambda shots, dwell_s: self._fire(adc, shots, dwell_s)

    def _fire(self, adc: Any, shots: int, dwell_s: float) -> None:
        now = self._clock.now()
        dacs = {name: self.instruments.of(name)[0] for name in ACTUATORS}
        for name, dac in dacs.items():
            if dac.armed and len(dac.order) != shots:
                raise Refusal("state", f"{name} is armed for {len(dac.order)} shots, not {shots}")
        if adc.armed_shots:
            volts = {name: _played(dac, shots) for name, dac in dacs.items()}
            times = now + np.arange(shots, dtype=np.float64) * dwell_s
            phases = self.light.lagging(volts["heaters"] * self._per_v, dwell_s, times)
            fields = self.light.fields(phases, self.light.inputs(volts["input"], volts["quadrature"]))
            adc.record(self.light.detected_v(fields))
        for dac in dacs.values():
            if dac.armed:
                dac.played()
        self._clock.wait(shots * dwell_s)


def _played(dac: Any, shots: int) -> NDArray[np.float64]:
    """(T, C) volts; 0 where nothing is armed."""
    if not dac.armed:
        return np.zeros((shots, dac.channels))
    return np.asarray(dac.volts(), np.float64)


def _check_ports(file: BenchFile, design: MeshDesign, counts: dict[str, int]) -> None:
    wanted = {"heaters": 2 * design.couplers, "input": design.ports, "quadrature": design.ports, DETECTOR: design.ports}
    for name in {**counts, **wanted}:
        if counts.get(name) != wanted.get(name):
            told = f"has {counts.get(name, 'no')} channels; a mesh bench of {design.ports} ports has {wanted.get(name, 'none')}"
            raise BenchFileError(f"{file.name}: ports.{name}: {told}")
        if len(file.ports[name].links) != 1 or not file.ports[name].driver_name.startswith("stream_"):
            raise BenchFileError(f"{file.name}: ports.{name}: one streaming converter is simulated here, nothing else")
