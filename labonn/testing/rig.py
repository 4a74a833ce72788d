"""One driver with what it talks to: its emulator behind a wire that can be broken, or an instrument of the lab."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from labonn.bench import Bench
from labonn.benchfile import BenchFile, PortFile, parse
from labonn.channels import ChannelSpec
from labonn.devices import Actuator
from labonn.joined import every
from labonn.links import connect
from labonn.opening import Opened, open_instrument, tightened
from labonn.registry import load
from labonn.sources import DryRun, link_options, source_of
from labonn.testing.table import Table
from labonn.testing.wire import Wire, wired

PORT = "device"
GUESSES: Mapping[str, Any] = {"channels": 3, "instances": 2, "shape": [4, 6]}  # for options without a default
SERVED_TIMEOUT_S = 5.0


@dataclasses.dataclass(frozen=True)
class Setup:
    """What a rig is made of: driver, options and limits as a bench file has them, `link` of an instrument (None: the emulator).

    Attributes:
        ends_with_its_driver: the emulated function table is closed for good with the driver, as a window is.
    """

    driver: str
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    lower: Any = None
    upper: Any = None
    link: str | None = None
    seed: int = 7
    ends_with_its_driver: bool = False

    def file(self) -> BenchFile:
        """A bench file of this one port."""
        driver = load("labonn.drivers", self.driver)
        missing = [f.name for f in dataclasses.fields(driver.Options) if {f.default, f.default_factory} == {dataclasses.MISSING}]
        limits = {key: value for key, value in (("lower", self.lower), ("upper", self.upper)) if value is not None}
        keys = {"driver": self.driver, "link": self.link or f"{driver.transport}://emulated", "role": "trigger"}
        keys |= {key: GUESSES[key] for key in missing if key in GUESSES} | limits | dict(self.options)
        lines = [f"[ports.{PORT}]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items())]
        if self.link is None:
            lines += ["[simulation]", 'bench = "unlit"', f"seed = {self.seed}"]
        return parse("\n".join(lines), f"the suite's bench of {self.driver!r}")


class Rig:
    """An open driver.

    Attributes:
        port: as in a bench file. device: the driver. spec: its limits, as tight as the suite wants them. link: its link.
        emulator, wire: what it talks to, and what can break in between; None of an instrument.
        clock: of the simulated wire, or the lab's.
    """

    def __init__(self, setup: Setup) -> None:
        self._file = setup.file()
        self.port: PortFile = self._file.ports[PORT]
        dry_run = DryRun(seed=setup.seed) if setup.link is None else None
        self._link_of, self.clock, self.simulated = source_of(self._file, dry_run)
        self.emulator: Any = None if dry_run is None else self.simulated.instruments.of(PORT)[0]
        end = str(link_options(self.port).get("read_end", "\n"))
        self.wire: Wire = Wire() if dry_run is None else wired(self.emulator, end)
        self._devices: list[Any] = []
        self._links: list[Any] = []
        self._benched = False
        self._closes = not setup.ends_with_its_driver or dry_run is None
        try:
            self.reopen()
        except BaseException:
            self.close()
            raise

    def reopen(self) -> Any:
        """Another driver on a new link to the same instrument, which has one owner: the one before is closed first.

        Not where an emulated function table would be closed for good with it.
        """
        if self._closes:
            every(self._devices, lambda device: device.close())
        links: list[Any] = []
        self.device = open_instrument(self.port, 0, self._new_link, links)
        self.link = links[0]
        self._devices.append(self.device)
        self.spec: ChannelSpec = tightened(self._file, self.port, self.device.spec)
        return self.device

    def serve(self) -> Any:
        """A further driver, on the real transport to the emulator on a socket or terminal; None of a function table."""
        url = self.simulated.serve(PORT, 0)
        if url is None:
            return None
        link = connect(f"{url}{'&' if '?' in url else '?'}timeout_s={SERVED_TIMEOUT_S}", **link_options(self.port))
        self._links.append(link)
        self.device = self.port.driver(link, self.port.options, PORT)
        self._devices.append(self.device)
        self.spec = tightened(self._file, self.port, self.device.spec)
        return self.device

    @property
    def exchanges(self) -> int:
        """Requests so far."""
        return int(self.link.exchanges) if self.emulator is None else len(self.wire.requests)

    def prepare(self) -> None:
        """Of an actuator: the limits into the instrument."""
        if isinstance(self.device, Actuator):
            self.device.prepare(self.spec)

    def bench(self, fire: Callable[[int, float], None] = lambda shots, dwell_s: None) -> Bench:
        """A bench of this port and a trigger that does `fire`; it makes the device safe and closes it."""
        self._benched = True
        trigger = PortFile("trigger", "suite", SimpleNamespace(), (), None, None, "trigger", None)
        ports = {PORT: dataclasses.replace(self.port, role=None), "trigger": trigger}
        devices = {PORT: self.device, "trigger": SimpleNamespace(fire=fire, close=lambda: None)}
        return Bench(dataclasses.replace(self._file, ports=ports), Opened(devices, {PORT: self.spec}, [], self.clock))

    def close(self) -> None:
        """Actuators of the lab off, everything closed."""
        try:
            if self.simulated is None and not self._benched:
                every([d for d in self._devices[-1:] if isinstance(d, Actuator)], lambda device: device.safe())
        finally:
            self.wire.faults, self.wire.dropped = [], False
            every([*self._devices, *self._links], lambda one: one.close())
            if self.simulated is not None:
                self.simulated.close()

    def _new_link(self, port: PortFile, index: int) -> Any:
        link = self._link_of(port, index)
        return link if self.emulator is None or link is not self.emulator else Table(link, self.wire)
