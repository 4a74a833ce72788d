"""The targets of an optical error, from errors that came back."""

from __future__ import annotations

import numpy as np
import pytest

from labonn.targets import fitted_targets


@pytest.mark.parametrize("seed", range(3))
def test_hidden_targets_and_gains_are_found_from_noisy_errors(seed: int) -> None:
    rng = np.random.default_rng(seed)
    targets = np.eye(10) * rng.normal(1, 0.05, 10) + rng.normal(0, 0.01, (10, 10))
    gains, labels = rng.normal(0.9, 0.05, 10), rng.integers(0, 10, 512)
    outputs = np.eye(10)[labels] * 0.8 + rng.normal(0, 0.2, (512, 10))
    errors = gains * (outputs - targets[labels]) + rng.normal(0, 0.002, (512, 10))
    assert np.abs(fitted_targets(errors, outputs, labels) - targets).max() < 0.01


def test_dark_outputs_leave_the_gain_as_believed_and_a_missing_class_its_nominal_target() -> None:
    labels = np.arange(40) % 3
    errors = -np.diag([0.9, 1.1, 1.0, 1.0])[labels]
    found = fitted_targets(errors, np.full((40, 4), 1e-4), labels)
    assert np.allclose(found[:3], np.diag([0.9, 1.1, 1.0, 1.0])[:3], atol=2e-3)
    assert np.array_equal(found[3], [0, 0, 0, 1])
