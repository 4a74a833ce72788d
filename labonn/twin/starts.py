"""Weights that networks of the twin start from."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike, NDArray

from labonn.channels import Floats
from labonn.errors import ProcedureError
from labonn.twin.layers import Absorber, Layer, Relu
from labonn.twin.networks import Network

STARTS = ("usual", "normal", "peaks", "he", "glorot")
Spread = float | Sequence[float] | None  # of start weights: one number, or one a matrix
WIDTHS = {"normal": 0.1, "peaks": 0.15}  # App. A.4
PEAK = 0.15  # App. A.4
NORMAL_UP_TO = 30.0  # the optical depth above which App. A.4 starts from two peaks


def start_weights(
    network: Network,
    seed: int,
    how: str = "usual",
    dtype: DTypeLike = np.float32,
    spread: Spread = None,
    centre: float | None = None,
) -> Floats:
    """(P,) weights at random, one layer after the other.

    Args:
        how: "normal": N(0, spread). "peaks": two peaks +-N(centre, spread). "he": N(0, 2/inputs). "glorot": N(0, 2/(inputs + outputs)).
            "usual": for absorbers as in App. A.4, normal up to an optical depth of 30 and peaks above; "he" for ReLU; "glorot" else.
            Inputs and outputs are those of the matrix; variances are given for "he" and "glorot", standard deviations for the others.
        spread: one number, or one a matrix; None: 0.1 for normal, 0.15 for peaks (App. A.4). centre: of the peaks; None: 0.15.

    Raises:
        ProcedureError: an unknown name, numbers that it does not take, or not as many as matrices.
    """
    if how not in STARTS:
        raise ProcedureError(f"start weights {how!r}: one of {', '.join(STARTS)}")
    rng = np.random.default_rng([seed, 0])
    how = _usual(network.layers) if how == "usual" else how
    shapes = [shape for shape in network.matrices if shape]
    widths = _widths(shapes, how, spread, centre)
    middle = PEAK if centre is None else centre
    drawn = (_drawn(rng, shape, width, middle if how == "peaks" else None) for shape, width in zip(shapes, widths, strict=True))
    return np.concatenate([weights.ravel() for weights in drawn]).astype(dtype)


def _usual(layers: Sequence[Layer]) -> str:
    depths = [layer.depth for layer in layers if isinstance(layer, Absorber)]
    if depths:
        return "peaks" if max(depths) > NORMAL_UP_TO else "normal"
    return "he" if any(isinstance(layer, Relu) for layer in layers) else "glorot"


def _widths(shapes: Sequence[tuple[int, int]], how: str, spread: Spread, centre: float | None) -> list[float]:
    """Standard deviation of each matrix's weights, checked."""
    if (centre is not None and how != "peaks") or (spread is not None and how not in WIDTHS):
        raise ProcedureError(f"start weights {how!r}: a spread is of normal and peaks, a centre of peaks only")
    if spread is None and how not in WIDTHS:
        return [math.sqrt(2 / (inputs + (outputs if how == "glorot" else 0))) for outputs, inputs in shapes]
    widths = list(spread) if isinstance(spread, Sequence) else [WIDTHS[how] if spread is None else spread] * len(shapes)
    if len(widths) != len(shapes) or not all(0 <= number < math.inf for number in (*widths, centre or 0)):
        raise ProcedureError(f"spread {spread}, centre {centre}: 0 or more, and one spread or {len(shapes)}, one a matrix, are wanted")
    return widths


def _drawn(rng: np.random.Generator, shape: tuple[int, int], width: float, centre: float | None) -> NDArray[np.float64]:
    if centre is None:
        return rng.normal(0, width, shape)
    return rng.choice([-1, 1], shape) * rng.normal(centre, width, shape)
