"""Given weight matrices on a chip: decomposed on MZI meshes, W = scale x mesh b x attenuators x first rows of mesh a; fitted on others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labonn.believed import ChipModel
from labonn.decompose import MeshAngles, absorb_signs, mzi_angles, rotation_angles
from labonn.errors import ProcedureError

Real = NDArray[np.float64]


@dataclass(frozen=True)
class LayerAngles:
    """Settings of a layer: W = scale x diag(exp(i output_phases)) x what the light does.

    Attributes:
        before, attenuators, behind: parameters of mesh a, of the attenuators (n_out,), of mesh b.
        scale: by which measured outputs are multiplied.
        output_phases: (n_out,) phases (rotations: signs, 0 or pi) left to the detectors' local oscillators or to arithmetic.
    """

    before: Real
    attenuators: Real
    behind: Real
    scale: float
    output_phases: Real


def layer_angles(
    weights: Real, kind: str = "rotation", layout: str = "triangular", gain: float = 1.0, scale: float | None = None, absorb: bool = False
) -> LayerAngles:
    """The settings for a real matrix (n_out, n_in), n_out <= n_in, by its singular values.

    Args:
        kind: "rotation" or "mzi". gain: of the amplifiers in front of the attenuators.
        scale: as wanted; None: the largest singular value at full transmission.
        absorb: no signs at the outputs of a mesh of rotations, for the price of heaters of up to 4 pi (at most n_out of them).

    Raises:
        ProcedureError: more outputs than inputs, a singular value above what scale and gain reach, or signs that rotations cannot make.
    """
    outputs, inputs = weights.shape
    if outputs > inputs:
        raise ProcedureError(f"weights of {outputs} outputs and {inputs} inputs; a layer of meshes has no more outputs than inputs")
    if kind not in ("rotation", "mzi"):
        raise ProcedureError(f"couplers of kind {kind!r} have no decomposition; allowed are rotation and mzi (others are fitted)")
    left, values, right = np.linalg.svd(np.asarray(weights, np.float64))
    scale = (float(values[0]) / gain or 1.0) if scale is None else scale
    factors = values / (scale * gain)
    if not factors[0] <= 1 + 1e-12:
        raise ProcedureError(f"a singular value of {values[0]:.4g}; scale {scale:.4g} and gain {gain:.4g} reach {scale * gain:.4g}")
    attenuators = 2 * np.arccos(np.minimum(factors, 1))
    if kind == "mzi":
        before = mzi_angles(right, layout)
        behind = mzi_angles(left * np.exp(1j * before.output_phases[:outputs]), layout)
    else:
        before, behind = _rotations(left, right, layout, absorb)
    return LayerAngles(before.theta, attenuators, behind.theta, scale, behind.output_phases)


def _rotations(left: Real, right: Real, layout: str, absorb: bool) -> tuple[MeshAngles, MeshAngles]:
    """Both meshes. A sign of row k in front commutes with the attenuators; those of rows that are dropped do not matter."""
    outputs, before = len(left), rotation_angles(right, layout)
    left = left * np.cos(before.output_phases[:outputs])
    if absorb and np.linalg.det(left) < 0 and outputs < len(right):
        left[:, -1] *= -1
        flips = np.zeros(len(right))
        flips[outputs - 1 : outputs + 1] = np.pi
        before = absorb_signs(MeshAngles(before.theta, flips), layout)
    behind = rotation_angles(left, layout)
    return before, absorb_signs(behind, layout) if absorb else behind


def chip_parameters(
    model: ChipModel, first: Real, second: Real, scale: float | None = None, absorb: bool = False
) -> tuple[Real, LayerAngles, LayerAngles]:
    """(P,) parameters for the two weight matrices, and the layers' settings with their scales and output phases.

    Args:
        first, second: (n1, n0) and (n2, n1). scale: of the first layer; the second's only multiplies logits and is free.
        absorb: as in `layer_angles`.

    Raises:
        ProcedureError: other shapes than the chip's, couplers that have no decomposition, or matrices out of reach.
    """
    n0, n1, n2 = model.sizes
    if first.shape != (n1, n0) or second.shape != (n2, n1):
        raise ProcedureError(f"weights of shapes {first.shape} and {second.shape}; the chip has {(n1, n0)} and {(n2, n1)}")
    one, two = (
        layer_angles(weights, model.coupler.kind, model.layout, model.gain, wanted, absorb)
        for weights, wanted in ((first, scale), (second, None))
    )
    theta = np.concatenate([one.before, one.attenuators, one.behind, two.before, two.attenuators, two.behind])
    return theta, one, two


@dataclass(frozen=True)
class Fit:
    """Parameters (P,) of a fit, and the rms misfit of either layer over the rms of its weights."""

    theta: Real
    misfits: tuple[float, float]


def fit_weights(
    model: ChipModel, theta: Real, first: Real, second: Real, limits: tuple[Real, Real] | None = None, steps: int = 500
) -> Fit:
    """Parameters whose believed weights are nearest to the given ones, by L-BFGS within the limits, from `theta`.

    For PT chips, which have no decomposition, and for MZI chips where signs or the range of the heaters forbid it. A local minimum;
    limits may forbid a good one: look at the misfits.

    Args:
        first, second: (n1, n0) and (n2, n1). limits: (P,) lowest and highest; None: the nominal range. steps: at most.
    """
    from scipy.optimize import Bounds, minimize

    wanted = first, second
    sizes = [float(np.linalg.norm(weights)) or 1.0 for weights in wanted]

    def misfits(values: Real) -> list[Real]:
        return [(have.real - want) / size for have, want, size in zip(model.weights(values), wanted, sizes, strict=True)]

    def cost(values: Real) -> tuple[float, Real]:
        one, two = misfits(values)
        slopes = model.pull_back(values, 2 * one / sizes[0], 2 * two / sizes[1])
        return float(np.sum(one**2) + np.sum(two**2)), np.asarray(slopes, np.float64)

    lower, upper = model.nominal_range() if limits is None else limits
    bounds, options = Bounds(np.asarray(lower, np.float64), np.asarray(upper, np.float64)), {"maxiter": steps, "ftol": 1e-12, "gtol": 1e-9}
    found: Any = minimize(cost, np.clip(theta, lower, upper), jac=True, method="L-BFGS-B", bounds=bounds, options=options)  # type: ignore[call-overload]
    one, two = misfits(found.x)
    return Fit(found.x, (float(np.linalg.norm(one)), float(np.linalg.norm(two))))
