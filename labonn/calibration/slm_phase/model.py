"""The fringe of a region against gray: offset - amplitude cos(phase), the phase a cubic spline from 0 at code 0, begun by unwrapping."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import BSpline

from labonn.calibration.fitting import Mask
from labonn.calibration.models import Model, Start
from labonn.calibration.unwrapping import unwrapped
from labonn.channels import Floats

NAME, VERSION = "slm-phase-spline", 1
DEGREE = 3


def basis_of(codes: int, intervals: int) -> Floats:
    """(codes, K) cubic B-splines at every code that are 0 at code 0."""
    knots = np.concatenate([np.zeros(DEGREE), np.linspace(0, 1, intervals + 1), np.ones(DEGREE)])
    return np.asarray(BSpline.design_matrix(np.linspace(0, 1, codes), knots, DEGREE).toarray()[:, 1:])


def phase_model(basis: Floats) -> Model:
    """Offset, amplitude and the K coefficients of the phase; x are whole codes."""

    def curve(parameters: Floats, x: Floats) -> tuple[Floats, Floats]:
        shape = basis[x.astype(np.intp)]
        phase = np.einsum("cnk,ck->cn", shape, parameters[:, 2:])
        amplitude, cos = parameters[:, 1, None], np.cos(phase)
        slopes = np.empty((*phase.shape, 2 + basis.shape[1]))
        slopes[..., 0], slopes[..., 1] = 1.0, -cos
        np.multiply((amplitude * np.sin(phase))[..., None], shape, out=slopes[..., 2:])
        return parameters[:, 0, None] - amplitude * cos, slopes

    names = ("offset", "amplitude", *(f"c{k}" for k in range(basis.shape[1])))
    units = ("y", "y", *["rad"] * basis.shape[1])
    return Model(NAME, VERSION, names, units, curve, _start(basis), lambda parameters: 2 * np.abs(parameters[:, 1]), {})


def _start(basis: Floats) -> Start:
    def start(x: Floats, y: Floats, used: Mask) -> Floats:
        order = np.argsort(x, axis=1, kind="stable")
        grays, light = np.take_along_axis(x, order, axis=1), np.take_along_axis(y, order, axis=1)
        low, high = light.min(axis=1), light.max(axis=1)
        phase = unwrapped(light, low, high)
        phase = phase - 2 * np.pi * np.round(phase[:, :1] / (2 * np.pi))
        shape = basis[grays.astype(np.intp)]
        normal = np.einsum("cni,cnj->cij", shape, shape) + 1e-9 * np.eye(basis.shape[1])
        found = np.linalg.solve(normal, np.einsum("cni,cn->ci", shape, phase)[..., None])[..., 0]
        return np.concatenate([0.5 * (high + low)[:, None], 0.5 * (high - low)[:, None], found], axis=1)

    return start


def steepness(parameters: Floats, x: Floats, basis: Floats) -> Floats:
    """(R, n) dI1/dphase."""
    phase = np.einsum("cnk,ck->cn", basis[x.astype(np.intp)], parameters[:, 2:])
    return np.asarray(parameters[:, 1, None] * np.sin(phase))


def phases(parameters: Floats, covariance: Floats, basis: Floats) -> tuple[Floats, Floats]:
    """((R, N) phases of all codes, (R, N) their standard errors)."""
    known = np.where(np.isfinite(covariance[:, 2:, 2:]), covariance[:, 2:, 2:], 0.0)
    error = np.sqrt(np.maximum(np.einsum("nk,ckl,nl->cn", basis, known, basis, optimize=True), 0))
    determined = np.isfinite(covariance).reshape(len(covariance), -1).all(axis=1, keepdims=True)
    error = np.where(determined, error, np.inf)
    return np.einsum("nk,ck->cn", basis, parameters[:, 2:]), error
