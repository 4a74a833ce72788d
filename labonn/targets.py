"""An error by interference as it really is, from the light that comes back: where its modulator is dark, and what its targets are."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import numpy as np

from labonn.channels import Floats
from labonn.gradients import chop, optical_error_table
from labonn.network import Network
from labonn.shots import Ints, Readings, ShotTable

LEVELS = np.linspace(-1, 1, 8)  # of the feedback modulator, in feedback levels, at which the light that comes back is looked at
ROUNDS = 4  # of looking: the curve is straight near its zero only
FAR, SURE = 1e-3, 3.0  # a zero is kept that is off by less than this part of the feedback level, or so many standard errors
PRIOR = 1.0  # weight of "the error path's gain is as believed", in squared output fields; a few bright images outweigh it


def measure_zero(
    network: Network, weights: Sequence[Floats], rows: Ints, labels: Ints
) -> Generator[ShotTable, Readings, tuple[float, float]]:
    """(volts, standard error) at which the feedback modulator lets nothing pass, where the network's chopping is centred from now on.

    A bias error sends the same light back with both signs. The levels are small, so that a hundredth of V_pi can be more than the error
    itself, and twice the error with one sign and none with the other pull every second image the wrong way.

    Args:
        weights: shown now. rows, labels: (B,) images of the input memory and their classes.
    """
    off, error = 0.0, 0.0
    for _ in range(ROUNDS):
        off, error, step = yield from _zero(network, weights, rows, labels)
        if abs(off) <= max(SURE * error, FAR * step):
            break
        network.move_feedback(off)
    return network.feedback_zero_v, error


def _zero(network: Network, weights: Sequence[Floats], rows: Ints, labels: Ints) -> Generator[ShotTable, Readings, tuple[float, ...]]:
    """Volts from the believed zero to the measured one, their standard error, and volts of a whole level, by straight lines."""
    volts = network.feedback_volts(LEVELS)
    levels, images = np.tile(np.arange(len(LEVELS)), len(rows)), np.repeat(np.arange(len(rows)), len(LEVELS))
    orders = {"input": rows[images], "target": labels[images], "feedback": levels}
    readings = yield ShotTable({**network.fields(weights), "feedback": volts}, orders, network.dwell_s, ("backward_in",))
    arrived = network.tapped(readings, "backward_in")[-1].astype(np.float64).reshape(len(rows), len(LEVELS), -1)
    x = volts[:, 0].astype(np.float64) - network.feedback_zero_v
    middle = x.mean()
    slopes = np.einsum("bkn,k->bn", arrived, x - middle) / np.sum((x - middle) ** 2)
    means = arrived.mean(axis=1)
    strength = float(np.sum(slopes**2))
    if not strength:
        return 0.0, 0.0, float(np.ptp(x) / 2)
    left = arrived - means[:, None] - slopes[:, None] * (x - middle)[:, None]
    noise = float(np.sum(left**2) / (left.size * (1 - 2 / len(LEVELS))))
    off = middle - float(np.sum(slopes * means)) / strength
    return off, float(np.sqrt(noise / (len(LEVELS) * strength))), float(np.ptp(x) / 2)


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
