"""From a bench to the sweeps of its detectors: which source, which modulators right before them, and what the rest does meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labonn.bench import Bench
from labonn.calibration.detectors.sweep import ProductSweep, Settings
from labonn.calibration.rigging import LIGHT, PEAK, held_rows, of_kind
from labonn.calibration.sweeps import random_signs
from labonn.channels import Floats
from labonn.chips import ChipOptics
from labonn.errors import ProcedureError
from labonn.layers import layers_of
from labonn.optics import Optics
from labonn.shots import Ints

BEFORE = {"monitors": "input", "outputs": "attenuators"}  # detectors -> modulators right before them, where there are several
LEAST = 0.35  # of the highest level of the source: the lowest
FAST_S, SLOW_S = 1e-6, 1e-3  # a shot, where light is streamed and where it is not
FAST, SLOW = 48, 16  # shots of each setting, likewise
PATTERNS, MANY = 24, 1024  # of inputs, at homodyne detectors; and for their gain
RMS, SENT = 2.0, 0.3  # fields at homodyne detectors, weak enough for the amplifiers; and at the inputs


@dataclass(frozen=True)
class Rig:
    """What one port of detectors is measured with.

    Attributes:
        sweep, settings, fresh: the sweep, its settings, and others to verify with. names: of the channels that are calibrated.
        own: whether each has a modulator of its own.
        gaining: of homodyne detectors: many patterns in one block, and (J, C) what fields they are believed to make.
        meter: a port that reads the source in watts, or "".
    """

    sweep: ProductSweep
    settings: Settings
    fresh: Settings
    names: Sequence[str]
    own: bool
    gaining: tuple[Settings, Floats] | None = None
    meter: str = ""


def sighted(bench: Bench) -> list[str]:
    """Ports of detectors whose light can be swept here."""
    if "weights1" in bench.ports:
        return ["forward_in"] if layers_of(bench.ports, bench.specs, bench.file.name).hidden else ["output"]
    return [port for port in of_kind(bench, "Photodetectors") if bench.specs[port].unit == "V" and _before(bench, port) is not None]


def rig_of(
    bench: Bench, port: str, fast: str | None, hold: Sequence[str], levels: int, sources: int, repeats: int | None, dwell_s: float | None,
    seed: int,
) -> Rig:  # fmt: skip
    """What to measure a port of detectors with.

    Args:
        fast: modulators right before them; None: the only ones, or those of BEFORE. levels, sources: of modulator and source.
        repeats, dwell_s: None: as fits the instruments.

    Raises:
        ProcedureError: the light of these detectors cannot be swept.
    """
    if port not in sighted(bench) and fast is None:
        told = ", ".join(sighted(bench)) or "none"
        raise ProcedureError(f"--port {port}: detectors of {bench.file.name} whose light a source and a modulator can sweep: {told}")
    if "weights1" in bench.ports:
        return _homodyne(bench, port, sources, repeats, dwell_s or FAST_S, seed)
    return _direct(bench, port, fast or str(_before(bench, port)), hold, levels, sources, repeats, dwell_s, seed)


def _before(bench: Bench, port: str) -> str | None:
    there = [name for name in of_kind(bench, "Modulators") if bench.specs[name].unit == "V"]
    chosen = there[0] if len(there) == 1 else BEFORE.get(port)
    lit = any(len(bench.specs[name]) == 1 for name in of_kind(bench, "GainSections"))
    return chosen if lit and chosen in there and len(bench.specs[chosen]) == len(bench.specs[port]) else None


def _direct(
    bench: Bench,
    port: str,
    fast: str,
    hold: Sequence[str],
    levels: int,
    sources: int,
    repeats: int | None,
    dwell_s: float | None,
    seed: int,
) -> Rig:
    """Each detector behind a modulator of its own, one source for all."""
    source = of_kind(bench, "GainSections")[0]
    if fast not in of_kind(bench, "Modulators") or len(bench.specs[fast]) != len(bench.specs[port]):
        there = ", ".join(f"{name} ({len(bench.specs[name])})" for name in of_kind(bench, "Modulators"))
        raise ProcedureError(f"--modulators {fast}: {len(bench.specs[port])} are wanted, one before each of {port}; there are {there}")
    currents = [name for name in bench.ports if name != source and bench.specs[name].unit == "A"]
    others = [name for name in of_kind(bench, "Modulators") if name not in (fast, *currents)]
    open_v = ChipOptics().modulator.v_pi_v
    held: dict[str, Floats] = {name: 0.5 * np.asarray(bench.specs[name].upper) for name in currents}
    held |= {name: np.asarray(bench.specs[name].clip(np.full((1, len(bench.specs[name])), open_v))[0]) for name in others}
    held |= held_rows(bench, hold)
    spec, seen = bench.specs[fast], bench.specs[port]
    top = held.pop(source, LIGHT * np.asarray(bench.specs[source].upper))
    rest = np.clip(np.zeros(len(spec)), spec.lower, spec.upper)
    dark = {source: np.maximum(np.asarray(bench.specs[source].lower), 0.0), fast: rest}
    dark |= {name: np.maximum(np.asarray(bench.specs[name].lower), 0.0) for name in currents}
    streamed = all(bench.file.ports[name].driver_name.startswith("stream") for name in (port, fast))
    shots, usual_s = (FAST, FAST_S) if streamed else (SLOW, SLOW_S)
    sweep = ProductSweep(
        port, seen.unit, np.asarray(seen.upper), np.asarray(seen.step), np.arange(len(seen)), source,
        top * np.linspace(LEAST, 1, sources)[:, None], fast, dark, held, repeats or shots, dwell_s or usual_s,
    )  # fmt: skip
    low, high, order = np.asarray(spec.lower), np.asarray(spec.upper), np.arange(sources)
    settings = sweep.direct(low, high, np.concatenate([order[::-1], order]), levels, seed)
    again = sweep.direct(low, high, np.array([sources // 3, sources - 1, sources // 2]), max(4, 2 * levels // 3), seed, between=True)
    meters = [name for name in of_kind(bench, "Photodetectors") if bench.specs[name].unit == "W" and len(bench.specs[name]) == 1]
    return Rig(sweep, settings, again, list(seen.names), True, None, meters[0] if meters else "")


def _homodyne(bench: Bench, port: str, sources: int, repeats: int | None, dwell_s: float, seed: int) -> Rig:
    """Homodyne detectors before the first cells: the first amplifier is upstream, random patterns of inputs are the levels."""
    layers, optics = layers_of(bench.ports, bench.specs, bench.file.name), Optics.of(bench.file)
    count, taps, rng = layers.sizes[0], layers.sizes[1], np.random.default_rng([seed, 7])
    signs, seen, spec = random_signs(taps, count), bench.specs[port], bench.specs["gain"]
    per_field = optics.detectors.forward if layers.hidden else optics.detectors.output
    rms = min(RMS, float(np.asarray(seen.upper)[:taps].min()) / (PEAK * per_field))
    lowest, highest = optics.amplifier.amplitude(np.stack([spec.lower[:1], LIGHT * spec.upper[:1]]))[:, 0]
    most = float(np.clip(rms / (SENT * np.sqrt(count)), 1.1 * lowest / LEAST, highest))
    amplitudes, sent = most * np.linspace(LEAST, 1, sources), min(1.0, rms / (most * np.sqrt(count)))
    currents = np.repeat(np.asarray(optics.amplifier.current(amplitudes))[:, None], len(spec), axis=1)
    rest = np.asarray(spec.clip(np.zeros((1, len(spec))))[0])
    currents[:, 1:] = rest[1:]
    held = {"weights1": np.ascontiguousarray(signs.reshape(-1), np.float32)}
    sweep = ProductSweep(
        port, seen.unit, np.asarray(seen.upper), np.asarray(seen.step), np.arange(taps), "gain", np.asarray(spec.clip(currents)), "input",
        {"gain": rest}, held, repeats or SLOW, dwell_s, spread=True,
    )  # fmt: skip
    order = np.arange(sources)
    fields = [sent * rng.choice(np.array([-0.999, 0.999]), (n, count)) for n in (PATTERNS, PATTERNS // 2, MANY)]
    blocks = np.concatenate([order[::-1], order]), order[-3:], order[-1:]
    settings, fresh, many = (_patterns(sweep, which, x, optics) for which, x in zip(blocks, fields, strict=True))
    return Rig(sweep, settings, fresh, list(seen.names[:taps]), False, (many, fields[2] @ signs.T * amplitudes[-1]))


def _patterns(sweep: ProductSweep, sources: Ints, fields: Floats, optics: Optics) -> Settings:
    """Every pattern (J, n) of input fields in each block."""
    rows, index = np.tile(optics.modulator.volts(fields), (len(sources), 1)), np.tile(np.arange(len(fields)), len(sources))
    return Settings(sources, rows, np.broadcast_to(index, (len(sweep.columns), len(index))), len(fields))
