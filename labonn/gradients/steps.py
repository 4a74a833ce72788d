"""Steps that make noise and bias of a finite difference smallest together."""

from __future__ import annotations

import math

from labonn.errors import ProcedureError


def best_step_central(sigma: float, third: float) -> float:
    """The step with the least mean square error of a central difference: sigma^2 / (2 D^2) + (D^2 third / 6)^2.

    For Walsh codes of M rows give sigma / sqrt(M) and f'''_iii + 3 sum_j f'''_ijj.

    Args:
        sigma: standard deviation of one evaluation of the loss. third: its third derivative; 0 makes the best step infinite.
    """
    _check(sigma, third)
    return math.inf if third == 0 else math.cbrt(3 * sigma / abs(third))


def best_step_forward(sigma: float, second: float) -> float:
    """The step with the least mean square error of a forward difference: 2 sigma^2 / D^2 + (D second / 2)^2."""
    _check(sigma, second)
    return math.inf if second == 0 else (8 * sigma**2 / second**2) ** 0.25


def _check(sigma: float, derivative: float) -> None:
    if not (sigma >= 0 and math.isfinite(sigma) and math.isfinite(derivative)):
        raise ProcedureError(f"no best step for sigma {sigma} and a derivative of {derivative}: both are finite, sigma is 0 or more")
