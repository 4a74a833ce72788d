"""The light of the frames of a sweep, from both orders of all regions, and which regions have a grating at all."""

from __future__ import annotations

import numpy as np

from labonn.calibration.fitting import Mask
from labonn.calibration.slm_phase.grating import Orders
from labonn.channels import Floats
from labonn.errors import CalibrationError

ROUNDS = 3  # of the light from what regions show beside their fringes, and that from the light
MOST_CHANGE = 0.2  # of the light during a sweep
ANTIPHASE = -0.7  # correlation of the two orders, from where on they are those of one grating
LEAST_SWING = 0.02  # of the light, rms


def light_of(orders: Orders, basis: Floats, alive: Mask) -> Floats:
    """(N,) light of every frame, around 1.

    What one order loses the other gains: first + ratio x zeroth is the light, whatever the phase and its flicker, but for a little
    that goes beside both at edges, which is a function of the gray. Where no region answers, the light is taken as constant.

    Raises:
        CalibrationError: it changed by more than readings can be corrected for.
    """
    first, zeroth = _varying(orders)
    ratio = -np.einsum("cn,cn->c", first, zeroth) / np.maximum(np.square(zeroth).sum(axis=1), 1e-300)
    light = np.ones(first.shape[1])
    if not alive.any():
        return light
    whole, used = (orders.first + ratio[:, None] * orders.zeroth)[alive], orders.used[alive]
    shape = np.concatenate([np.ones((*used.shape, 1)), basis[orders.grays[alive].astype(np.intp)]], axis=-1) * used[..., None]
    normal = np.einsum("cni,cnj->cij", shape, shape) + 1e-9 * np.eye(shape.shape[-1])
    for _ in range(ROUNDS):
        flat = np.where(used, whole / light, 0.0)
        smooth = np.linalg.solve(normal, np.einsum("cni,cn->ci", shape, flat)[..., None])
        expected = (shape @ smooth)[..., 0]
        light = np.sum(np.where(used, whole, 0), axis=0) / np.maximum(np.sum(np.where(used, expected, 0), axis=0), 1e-300)
        light = np.where(used.any(axis=0), light, 1.0)
        light = light / light.mean()
    change = float(np.abs(light - 1).max())
    if change > MOST_CHANGE:
        raise CalibrationError(f"the light of all regions changed by {100 * change:.0f} % during the sweep of the SLM; nothing is kept")
    return light


def answering(orders: Orders) -> Mask:
    """(R,) where the two orders move against each other by a good part of the light, as those of a grating do; flicker of none does too."""
    first, zeroth = _varying(orders)
    size = [np.sqrt(np.square(part).sum(axis=1)) for part in (first, zeroth)]
    light = np.sqrt(np.square(np.where(orders.used, orders.first + orders.zeroth, 0)).sum(axis=1))
    return np.asarray((np.einsum("cn,cn->c", first, zeroth) < ANTIPHASE * size[0] * size[1]) & (size[0] > LEAST_SWING * light))


def _varying(orders: Orders) -> tuple[Floats, Floats]:
    """(R, N) either order around its mean; 0 where it saturated."""
    count = np.maximum(orders.used.sum(axis=1, keepdims=True), 1)
    parts = [np.where(orders.used, part, 0) for part in (orders.first, orders.zeroth)]
    first, zeroth = (np.where(orders.used, part - part.sum(axis=1, keepdims=True) / count, 0) for part in parts)
    return first, zeroth
