"""A bench as Bluesky devices: a device for every port, for every channel that is asked for, and for whole shot tables."""

from __future__ import annotations

import atexit
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import labonn
from labonn import bench as direct
from labonn.adapters.bluesky_actuators import BenchActuator, WarmActuator
from labonn.adapters.bluesky_detectors import BenchDetector
from labonn.adapters.bluesky_flyers import BenchFlyer
from labonn.adapters.bluesky_output import Output
from labonn.adapters.bluesky_staging import Staging
from labonn.adapters.bluesky_watch import Watch
from labonn.adapters.bluesky_worker import Worker
from labonn.errors import TableError
from labonn.record.hardware import state_of
from labonn.setpoints import Setpoints
from labonn.shots import ShotTable
from labonn.versions import versions

if TYPE_CHECKING:
    from labonn.guardian.client import RemoteBench


class BenchDevices(Mapping[str, Any]):
    """Devices of an open bench, by name: "laser" (a port), "modulators/ch1" (a channel).

        RE = RunEngine()
        with Bench.open("procedures/benches/desk.toml", dry_run=True) as bench, BenchDevices(bench) as devices:
            devices.attach(RE)                                    # metadata; after a failure or an abort everything is safe
            laser, light = devices["laser"], devices.detector("outputs/IN1", "power")
            RE(bp.scan([light], laser, 0, 0.05, 11))
            RE(fly_plan(devices, table))                          # a ShotTable as one hardware-timed fly scan (bluesky_plans)

    While they are used, the bench is theirs: one thread of their own plays on it. Actuators have no limits but the bench's, which raise
    LimitError in `set`. A plan that staged actuators and has ended leaves the bench safe, whether it went well or not.

    Args:
        bench: an open Bench, or RemoteBench. dwell_s, shots: of a trigger, until a detector is configured otherwise.
        keep: leave outputs as they are at the end of a plan that went well. prefix: of all names, for several benches in one run.

    Attributes:
        points: what the actuators are set to (labonn.setpoints); usable between plans. output: all outputs, as a shutter.
    """

    def __init__(
        self, bench: direct.Bench | RemoteBench, dwell_s: float = 1e-2, shots: int = 1, keep: bool = False, prefix: str = ""
    ) -> None:  # fmt: skip
        self.bench, self._prefix, self._shots = bench, prefix, shots
        self.points = Setpoints(bench, dwell_s, shots)
        self.worker = Worker(self.points)
        self._staging = Staging(self.worker, keep)
        self._devices: dict[str, Any] = {port: self._actuator(port, None) for port in self.points.actuators}
        self._devices |= {port: self.detector(port) for port in self.points.detectors}
        self._engines: list[Any] = []
        self.output = Output(self.worker, f"{prefix}output")
        atexit.register(self.close)

    def __getitem__(self, name: str) -> Any:
        if name not in self._devices:
            port, index = self._place(name)
            self._devices[name] = self.detector(name) if port in self.points.detectors else self._actuator(port, index)
        return self._devices[name]

    def __iter__(self) -> Iterator[str]:
        return iter([*self.points.actuators, *self.points.detectors])

    def __len__(self) -> int:
        return len(self.bench.ports)

    def detector(self, *what: str, name: str | None = None, shots: int | None = None, dwell_s: float | None = None) -> BenchDetector:
        """One device that reads several detectors, or some of their channels, in the same shots.

        Args:
            what: ports ("outputs", an array) and channels ("outputs/IN1", a number). name: of the device; None: made of them.
        """
        columns = {self._key(one): self._place(one) for one in what}
        for port, _ in columns.values():
            if port not in self.points.detectors:
                raise TableError(f"{port}: not a detector of {self.bench.file.name}; detectors are {', '.join(self.points.detectors)}")
        shots = self._shots if shots is None else shots
        return BenchDetector(self.worker, name or "_and_".join(columns), columns, shots, dwell_s)

    def flyer(self, name: str, table: ShotTable | None = None, whole: bool = False) -> BenchFlyer:
        """A device that plays whole shot tables, into a stream of its name; `whole`: an event is a table, not a shot."""
        return BenchFlyer(self.worker, self._staging, self._prefix + name, table, self._prefix, whole)

    def attach(self, engine: Any, calibrations: Mapping[tuple[str, str], Any] | None = None) -> None:
        """Put the bench into the metadata of a RunEngine's runs, and make it safe whenever one of its plans fails or is aborted.

        Args:
            engine: the RunEngine. calibrations: those that are believed, as `labonn.calibration.current` gives them.
        """
        engine.md["labonn"] = self.metadata(calibrations)
        if engine not in self._engines:
            self._engines.append(engine)
            Watch(self.worker, self._staging).attach(engine)

    def metadata(self, calibrations: Mapping[tuple[str, str], Any] | None = None) -> dict[str, Any]:
        """Bench file, versions, who the instruments are, ids of calibrations."""
        ports = {port: {key: about[key] for key in ("driver", "identity")} for port, about in state_of(self.bench, ask=False).items()}
        told = {"bench": self.bench.file.name, "bench_file": self.bench.file.text, "ports": ports}
        world = "unknown" if self.bench.world is None else self.bench.world or "lab"
        believed: dict[str, dict[str, str]] = {}  # not port/kind: Bluesky's documents take no slashes in keys
        for (port, kind), found in (calibrations or {}).items():
            believed.setdefault(port, {})[kind] = found.id
        return told | {"world": world, "versions": versions() | {"labonn": labonn.__version__}, "calibrations": believed}

    def safe(self) -> None:
        """Everything safe now; what is being played is broken off."""
        self.worker.make_safe("the bench is to be safe").wait()

    def close(self) -> None:
        """Everything safe, and the thread ends; the bench itself stays open. Done at the end of the program at the latest."""
        atexit.unregister(self.close)
        self.points.break_off("the devices are closed")
        self.worker.close()
        self.points.safe()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _actuator(self, port: str, index: int | None) -> BenchActuator:
        parent = None if index is None else self._devices[port]
        name = self._key(port if index is None else f"{port}/{self.bench.specs[port].names[index]}")
        kind = WarmActuator if callable(getattr(self.bench.ports[port], "temperature", None)) else BenchActuator
        return kind(self.worker, self._staging, name, port, index, parent)

    def _key(self, what: str) -> str:
        return self._prefix + what.replace("/", "_")

    def _place(self, what: str) -> tuple[str, int | None]:
        port, _, channel = what.partition("/")
        if port not in self.bench.ports:
            raise TableError(f"{what}: {self.bench.file.name} has no such port; ports are {', '.join(self.bench.ports)}")
        return port, self.points.index(port, channel) if channel else None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.bench.file.name}: {', '.join(self)})"
