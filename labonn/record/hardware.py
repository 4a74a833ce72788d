"""The state of a bench's instruments, port by port, as plain values: who they are, what they may be set to, how warm they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labonn.errors import LabonnError

MOST_CHANNELS = 4096  # of limits that are written down one by one


def state_of(bench: Any, ports: Iterable[str] | None = None, ask: bool = True) -> dict[str, dict[str, Any]]:
    """port -> identity, driver, links, limits and the like.

    Args:
        ports: names; None: all. ask: heaters for their temperatures; otherwise no instrument is talked to.
    """
    return {name: _port(bench, name, bench.ports[name], ask) for name in (bench.ports if ports is None else ports)}


def temperatures_of(bench: Any) -> dict[str, tuple[float | None, float | None, float | None, str | None]]:
    """port -> lowest, mean and highest of its channels in degC, and why they could not be had."""
    found: dict[str, tuple[float | None, float | None, float | None, str | None]] = {}
    for name, device in bench.ports.items():
        if callable(getattr(device, "temperature", None)):
            try:
                values = np.asarray(device.temperature(), np.float64)
                found[name] = (float(values.min()), float(values.mean()), float(values.max()), None)
            except LabonnError as problem:  # whoever plays next will hear of it
                found[name] = (None, None, None, str(problem))
    return found


def _port(bench: Any, name: str, device: Any, ask: bool) -> dict[str, Any]:
    spec, about = bench.specs[name], {"identity": device.identity}
    file = bench.file.ports.get(name)
    if file is not None:
        about |= {"driver": file.driver_name, "kind": file.driver.kind, "links": list(file.links), "role": file.role}
    about |= {"channels": len(spec), "unit": spec.unit, "depth": spec.depth}
    if hasattr(device, "shape"):
        about["shape"] = [int(size) for size in device.shape]
    about |= {"lower": _brief(spec.lower), "upper": _brief(spec.upper)}
    about |= {"lower_rule": _brief(spec.lower_rule), "upper_rule": _brief(spec.upper_rule)}
    if ask and callable(getattr(device, "temperature", None)):
        try:
            about["temperature_c"] = [float(value) for value in device.temperature()]
        except LabonnError as problem:
            about["temperature_c"] = f"unknown: {problem}"
    return about


def _brief(values: NDArray[Any] | tuple[str, ...]) -> Any:
    """One value where all are the same; lowest and highest of very many."""
    found = list(values) if isinstance(values, tuple) else values.tolist()
    if len(set(found)) <= 1:
        return found[0] if found else None
    if len(found) <= MOST_CHANNELS:
        return found
    return [min(found), max(found)] if isinstance(values, tuple) else [float(np.min(values)), float(np.max(values))]
