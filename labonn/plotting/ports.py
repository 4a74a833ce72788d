"""Ports over a run against their limits; histograms of detectors; the frame of an SLM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from labonn.channels import Floats
from labonn.plotting.axes import few_ticks, log_scale, prefixed
from labonn.plotting.history import History
from labonn.plotting.look import BAND, BLUE, ORANGE, SIGNED, bare, colour, ink
from labonn.plotting.past import Array
from labonn.units import format_quantity, format_range

NEAR = 0.02  # of the range, by which a value that is closer counts as at its limit


def limits_of(about: Mapping[str, Any]) -> tuple[float, float]:
    """The lowest and the highest value that any channel of a port may have; infinite where that is not known."""
    low, high = (np.asarray(about.get(name, np.nan), np.float64) for name in ("lower", "upper"))
    return (float(low.min()) if np.isfinite(low).any() else -np.inf, float(high.max()) if np.isfinite(high).any() else np.inf)


def unit_of(about: Mapping[str, Any]) -> str:
    """For an axis: "(V)", or nothing for ratios."""
    unit = str(about.get("unit", ""))
    return "" if unit in ("", "1") else f"({unit})"


def draw_port(axes: Any, x: Array, one: History, about: Mapping[str, Any], name: str) -> None:
    """Lowest to highest value of all channels as a band, their mean as a line, limits dotted."""
    shade = colour(ORANGE if one.detector else BLUE)
    low, high = limits_of(about)
    seen_low, seen_high = one.extremes
    edges = [edge for edge in (low, high) if np.isfinite(edge) and (not one.detector or seen_high - seen_low > 0.2 * (high - low))]
    factor, unit = prefixed(max(map(abs, (seen_low, seen_high, *edges))), str(about.get("unit", "")))
    if len(x) == 1:
        below, above = (np.abs(end - one.mean) * factor for end in (one.low, one.high))
        axes.errorbar(x, factor * one.mean, [below, above], fmt="o", color=shade, capsize=3)
    else:
        axes.fill_between(x, factor * one.low, factor * one.high, color=shade, alpha=BAND, lw=0)
        axes.plot(x, factor * one.mean, color=shade, lw=0.9)
        axes.margins(x=0)
    for edge in edges:
        axes.axhline(factor * edge, color=ink(), lw=0.7, ls=":")
    axes.set_ylabel(f"{name}\n({unit})" if unit not in ("", "1") else name)
    few_ticks(axes.yaxis, 4)
    bare(axes)


def draw_detector(axes: Any, counts: Array, low: float, high: float, ends: tuple[float, float] | None, unit: str) -> None:
    """A histogram of readings; bins at the ends of the widest range, where readings saturate, in another colour."""
    factor, told_unit = prefixed(max(abs(low), abs(high)), unit)
    edges = factor * np.linspace(low, high if high > low else low + 1e-12, len(counts) + 1)
    axes.stairs(counts, edges, fill=True, color=colour(BLUE))
    if ends is not None:
        width = edges[1] - edges[0]
        bottom, top = (factor * end for end in ends)
        full = ((edges[:-1] <= bottom + 0.5 * width) | (edges[1:] >= top - 0.5 * width)) & (np.asarray(counts) > 0)
        axes.stairs(np.where(full, counts, 0), edges, fill=True, color=colour(ORANGE))
    if counts.max(initial=0) > 50 * max(1.0, float(np.median(counts[counts > 0]))):
        log_scale(axes.yaxis)
    axes.set(xlabel=f"reading ({told_unit})", ylabel="readings a bin")
    few_ticks(axes.xaxis, 4)
    if ends is not None:
        told = f"±{format_quantity(ends[1], unit)}" if ends[0] == -ends[1] else format_range(*ends, unit)
        axes.set_title(f"range {told}", loc="left", fontsize="small")
    bare(axes)


def draw_frame(axes: Any, values: Floats, shape: tuple[int, int], about: Mapping[str, Any]) -> None:
    """What an SLM showed, with a colour bar."""
    low, high = limits_of(about)
    signed = low < 0 < high
    reach = float(np.abs(values).max(initial=0.0)) or 1.0
    span = {"vmin": -reach, "vmax": reach} if signed else {}
    image = axes.imshow(values.reshape(shape), cmap=SIGNED if signed else "viridis", aspect="auto", interpolation="nearest", **span)
    axes.set(xlabel="column of macropixels", ylabel="row")
    axes.figure.colorbar(image, ax=axes, label=f"value {unit_of(about)}".rstrip())


def margin(about: Mapping[str, Any], one: History) -> tuple[float, float] | None:
    """(share of the range that was left below, above) over the run; None where there are no limits."""
    low, high = limits_of(about)
    if not (np.isfinite(low) and np.isfinite(high) and high > low):
        return None
    seen_low, seen_high = one.extremes
    return (seen_low - low) / (high - low), (high - seen_high) / (high - low)
