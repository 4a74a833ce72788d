"""A bench as one QCoDeS instrument, with a module for every port."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qcodes.instrument import Instrument
from qcodes.validators import Ints, Numbers

import labonn
from labonn.adapters.qcodes_ports import ActuatorPort, DetectorPort
from labonn.adapters.qcodes_values import AllMeans
from labonn.bench import Bench, Plan, Result
from labonn.guardian.client import RemoteBench
from labonn.record.hardware import state_of
from labonn.setpoints import Setpoints, Values
from labonn.shots import Readings, ShotTable

if TYPE_CHECKING:
    from qcodes.parameters import Parameter


class BenchInstrument(Instrument):
    """Ports as modules, channels as parameters with the bench's limits, whole ports as arrays.

        bench = BenchInstrument("desk", "procedures/benches/desk.toml", dry_run=True)
        station = Station(bench)
        bench.laser.ld(0.05)                             # A; checked, played, read back
        bench.modulators.values(np.array([1.0, 2.0]))    # the whole port, one table
        bench.put({"laser": 0.06, "modulators": {"ch1": 2.0}})  # several ports, one table
        bench.shots(100)
        bench.outputs.mean()                             # (channels,) of one table of 100 shots; .record has them all
        dond(LinSweep(bench.laser.ld, 0, 0.1, 21), bench.readings)  # all detectors, of the same shots
        bench.close()                                    # everything safe

    What is set stays, as labonn.setpoints tells; where a play fails, everything is made safe.

    Args:
        name: of the instrument. bench: an open Bench or RemoteBench, which stays open; or a bench file, or a guardian's URL, opened and
            closed with the instrument, so that a station's YAML file can have it.
        dry_run, options: (bench file) as `Bench.open` has them. shots, dwell_s: of a reading, until the parameters are set.

    Attributes:
        bench: it. points: what its actuators are set to.
    """

    def __init__(
        self, name: str, bench: Bench | RemoteBench | str | Path, dry_run: bool = False, shots: int = 1, dwell_s: float = 1e-2,
        **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(name)
        self._own = isinstance(bench, (str, Path))
        self.bench = _opened(bench, dry_run, options) if isinstance(bench, (str, Path)) else bench
        try:
            self.points = Setpoints(self.bench, dwell_s, shots)
            self._add_ports()
        except BaseException:
            if self._own:
                self.bench.close()
            raise

    def _add_ports(self) -> None:
        points = self.points
        self.dwell: Parameter = self.add_parameter(
            "dwell", unit="s", label="time of a shot", get_cmd=lambda: points.dwell_s, set_cmd=self._set_dwell, vals=Numbers(1e-9, 1e5)
        )
        self.shots: Parameter = self.add_parameter(
            "shots", label="shots of a reading", get_cmd=lambda: points.shots, set_cmd=self._set_shots, vals=Ints(1, 2**31)
        )
        detectors: dict[str, DetectorPort] = {}
        for port in self.bench.ports:
            if port in points.detectors:
                detectors[port] = self.add_submodule(port, DetectorPort(self, port, points))
            else:
                self.add_submodule(port, ActuatorPort(self, port, points))
        if detectors:
            self.add_parameter("readings", AllMeans, ports=detectors, points=points)
        self.dwell.get(), self.shots.get()

    def put(self, values: Mapping[str, Values]) -> None:
        """Set several ports, or some of their channels, in one table: {"laser": 0.05, "modulators": {"ch1": 2.0}}.

        Raises:
            LimitError, TableError: nothing was sent.
        """
        self.points.set(values)

    def play(self, table: ShotTable) -> Readings:
        """A whole shot table, hardware-timed; its last row is what its ports are set to from then on."""
        return self.points.play(table)

    def run(self, plan: Plan[Result]) -> Result:
        """A labonn plan."""
        return self.points.run(plan)

    def safe(self) -> None:
        """Every actuator to its safe state; what another thread is playing is broken off."""
        self.points.safe()

    def get_idn(self) -> dict[str, str | None]:
        """The bench file, and whether it is simulated; instruments' identities are in the snapshot."""
        world = "unknown" if self.bench.world is None else self.bench.world or "lab"
        return {"vendor": "labonn", "model": self.bench.file.name, "serial": world, "firmware": labonn.__version__}

    def snapshot_base(self, update: bool | None = False, params_to_skip_update: Any = None) -> dict[Any, Any]:
        """With the bench file, and of every port identity, driver, links, limits, and what it does between tables.

        Asks no instrument unless `update`.
        """
        ports = state_of(self.bench, ask=False)
        for port in self.points.actuators:
            ports[port]["between"] = self.points.between(port)
        bench = {"file": self.bench.file.name, "text": self.bench.file.text, "ports": ports}
        return {**super().snapshot_base(update, params_to_skip_update), "bench": bench}

    def close(self) -> None:
        """Everything safe; a bench that was opened with the instrument is closed."""
        try:
            if hasattr(self, "points"):
                self.points.safe()
        finally:
            try:
                if self._own and hasattr(self, "bench"):
                    self.bench.close()
            finally:
                super().close()

    def _set_dwell(self, dwell_s: float) -> None:
        self.points.dwell_s = float(dwell_s)

    def _set_shots(self, shots: int) -> None:
        self.points.shots = int(np.asarray(shots))


def _opened(bench: str | Path, dry_run: bool, options: dict[str, Any]) -> Bench | RemoteBench:
    if "://" in str(bench):
        return RemoteBench.open(str(bench), **options)
    return Bench.open(bench, dry_run=dry_run, **options)
