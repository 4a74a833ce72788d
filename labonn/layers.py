"""The layers of a saturable-absorber bench: which ports it has, and that their sizes fit together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from labonn.channels import ChannelSpec
from labonn.errors import ProcedureError


@dataclass(frozen=True)
class Layers:
    """Sizes of the network that a bench is.

    Ports: `input` (N0), `weights1` ... `weightsL` (N_l x N_l-1), `gain` (L sections), `ovens` (H = L - 1 cells),
    `error` and `target` (N_L), `feedback` (1), `inject` (cells 2 ... H, when H > 1),
    taps `forward_in`, `forward_out`, `backward_in`, `backward_out` (all cells side by side), `output` (N_L).

    Attributes:
        sizes: N0, N1, ... N_L.
    """

    sizes: tuple[int, ...]

    @property
    def count(self) -> int:
        """L, the number of weight matrices."""
        return len(self.sizes) - 1

    @property
    def hidden(self) -> tuple[int, ...]:
        """Neurons of each cell."""
        return self.sizes[1:-1]

    def weights(self) -> tuple[str, ...]:
        """Names of the weight ports."""
        return tuple(f"weights{i + 1}" for i in range(self.count))

    def taps(self) -> tuple[slice, ...]:
        """Columns of each cell in a tap port."""
        edges = [sum(self.hidden[:i]) for i in range(len(self.hidden) + 1)]
        return tuple(slice(a, b) for a, b in pairwise(edges))

    def injected(self) -> tuple[slice, ...]:
        """Columns of each cell from the second on in the `inject` port."""
        first = self.hidden[0] if self.hidden else 0
        return tuple(slice(s.start - first, s.stop - first) for s in self.taps()[1:])

    def channels(self) -> dict[str, int]:
        """Channels that every port must have."""
        inner, outer = sum(self.hidden), self.sizes[-1]
        ports = {"input": self.sizes[0], "gain": self.count, "error": outer, "target": outer, "feedback": 1, "output": outer}
        if self.hidden:
            ports |= {"ovens": len(self.hidden)} | dict.fromkeys(("forward_in", "forward_out", "backward_in", "backward_out"), inner)
        if len(self.hidden) > 1:
            ports["inject"] = sum(self.hidden[1:])
        return ports


def layers_of(devices: Mapping[str, Any], specs: Mapping[str, ChannelSpec], file: str, needed: Sequence[str] | None = None) -> Layers:
    """The layers of a bench.

    Args:
        devices: its ports. specs: their channels. file: the bench file's name, for messages. needed: ports to insist on (None: all).

    Raises:
        ProcedureError: a port is missing, or its size does not fit its neighbours; both sizes are named.
    """
    shapes: list[tuple[int, ...]] = []
    while (name := f"weights{len(shapes) + 1}") in devices:
        shape = getattr(devices[name], "shape", None)
        if shape is None:
            raise ProcedureError(f"{file}: ports.{name}: a spatial light modulator is wanted here, not a {type(devices[name]).__name__}")
        shapes.append(tuple(shape))
    if not shapes:
        raise ProcedureError(f"{file}: a vapour-cell bench needs the ports weights1, weights2, ...; it has {', '.join(devices)}")
    for i, (one, two) in enumerate(pairwise(shapes), start=1):
        if two[1] != one[0]:
            raise ProcedureError(
                f"{file}: ports.weights{i + 1}: shape {two[0]} x {two[1]} takes {two[1]} inputs, but weights{i} has {one[0]} outputs"
            )
    layers = Layers((shapes[0][1], *(rows for rows, _ in shapes)))
    for port, count in layers.channels().items():
        if needed is not None and port not in needed:
            continue
        if port not in specs:
            sizes = "-".join(map(str, layers.sizes))
            raise ProcedureError(f"{file}: ports.{port}: missing; a bench of layers {sizes} needs it, with {count} channels")
        if len(specs[port]) != count:
            raise ProcedureError(
                f"{file}: ports.{port}: has {len(specs[port])} channels, but the layers {'-'.join(map(str, layers.sizes))} need {count}"
            )
    return layers
