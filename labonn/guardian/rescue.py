"""Makes the instruments of a bench file safe by connections of its own, whatever is known or not known of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from labonn.benchfile import BenchFile, PortFile
from labonn.clock import Clock
from labonn.errors import LabonnError
from labonn.opening import located, open_port
from labonn.sharing import LinkOf
from labonn.sources import source_of

PATIENCE_S, PAUSE_S = 10.0, 0.25


def actuators_of(file: BenchFile) -> list[PortFile]:
    """Ports that have something to make safe."""
    return [port for port in file.ports.values() if all(hasattr(port.driver, name) for name in ("load", "safe"))]


def make_safe(file: BenchFile, log: Callable[[str], None], patience_s: float | None = None) -> dict[str, str]:
    """Every actuator of the bench, all at once; one that cannot be reached is tried again, and none waits for another.

    Args:
        log: one line a port. patience_s: until a port is given up; a link may be free only a while after its last user has died.

    Returns:
        port -> why it is not known to be safe; empty if all are safe.
    """
    patience_s = PATIENCE_S if patience_s is None else patience_s
    link_of, clock, _ = source_of(file, None)
    ports = actuators_of(file)
    with ThreadPoolExecutor(max_workers=max(1, len(ports)), thread_name_prefix="rescue") as pool:
        tasks = {port.name: pool.submit(_rescued, file, port, link_of, clock, patience_s) for port in ports}
    failed = {}
    for name, task in tasks.items():
        problem = task.exception()
        log(f"{name}: safe" if problem is None else f"{name}: not known to be safe: {problem}")
        if problem is not None:
            failed[name] = str(problem)
    return failed


def _rescued(file: BenchFile, port: PortFile, link_of: LinkOf, clock: Clock, patience_s: float) -> None:
    until_s = time.monotonic() + patience_s
    while True:
        try:
            device, _, _ = open_port(file, port, link_of)
            try:
                device.safe()
            finally:
                device.close()
        except LabonnError as problem:
            if time.monotonic() > until_s:
                raise located(port.name, problem) from problem
            clock.wait(PAUSE_S)
        else:
            return
