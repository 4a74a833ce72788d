"""Signs of what may be wrong with the phases of a region: how much they flicker, drift, fall, and disagree between the orders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labonn.calibration.fitting import Mask
from labonn.calibration.judging import SEEN
from labonn.calibration.slm_phase.fit import PhaseFit
from labonn.calibration.slm_phase.grating import Orders
from labonn.calibration.slm_phase.model import steepness
from labonn.channels import Floats

TURNED = 1.25  # half turns that the last code has to reach, for a maximum of the fringe that can be told from its end


@dataclass(frozen=True)
class Signs:
    """Attributes, all (R,): leak_rad, moved and their standard errors (_leak, _moved); flicker_rad; left: part of the scatter that the
    fit leaves; step_rad: largest between neighbouring grays of the sweep; falls: whether phases fall; last_rad, last_error: of the last
    code; undetermined; apart_rad: of the orders; error_rad: rms standard error.
    """

    leak_rad: Floats
    leak_error: Floats
    moved: Floats
    moved_error: Floats
    flicker_rad: Floats
    left: Floats
    step_rad: Floats
    falls: Mask
    last_rad: Floats
    last_error: Floats
    undetermined: Mask
    apart_rad: Floats
    error_rad: Floats


def signs_of(orders: Orders, light: Floats, found: PhaseFit, basis: Floats, apart_rad: Floats) -> Signs:
    """All that words are made of."""
    fitted, y = found.fitted, orders.first / light
    slope = steepness(fitted.parameters, orders.grays, basis)
    swept = np.sort(np.take_along_axis(found.phase_rad, orders.grays.astype(np.intp), axis=1), axis=1)
    falls = np.any(np.diff(found.phase_rad, axis=1) + SEEN * found.error_rad[:, 1:] < 0, axis=1)
    return Signs(
        *_leak(found, slope), *_moved(found, orders, slope, basis), _flicker(orders, y), 1 - fitted.explained(y),
        np.diff(swept, axis=1).max(axis=1), falls, found.phase_rad[:, -1], found.error_rad[:, -1],
        fitted.degenerate | (found.phase_rad[:, -1] < TURNED * np.pi), apart_rad, np.sqrt(np.mean(np.square(found.error_rad), axis=1)),
    )  # fmt: skip


def _flicker(orders: Orders, y: Floats) -> Floats:
    """(R,) rms phase by which frames of the same gray differ, whatever the fringe, beyond the noise from shot to shot."""
    order = np.argsort(orders.grays, axis=1, kind="stable")
    grays, light = np.take_along_axis(orders.grays, order, axis=1), np.take_along_axis(y, order, axis=1)
    same = grays[:, 1:] == grays[:, :-1]
    apart = np.sum(np.square(np.diff(light, axis=1)) * same, axis=1) / (2 * np.maximum(same.sum(axis=1), 1))
    shots = np.median(np.square(orders.scatter), axis=1)
    steep = np.square(0.5 * np.ptp(y, axis=1)) / 2  # mean of the squared slope
    return np.asarray(np.sqrt(np.maximum(apart - shots, 0) / np.maximum(steep, 1e-300)))


def _leak(found: PhaseFit, slope: Floats) -> tuple[Floats, Floats]:
    """((R,) rad by which the fringe moves with the grating, there and back in every other frame, (R,) standard error)."""
    sign = np.where(np.arange(slope.shape[1]) % 2, -1.0, 1.0)
    left = found.fitted.residuals
    seen = np.isfinite(left)
    sigma = np.maximum(found.sigma(slope), 1e-300)
    by_phase, left = np.where(seen, sign * slope / sigma, 0), np.where(seen, left / sigma, 0)
    power = np.maximum(np.square(by_phase).sum(axis=1), 1e-300)
    return np.abs((by_phase * left).sum(axis=1) / power), 1 / np.sqrt(power)


def _moved(found: PhaseFit, orders: Orders, slope: Floats, basis: Floats) -> tuple[Floats, Floats]:
    """((R,) relative change of the phases from the first to the second half of the sweep, (R,) its standard error)."""
    phase = np.einsum("cnk,ck->cn", basis[orders.grays.astype(np.intp)], found.fitted.parameters[:, 2:])
    sigma, left = np.maximum(found.sigma(slope), 1e-300), found.fitted.residuals
    seen = np.isfinite(left)
    by_scale, left = np.where(seen, slope * phase / sigma, 0.0), np.where(seen, left / sigma, 0.0)
    middle = phase.shape[1] // 2
    power = [np.maximum(np.square(by_scale[:, part]).sum(axis=1), 1e-300) for part in (slice(None, middle), slice(middle, None))]
    early, late = (by_scale[:, :middle] * left[:, :middle]).sum(axis=1), (by_scale[:, middle:] * left[:, middle:]).sum(axis=1)
    return late / power[1] - early / power[0], np.sqrt(1 / power[0] + 1 / power[1])


def disagreement(orders: Orders, light: Floats, found: PhaseFit, basis: Floats) -> Floats:
    """(R,) rad, rms: how far the zeroth order is from a' + b' cos(phase) with the phases of the first, beyond flicker."""
    phase = np.einsum("cnk,ck->cn", basis[orders.grays.astype(np.intp)], found.fitted.parameters[:, 2:])
    weight, y = orders.used.astype(np.float64), orders.zeroth / light
    shape = np.stack([np.ones_like(phase), np.cos(phase)], axis=-1)
    normal = np.einsum("cni,cn,cnj->cij", shape, weight, shape) + 1e-12 * np.eye(2)
    line = np.linalg.solve(normal, np.einsum("cni,cn->ci", shape, weight * y)[..., None])[..., 0]
    left = np.einsum("cni,ci->cn", shape, line) - y
    steep = np.maximum(np.sum(weight * np.square(np.sin(phase)), axis=1), 1e-300)
    whole = np.sum(weight * np.square(left), axis=1) / np.maximum(np.square(line[:, 1]) * steep, 1e-300)
    return np.asarray(np.sqrt(np.maximum(whole - np.square(found.flicker_rad), 0)))
