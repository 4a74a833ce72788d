"""The simulated bench without light, "unlit": emulated instruments that know nothing of each other, for any other program to talk to."""

from __future__ import annotations

from labonn.benchfile import BenchFile
from labonn.clock import SimulatedClock
from labonn.links import AnyLink
from sim_backends.benches.instruments import Instruments


class Unlit:
    """Emulated instruments of a bench file with any ports; what their outputs do acts on nothing.

    Args:
        file: the bench file. clock: the bench's. ideal: changes nothing. seed: of serial numbers; None: 0.
    """

    def __init__(self, file: BenchFile, clock: SimulatedClock, ideal: bool = False, seed: int | None = None) -> None:
        self.instruments = Instruments(file, clock, seed or 0)

    def link(self, name: str) -> AnyLink:
        """The in-process link "port/index"."""
        return self.instruments.link(name)

    def serve(self, port: str, index: int, transport: str = "", number: int = 0) -> str | None:
        """URL of that instrument on a loopback socket or pty; None for one that has a function table instead of bytes.

        Args:
            transport: "tcp", "pty" or "zmq"; "": as the driver's. number: of the TCP port, 0 for any that is free.
        """
        return self.instruments.serve(port, index, transport, number)

    def close(self) -> None:
        """Stop serving."""
        self.instruments.close()
