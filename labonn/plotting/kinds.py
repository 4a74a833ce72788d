"""The kinds of figures that can be drawn of runs, by name; each says of a run whether it can, and if not why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from labonn.errors import LabonnError
from labonn.plotting import calibration_kinds, comparing, hardware_kinds, parameter_kinds, training_kinds
from labonn.plotting.past import Past
from labonn.plotting.wanted import Wanted

Draw = Callable[[Any, Past, Wanted], None]
Missing = Callable[[Past], str]
ROW = 0.28  # of the width, that a panel of several is high


@dataclass(frozen=True)
class Kind:
    """One of them.

    Attributes:
        about: what it shows. missing: why it cannot be drawn of a run, or "". draw: on an empty figure. aspect: height over width.
        several: on an empty figure, of several runs; None: it is of one run. rows: of panels, where that depends on the run.
    """

    about: str
    missing: Missing
    draw: Draw
    aspect: float = 0.7
    several: Callable[[Any, Sequence[Past], Wanted], None] | None = None
    rows: Callable[[Past, Wanted], int] | None = None

    def shape(self, runs: Sequence[Past], wanted: Wanted) -> float:
        """Height over width."""
        if self.rows is None or len(runs) != 1 or self.missing(runs[0]):
            return self.aspect
        return max(self.aspect, ROW * self.rows(runs[0], wanted) + 0.15)


KINDS = {
    "learning": Kind("loss and accuracy over the run", training_kinds.no_learning, training_kinds.learning, 1.0, comparing.learning),
    "loss": Kind("loss over the run", training_kinds.no_loss, training_kinds.loss, 0.7, comparing.loss),
    "accuracy": Kind("accuracy over the run", training_kinds.no_accuracy, training_kinds.accuracy, 0.7, comparing.accuracy),
    "gradient": Kind("measured gradient, its standard error, expected cosine", training_kinds.no_gradient, training_kinds.gradient, 0.85),
    "confusion": Kind("confusion matrix of the test images", training_kinds.no_test, training_kinds.confusion, 0.82),
    "outputs": Kind("a test image and what its outputs read (--image N)", training_kinds.no_test, training_kinds.outputs, 0.5),
    "examples": Kind("test images read right and wrong", training_kinds.no_images, training_kinds.examples, 0.75),
    "parameters": Kind("histogram of the trained parameters", parameter_kinds.no_parameters, parameter_kinds.parameters),
    "map": Kind("map of the chip, coloured by theta (--part phi)", parameter_kinds.no_map, parameter_kinds.chip_map, 0.75),
    "weights": Kind("weights of the layers as images", parameter_kinds.no_weights, parameter_kinds.weights, 0.55),
    "ports": Kind(
        "values of ports over the run, against limits (--port)",
        hardware_kinds.no_ports,
        hardware_kinds.ports,
        rows=hardware_kinds.port_rows,
    ),
    "temperatures": Kind("temperatures of ovens and heaters over the run", hardware_kinds.no_temperatures, hardware_kinds.temperatures),
    "detectors": Kind(
        "histogram of detectors' newest readings (--port)",
        hardware_kinds.no_histograms,
        hardware_kinds.detectors,
        rows=hardware_kinds.detector_rows,
    ),
    "frame": Kind("the last frame of an SLM (--port)", hardware_kinds.no_frames, hardware_kinds.frame),
    "neurons": Kind("neuron inputs on the absorber's curve", training_kinds.no_neurons, training_kinds.neurons),
    "calibration": Kind(
        "coefficients that a calibration found (--part NAME)",
        calibration_kinds.no_calibration,
        calibration_kinds.coefficients,
        rows=calibration_kinds.coefficient_rows,
    ),
    "curves": Kind("curves that a calibration found, with bands", calibration_kinds.no_curves, calibration_kinds.curves),
    "residuals": Kind("residuals of a calibration's fresh points", calibration_kinds.no_calibration, calibration_kinds.residuals),
}


def draw(figure: Any, what: str, runs: Sequence[Past], wanted: Wanted) -> None:
    """Draw it.

    Raises:
        LabonnError: there is no such kind, or it cannot be drawn of these runs; it says why.
    """
    kind = KINDS[what]
    for past in runs:
        if why := kind.missing(past):
            can = ", ".join(name for name, one in KINDS.items() if not one.missing(past)) or "nothing"
            raise LabonnError(f"{past.folder}: {what} cannot be drawn: {why}; of this run can be drawn: {can}")
    if len(runs) > 1 or wanted.mean:
        if kind.several is None:
            able = ", ".join(name for name, one in KINDS.items() if one.several is not None)
            raise LabonnError(f"{what} is a figure of one run, {len(runs)} are given; of several runs can be drawn: {able}")
        kind.several(figure, runs, wanted)
    else:
        kind.draw(figure, runs[0], wanted)
