"""Sweeps for the benches there are: which port, which detector, and what the rest of the bench does meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from labonn.bench import Bench
from labonn.calibration.sweeps import CodedSweep, DirectSweep, random_signs
from labonn.channels import Floats
from labonn.errors import ProcedureError
from labonn.layers import layers_of
from labonn.optics import Optics
from labonn.units import parse_quantity

LIGHT = 0.8  # of the highest current of sources that light a sweep
PEAK = 5.6  # times the rms of many fields that add up, which hardly any shot exceeds


def of_kind(bench: Bench, kind: str) -> list[str]:
    """Ports of one kind, in the file's order."""
    return [name for name, port in bench.file.ports.items() if port.driver.kind == kind]


def modulators_of(bench: Bench, named: str | None) -> str:
    """The port of modulators that is meant.

    Raises:
        ProcedureError: no such port, or several and none was named.
    """
    return one_of(bench, "Modulators", named, "input", "--port")


def one_of(bench: Bench, kind: str, named: str | None, usual: str, option: str) -> str:
    """The port of a kind that `named` says, or the only one, or the one that is called as usual.

    Raises:
        ProcedureError: no such port, or several.
    """
    there = of_kind(bench, kind)
    told = f"{bench.file.name} has {kind}: {', '.join(there) or 'none'}"
    if named is not None and named not in there:
        raise ProcedureError(f"{option} {named}: {told}")
    chosen = named or (there[0] if len(there) == 1 else usual)
    if chosen not in there:
        raise ProcedureError(f"{option}: which? {told}")
    return chosen


def held_rows(bench: Bench, texts: Sequence[str]) -> dict[str, Floats]:
    """port -> (C,) values of `PORT=VALUE`, "laser=60mA"; in the port's unit.

    Raises:
        ProcedureError: no such port, or not a quantity in its unit.
    """
    rows = {}
    for text in texts:
        port, found, value = text.partition("=")
        if not found or port not in bench.specs or bench.file.ports[port].driver.kind == "Photodetectors":
            raise ProcedureError(f"--hold {text}: PORT=VALUE is wanted, of an actuator of {bench.file.name}")
        try:
            rows[port] = np.full(len(bench.specs[port]), parse_quantity(value, bench.specs[port].unit))
        except ValueError as problem:
            raise ProcedureError(f"--hold {text}: {problem}") from None
    return rows


def direct_sweep(bench: Bench, port: str, detector: str | None, hold: Sequence[str], repeats: int, dwell_s: float) -> DirectSweep:
    """Every channel in front of a detector channel of its own; gain sections are the light, and are off for the dark level.

    Raises:
        ProcedureError: no detector with as many channels.
    """
    spec, trigger = bench.specs[port], next(p.name for p in bench.file.ports.values() if p.role == "trigger")
    seen = one_of(bench, "Photodetectors", detector, trigger, "--detector")
    if len(bench.specs[seen]) < len(spec):
        raise ProcedureError(f"{seen} has {len(bench.specs[seen])} channels; the {len(spec)} of {port} want one each (--detector)")
    sources = {name: LIGHT * np.asarray(bench.specs[name].upper) for name in of_kind(bench, "GainSections") if name != port}
    held: dict[str, Floats] = {**sources, **held_rows(bench, hold)}
    dark = {name: np.maximum(np.asarray(bench.specs[name].lower), 0.0) for name in sources}
    rest, full = np.clip(np.zeros(len(spec)), spec.lower, spec.upper), np.asarray(bench.specs[seen].upper)
    return DirectSweep(port, seen, bench.specs[seen].unit, full, rest, held, dark, repeats, dwell_s)


def homodyne_sweep(bench: Bench, port: str, dwell_s: float) -> CodedSweep:
    """The input modulators of a vapour-cell bench: through the first SLM, at +1 and -1, to the taps before the first cell.

    Raises:
        ProcedureError: not such a bench, or another port than its inputs.
    """
    layers, optics = layers_of(bench.ports, bench.specs, bench.file.name), Optics.of(bench.file)
    if port != "input":
        raise ProcedureError(f"--port {port}: on a vapour-cell bench only `input` reaches detectors that tell its channels apart")
    inner = bool(layers.hidden)
    detector, taps, channels = "forward_in" if inner else "output", layers.sizes[1], layers.sizes[0]
    signs, full = random_signs(taps, channels), np.asarray(bench.specs[detector].upper)
    per_field = optics.detectors.forward if inner else optics.detectors.output
    wanted = float(full[:taps].min()) / (PEAK * per_field * 0.5 * np.sqrt(channels))
    gain = amplifiers(bench.specs, optics, min(1.0, wanted))
    weights = np.ascontiguousarray(signs.reshape(-1), np.float32)
    return CodedSweep(port, detector, bench.specs[detector].unit, full, signs, {"weights1": weights, "gain": gain}, 0.0, dwell_s)


def amplifiers(specs: Mapping[str, Any], optics: Optics, amplitude: float) -> Floats:
    """(L,) currents: the first section as wanted, at most clear; the others as low."""
    spec = specs["gain"]
    current = float(optics.amplifier.current(np.float64(amplitude)))  # type: ignore[arg-type]
    return np.asarray(spec.clip(np.full((1, len(spec)), current))[0])
