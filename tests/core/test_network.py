"""What a network shows: weights as fields, and how many of them do not fit."""

from __future__ import annotations

import numpy as np

from labonn.layers import Layers
from labonn.network import Network
from labonn.optics import Optics


def test_weights_beyond_their_path_gain_are_shown_at_the_end_of_the_range_and_counted() -> None:
    network = Network(Layers((2, 2, 1)), Optics(), {}, gains=np.array([0.5, 2.0]))
    weights = [np.array([[0.25, -0.75], [0.5, 0.6]]), np.array([[1.0, -3.0]])]
    fields = network.fields(weights)
    assert np.array_equal(fields["weights1"], [[0.5, -1, 1, 1]])
    assert np.array_equal(fields["weights2"], [[0.5, -1]])
    assert network.projected(weights) == 3
