"""What the target beams of an optical error really are, measured with the light that comes back."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import numpy as np

from labonn.channels import Floats
from labonn.gradients import chop, optical_error_table
from labonn.network import Network
from labonn.shots import Ints, Readings, ShotTable

PRIOR = 1.0  # weight of "the error path's gain is as believed", in squared output fields; a few bright images outweigh it


def measure_targets(network: Network, weights: Sequence[Floats], rows: Ints, labels: Ints) -> Generator[ShotTable, Readings, Floats]:
    """(classes, N_L) targets to which interference really compares the outputs.

    The light that arrives at the last cell is W^T (z - t), and z is measured too: least squares gives, output by output, the gain of the
    error path and the target of each class. The digital part of a training must aim at the same targets as the light does, or the two
    pull against each other.

    Args:
        weights: shown now, the last of them believed.
        rows, labels: (B,) images of the input memory and their classes; a class that is missing keeps 1 and 0.
    """
    readings = yield optical_error_table(network, network.fields(weights), rows, labels, ("output", "backward_in"))
    outputs = network.outputs(readings).astype(np.float64)
    scale = network.optics.probe / (network.optics.feedback * network.feedback_level)
    arrived = network.tapped(readings, "backward_in")[-1].astype(np.float64) * chop(len(rows), np.float64) * scale
    return fitted_targets(arrived @ np.linalg.pinv(network.displayed(weights)[-1]), outputs, labels)


def fitted_targets(errors: Floats, outputs: Floats, labels: Ints) -> Floats:
    """(classes, N_L) targets t for which errors (B, N_L) are gain x (outputs - t of the image's class), a gain an output."""
    classes = outputs.shape[1]
    members = np.eye(classes)[labels]
    targets = np.eye(classes)
    present = members.any(axis=0)
    for output in range(classes):
        design = np.concatenate([outputs[:, output : output + 1], -members[:, present]], axis=1)
        prior = np.zeros((1, design.shape[1]))
        prior[0, 0] = np.sqrt(PRIOR)
        found = np.linalg.lstsq(np.concatenate([design, prior]), np.append(errors[:, output], np.sqrt(PRIOR)), rcond=None)[0]
        targets[present, output] = found[1:] / found[0]
    return targets
