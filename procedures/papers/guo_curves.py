"""Curves of a saturable absorber as Guo et al. (2021) show them: transmission, derivative, probe, and the factor between the last two."""

from __future__ import annotations

from typing import Any

import numpy as np

from labonn import absorbers
from labonn.channels import Floats
from labonn.plotting.look import BLUE, FAINT, GREEN, ORANGE, colour

REGIONS = "#ececec"


def region(depth: float) -> float:
    """Width of region (i), in saturation fields: up to where g' is largest, as in labonn.absorbers.mismatch."""
    return absorbers.steepest_field(depth)


def shares(field: Floats, depth: float) -> Floats:
    """Eq. B1 with 2 sigma = width of region (i), times the trapezoids of these fields; not normalized."""
    density = np.exp(-2 * np.square(field / region(depth)))
    return np.asarray(density * np.gradient(field))


def factor(field: Floats, probe: Floats, slope: Floats, depth: float) -> float:
    """The factor k that makes the probe's transmission f as large as the true derivative along it: <k f, g'> = <g', g'>.

    <,> is the scalar product of Eq. B2. The paper gives its factors, but no rule for them; this is the one whose rounded values they are.
    """
    weight = shares(field, depth)
    return float(np.sum(weight * slope**2) / np.sum(weight * probe * slope))


def computed(depth: float, reach: float, points: int = 4001) -> tuple[Floats, Floats, Floats, Floats]:
    """(E, g, g', t) by Eqs. 4 to 6."""
    field = np.linspace(0, reach, points)
    probe = absorbers.transmission("eq4", field, depth)
    return field, field * probe, absorbers.derivative("eq4", field, depth), probe


def shade(axes: Any, depth: float, reach: float) -> None:
    """Region (i) in the middle."""
    width = region(depth)
    axes.axvspan(-width, width, color=REGIONS, lw=0, zorder=0)
    top = axes.get_ylim()[1]
    for place, name in ((0.0, "(i)"), (-(width + reach) / 2, "(ii)"), ((width + reach) / 2, "(ii)")):
        axes.text(place, top, name, ha="center", va="bottom", fontsize=6.5, color=FAINT)
    axes.set_xlim(-reach, reach)


def draw_derivatives(axes: Any, depth: float, reach: float) -> None:
    """Eq. 6, Eq. 5, and that rescaled."""
    field, _, slope, probe = computed(depth, reach)
    k = factor(field, probe, slope, depth)
    both = np.concatenate([-field[:0:-1], field])
    for values, name, shade_of, dashes in (
        (slope, "exact derivative", BLUE, "-"),
        (probe, "probe", GREEN, ":"),
        (k * probe, f"probe × {k:.2f}", ORANGE, "--"),
    ):
        axes.plot(both, np.concatenate([values[:0:-1], values]), color=colour(shade_of), ls=dashes, label=name)
