"""From a bench to the sweep of its gain sections: which ports, what is held meanwhile, and what is known of the detectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from labonn.bench import Bench
from labonn.calibration.calibration import Calibration
from labonn.calibration.gain_sections.sweep import GainSweep, Straightening
from labonn.calibration.rigging import LIGHT, held_rows, of_kind
from labonn.channels import Floats
from labonn.chips import ChipOptics
from labonn.errors import ProcedureError

POWERS = 5


def section_sweep(
    bench: Bench, ports: Mapping[str, str], hold: Sequence[str], parents: Mapping[str, Calibration] | None, repeats: int, dwell_s: float,
    powers: int = POWERS, seed: int = 0,
) -> GainSweep:  # fmt: skip
    """Every section between a monitor and a detector of its own.

    Args:
        ports: names of "sections", "light", "monitor", "detector". hold: PORT=VALUE. parents: detector port -> its calibration;
            None takes detectors as linear.

    Raises:
        ProcedureError: no detectors that see single sections, or nothing is known of them.
    """
    _check(bench, ports)
    sections, light, monitor, detector = (ports[role] for role in ("sections", "light", "monitor", "detector"))
    spec, pair = bench.specs[sections], (monitor, detector)
    count = len(spec)
    sources = {name: LIGHT * np.asarray(bench.specs[name].upper) for name in of_kind(bench, "GainSections") if name != sections}
    open_v = ChipOptics.of(bench.file).modulator.v_pi_v + ChipOptics.of(bench.file).modulator.bias_v
    others = [name for name in of_kind(bench, "Modulators") if name not in (sections, light)]
    opened = {name: np.asarray(bench.specs[name].clip(np.full((1, len(bench.specs[name])), open_v))[0]) for name in others}
    held: dict[str, Floats] = {**sources, **opened, **held_rows(bench, hold)}
    low, high = (np.asarray(edge)[:count] for edge in (bench.specs[light].lower, bench.specs[light].upper))
    levels = low + (high - low) * np.linspace(0, 1, powers)[:, None]
    if len(bench.specs[light]) > count:
        raise ProcedureError(f"{light} has {len(bench.specs[light])} channels, {sections} {count}: one each is wanted")
    straight = tuple(_straightening(bench, port, count, parents) for port in pair)
    edges, steps = (np.stack([np.asarray(getattr(bench.specs[p], what))[:count] for p in pair]) for what in ("upper", "step"))
    rest = np.clip(np.zeros(count), spec.lower, spec.upper)
    dark = {name: np.maximum(np.asarray(bench.specs[name].lower), 0.0) for name in sources}
    return GainSweep(
        sections, detector, monitor, light, bench.specs[detector].unit, edges, steps, levels, rest, held, dark, (straight[0], straight[1]),
        repeats, dwell_s, seed, unknown=_unknown(pair, parents),
    )  # fmt: skip


def _check(bench: Bench, ports: Mapping[str, str]) -> None:
    seen, driven = ("Photodetectors",), ("Modulators",)
    kinds = {"sections": ("Modulators", "GainSections"), "light": driven, "monitor": seen, "detector": seen}
    told = f"{bench.file.name} has {', '.join(f'{name} ({bench.file.ports[name].driver.kind})' for name in bench.ports)}"
    wanted = "each section is measured between an input modulator, a monitor and a detector of its own, as on the bench gain_row"
    for role, name in ports.items():
        if name not in bench.ports or bench.file.ports[name].driver.kind not in kinds[role]:
            raise ProcedureError(f"--{role} {name}: {told}; {wanted}")
    if bench.specs[ports["sections"]].unit != "A":
        raise ProcedureError(f"--sections {ports['sections']}: is set in {bench.specs[ports['sections']].unit}, not in A")
    count = len(bench.specs[ports["sections"]])
    short = [f"{ports[role]} has {len(bench.specs[ports[role]])}" for role in ("light", "monitor", "detector")
             if len(bench.specs[ports[role]]) < count]  # fmt: skip
    if short:
        raise ProcedureError(f"{ports['sections']} has {count} channels, {', '.join(short)}: {wanted}")


def _straightening(bench: Bench, port: str, count: int, parents: Mapping[str, Calibration] | None) -> Straightening:
    if parents is None:
        return Straightening.none(count)
    if port not in parents:
        why = "how linear it is must be known, or its compression would be taken for that of the sections"
        raise ProcedureError(f"{port}: {why}: `labonn run calibrate_detectors --port {port}` measures it; --linear takes all as linear")
    errors = parents[port].errors("compression")
    assert errors is not None
    return Straightening(np.nan_to_num(parents[port].values("compression")[:count]), np.nan_to_num(errors[:count]))


def _unknown(pair: Sequence[str], parents: Mapping[str, Calibration] | None) -> dict[int, str]:
    found: dict[int, str] = {}
    for port, calibration in (parents or {}).items():
        for channel, told in calibration.excluded.items() if port in pair else ():
            words = f"detector not known: {port}/{channel} was left out of its calibration ({told.partition(':')[0]})"
            found.setdefault(calibration.channels.index(channel), words)
    return found
