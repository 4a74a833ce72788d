"""What every simulated bench is: emulated instruments behind links, which can be served, and can have faults."""

from __future__ import annotations

from labonn.benchfile import BenchFile
from labonn.clock import Clock
from labonn.faults import Fault
from labonn.links import AnyLink
from sim_backends.benches.instruments import Instruments


class SimulatedBench:
    """The emulated instruments of a bench file; a bench of its own adds the light between them.

    Args:
        file: the bench file. clock: the bench's. seed: of serial numbers.
    """

    def __init__(self, file: BenchFile, clock: Clock, seed: int) -> None:
        self.instruments = Instruments(file, clock, seed)

    def link(self, name: str) -> AnyLink:
        """The in-process link "port/index"."""
        return self.instruments.link(name)

    def serve(self, port: str, index: int, transport: str = "", number: int = 0) -> str | None:
        """URL of that instrument on a loopback socket or pty; None for one that has a function table instead of bytes.

        Args:
            transport: "tcp", "pty" or "zmq"; "": as the driver's. number: of the TCP port, 0 for any that is free.
        """
        return self.instruments.serve(port, index, transport, number)

    def inject(self, fault: Fault) -> None:
        """Let an instrument have this fault.

        Raises:
            LabonnError: no such instrument, or it cannot have such a fault.
        """
        self.instruments.inject(fault)

    def calm(self) -> None:
        """No fault that has not struck yet is to strike any more."""
        self.instruments.calm()

    def close(self) -> None:
        """Stop serving."""
        self.instruments.close()
