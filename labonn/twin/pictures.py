"""Images that a network of the twin is trained, validated and tested on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labonn.data import DataSet, split_validation
from labonn.errors import ProcedureError
from labonn.shots import Ints
from labonn.twin.networks import Network


@dataclass(frozen=True)
class Part:
    """Images (N, n) and their labels (N,)."""

    images: NDArray[np.uint8]
    labels: Ints

    def check(self, network: Network, what: str) -> None:
        """Raise ProcedureError unless images and labels fit the network."""
        images, labels, pixels = self.images, self.labels, math.prod(network.before)
        if images.ndim != 2 or images.shape[1] != pixels or images.dtype != np.uint8 or len(images) != len(labels) or not len(images):
            found = f"images {images.shape} {images.dtype}, {len(labels)} labels"
            raise ProcedureError(f"{what}: {found}; wanted are (N, {pixels}) uint8 and N labels")
        if not 0 <= labels.min() <= labels.max() < network.classes:
            raise ProcedureError(f"{what}: labels {labels.min()} to {labels.max()}; the network has {network.classes} outputs")


@dataclass(frozen=True)
class Pictures:
    """Images that weights are trained on, that pick the best epoch, and that are reported."""

    train: Part
    validation: Part
    test: Part

    @classmethod
    def of(cls, data: DataSet, seed: int = 0) -> Pictures:
        """A data set with its test images split at random into validation and test halves."""
        validation, test = split_validation(data, seed)
        return cls(
            Part(data.train_images, _labels(data.train_labels)),
            Part(validation.images, _labels(validation.labels)),
            Part(test.images, _labels(test.labels)),
        )

    def check(self, network: Network) -> None:
        """Raise ProcedureError unless all images and labels fit the network."""
        for name in ("train", "validation", "test"):
            part = getattr(self, name)
            part.check(network, f"{name} images")


def _labels(labels: NDArray[np.uint8]) -> Ints:
    return labels.astype(np.int64)
