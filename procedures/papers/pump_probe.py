"""A pump through absorbers at many fields, and a weak probe against it: the curves of Guo et al. 2021, Fig. 2, played on a bench."""

from __future__ import annotations

from typing import Any

import numpy as np

from labonn.bench import Plan
from labonn.channels import Floats
from labonn.gradients import chop
from labonn.network import Network
from labonn.ranging import Ranges
from labonn.runs import Run
from labonn.shots import ShotTable
from labonn.sweeps import Task
from labonn.training import measure_dark
from procedures.papers.dry_bench import dry_bench, warm_network

SIZES = (16, 16, 4)
PROBE = 0.05  # field at the cells: an intensity of 1/400 of what saturates
REPEATS = 8  # shots a point with either sign of the probe
TAPS = ("forward_in", "forward_out", "backward_in", "backward_out")


def measured(task: Task) -> dict[str, Any]:
    """Fields before and behind the cells, of pump and probe, to curves.npz: (points, taps) each.

    Settings:
        depth: optical depth. reach: largest field of the pump. points: from 0 to there. ideal: bench without imperfections.
    """
    settings, seed = dict(task.job.settings), task.job.seed
    run = Run.create(task.runs, "pump_probe", {"title": task.job.title, "options": settings}, seed=seed, mode="quiet")
    with dry_bench(SIZES, seed, settings["ideal"]) as bench:
        network = warm_network(bench, settings["depth"])
        ranges = Ranges(bench.ports, bench.specs, network.layers)
        bench.run(_shown(network, settings["reach"]))
        levels = np.linspace(0, 1, settings["points"])
        ranges.fit({port: np.abs(volts).max(axis=0) for port, volts in bench.play(_table(network, levels)).items()})
        bench.run(measure_dark(network))
        curves = bench.run(_curves(network, levels))
        shots, exchanges, time_s = bench.shots, bench.exchanges, bench.clock.now()
    run.save_arrays("curves", **curves)
    result = {"shots": shots, "exchanges": exchanges, "bench_time_s": time_s}
    run.finish(result)
    return {**result, "run": run.folder.name}


def _shown(network: Network, reach: float) -> Plan[None]:
    """All weights alike, so that every neuron sees the same pump, `reach` at full input, and the same probe."""
    network.gains = np.array([reach / SIZES[0], 0.1])
    banks: dict[str, Any] = {"gain": network.currents()}
    for port, rows, columns in zip(network.layers.weights(), SIZES[1:], SIZES, strict=False):
        banks[port] = np.ones((1, rows * columns), np.float32)
    yield ShotTable(banks, dwell_s=network.dwell_s, read=())


def _table(network: Network, levels: Floats) -> ShotTable:
    """Every level with the probe's sign going + - + -."""
    modulator, shots = network.optics.modulator, 2 * REPEATS
    pump = np.repeat(modulator.volts(levels.astype(network.dtype))[:, None], SIZES[0], axis=1)
    weak = PROBE / (network.optics.probe * SIZES[-1] * network.gains[-1])
    probe = np.repeat(modulator.volts(np.array([[weak], [-weak]], network.dtype)), SIZES[-1], axis=1)
    orders = {"input": np.repeat(np.arange(len(levels)), shots), "error": np.tile([0, 1], len(levels) * REPEATS)}
    return ShotTable({"input": pump, "error": probe}, orders, network.dwell_s, TAPS)


def _curves(network: Network, levels: Floats) -> Plan[dict[str, Floats]]:
    """Means over the repeats; of the probe, what changes its sign with it."""
    readings = yield _table(network, levels)
    signs = chop(len(levels) * 2 * REPEATS, np.float64)
    found = {"levels": levels}
    for port in TAPS:
        (fields,) = network.tapped(readings, port)
        signed = fields * signs if port.startswith("backward") else fields.astype(np.float64)
        found[port] = signed.reshape(len(levels), 2 * REPEATS, -1).mean(axis=1)
    return found
