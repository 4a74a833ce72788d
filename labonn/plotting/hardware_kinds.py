"""Figures of what the hardware did: ports against limits, temperatures, detectors, frames; `no_…` says why not."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from labonn.errors import LabonnError
from labonn.plotting.courses import axis_of, scaled
from labonn.plotting.history import History, histories
from labonn.plotting.look import BAND, bare, style_of
from labonn.plotting.past import Past
from labonn.plotting.ports import draw_detector, draw_frame, draw_port
from labonn.plotting.wanted import Wanted
from labonn.record.reading import Record

MOST_PORTS = 6


def histories_of(past: Past) -> dict[str, History]:
    """port -> what it was commanded or read."""
    return dict(past.ask(histories, {}))


def no_ports(past: Past) -> str:
    """Why not."""
    return "" if past.names("command") else "nothing that ports were commanded is on record"


def port_rows(past: Past, wanted: Wanted) -> int:
    """Of panels."""
    return 1 if wanted.port else len(_telling(histories_of(past)))


def ports(figure: Any, past: Past, wanted: Wanted) -> None:
    """Of one port, or of those that moved most, nearest to their limits."""
    found, hardware = histories_of(past), past.hardware
    if wanted.port is not None and wanted.port not in found:
        raise LabonnError(f"{past.folder}: --port {wanted.port}: on record are {', '.join(found)}")
    names = [wanted.port] if wanted.port else _telling(found)
    draw_ports(figure, past, {name: found[name] for name in names}, hardware, wanted)


def draw_ports(figure: Any, past: Past, found: dict[str, History], hardware: dict[str, Any], wanted: Wanted) -> None:
    """A panel a port, one above the other."""
    axis = axis_of(past, wanted.against)
    label, places = axis.label, {name: axis.at(one.steps) for name, one in found.items()}
    if not any(np.ptp(x) > 0 for x in places.values()):  # a calibration has no steps
        label, places = "bench time (s)", {name: one.bench_s for name, one in found.items()}
    factor, label = scaled(list(places.values()), label)
    axes = figure.subplots(len(found), 1, sharex=True, squeeze=False)[:, 0]
    for one, (name, history) in zip(axes, found.items(), strict=True):
        draw_port(one, factor * places[name], history, hardware.get(name, {}), name)
    axes[-1].set_xlabel(label)
    figure.align_ylabels(axes)


def _telling(found: dict[str, History]) -> list[str]:
    """Actuators that were moved, not just held."""
    moved = [name for name, one in found.items() if not one.detector and len(one.steps) > 1 and np.ptp(one.mean) > 0]
    return (moved or [name for name, one in found.items() if not one.detector] or list(found))[:MOST_PORTS]


def no_temperatures(past: Past) -> str:
    """Why not."""
    return "" if past.ask(Record.temperatures, {}) else "no temperatures are on record"


def temperatures(figure: Any, past: Past, wanted: Wanted) -> None:
    """Lowest to highest channel as a band, the mean as a line."""
    axes, axis = figure.subplots(), axis_of(past, wanted.against)
    seen = past.ask(Record.temperatures, {})
    factor, label = scaled([axis.at(one["step"]) for one in seen.values()], axis.label)
    for place, (name, one) in enumerate(seen.items()):
        x, style = factor * axis.at(one["step"]), style_of(place)
        axes.plot(x, one["mean"], **style, label=name)
        axes.fill_between(x, one["low"], one["high"], color=style["color"], alpha=BAND, lw=0)
    axes.set(xlabel=label, ylabel="temperature (degC)")
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.legend(loc="best")
    bare(axes)


def no_histograms(past: Past) -> str:
    """Why not."""
    return "" if _with_histograms(past) else "no histogram of a detector is on record"


def _with_histograms(past: Past) -> list[str]:
    return [name for name in past.names("reading") if len(past.ask(partial(Record.histograms, port=name, last=1), {"entry": ()})["entry"])]


def detector_rows(past: Past, wanted: Wanted) -> int:
    """Of panels."""
    names = _with_histograms(past)[:MOST_PORTS]
    return 1 if wanted.port or len(names) < 3 else -(-len(names) // 2)


def detectors(figure: Any, past: Past, wanted: Wanted) -> None:
    """Of one port, or of all."""
    there, hardware = _with_histograms(past), past.hardware
    if wanted.port is not None and wanted.port not in there:
        raise LabonnError(f"{past.folder}: --port {wanted.port}: detectors are {', '.join(there)}")
    names = [wanted.port] if wanted.port else there[:MOST_PORTS]
    rows = -(-len(names) // 2) if len(names) > 1 else 1
    grid = figure.subplots(rows, 2 if len(names) > 1 else 1, squeeze=False).ravel()
    for one, name in zip(grid, names, strict=False):
        draw_newest(one, past, name, str(hardware.get(name, {}).get("unit", "V")))
        one.set_title(f"{name}, {one.get_title(loc='left')}".removesuffix(", "), loc="left", fontsize="small")
    for one in grid[len(names) :]:
        one.set_visible(False)


def draw_newest(axes: Any, past: Past, name: str, unit: str) -> None:
    """The newest histogram of a detector that is on record."""
    seen = past.ask(lambda record: record.histograms(name, last=1), {})
    ranges = past.ask(lambda record: record.ranges(name, last=1), {})
    if not seen or not len(seen["entry"]):
        return
    ends = (float(ranges["low"][-1]), float(ranges["high"][-1])) if ranges and len(ranges["entry"]) else None
    draw_detector(axes, seen["counts"][-1], float(seen["low"][-1]), float(seen["high"][-1]), ends, unit)


def slms(past: Past) -> dict[str, tuple[int, int]]:
    """port -> shape of the SLMs of which a frame may be on record."""
    found = {}
    for name, about in past.hardware.items():
        shape = about.get("shape") or ([1, about.get("channels")] if about.get("kind") == "SpatialLightModulator" else None)
        if isinstance(shape, list) and len(shape) == 2 and all(isinstance(size, int) and size > 0 for size in shape):
            found[name] = (shape[0], shape[1])
    return found


def no_frames(past: Past) -> str:
    """Why not."""
    return "" if slms(past) else "no SLM is on record"


def frame(figure: Any, past: Past, wanted: Wanted) -> None:
    """Of one SLM: the port that is wanted, or the first."""
    shapes = slms(past)
    name = wanted.port or next(iter(shapes))
    if name not in shapes:
        raise LabonnError(f"{past.folder}: --port {name}: SLMs are {', '.join(shapes)}")
    seen = past.ask(lambda record: record.frames(name, last=1), {})
    if not seen or not len(seen["values"]) or seen["values"][-1].size != math.prod(shapes[name]):
        raise LabonnError(f"{past.folder}: no frame of {name} is on record")
    about = past.hardware.get(name, {})
    draw_frame(figure.subplots(), seen["values"][-1], shapes[name], about)
