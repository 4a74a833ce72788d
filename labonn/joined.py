"""One port made of several instruments: values are cut among them in the order of the bench file's list of links."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from labonn.channels import ChannelSpec, Floats, join
from labonn.errors import LabonnError, UnknownStateError
from labonn.shots import Bank, Ints, dense


class _Joined:
    def __init__(self, devices: Sequence[Any]) -> None:
        self.devices = list(devices)
        self.spec: ChannelSpec = join([d.spec for d in devices])
        self.identity = "; ".join(d.identity for d in devices)
        self._edges = np.cumsum([0, *(len(d.spec) for d in devices)])

    def _slices(self) -> list[tuple[Any, slice]]:
        return [(d, slice(int(a), int(b))) for d, a, b in zip(self.devices, self._edges, self._edges[1:], strict=False)]

    def close(self) -> None:
        """Close every instrument, also when one of them fails; the first failure is raised afterwards."""
        every(self.devices, lambda d: d.close())


class JoinedActuator(_Joined):
    """Several actuators as one."""

    def prepare(self, spec: ChannelSpec) -> None:
        """Every instrument gets its part of the limits."""
        for device, part in self._slices():
            own = device.spec
            device.prepare(own.tighten(spec.lower[part], spec.upper[part], "bench file"))

    def load(self, bank: Bank | None, order: Ints, dwell_s: float) -> None:
        """Every instrument gets its columns."""
        frames = None if bank is None else dense(bank)
        for device, part in self._slices():
            device.load(None if frames is None else np.ascontiguousarray(frames[:, part]), order, dwell_s)

    def arm(self) -> None:
        """Arm all."""
        for device in self.devices:
            device.arm()

    def safe(self) -> None:
        """Make all safe, also when one of them fails."""
        every(self.devices, lambda d: d.safe())


class JoinedDetector(_Joined):
    """Several detectors as one."""

    def arm(self, shots: int, dwell_s: float) -> None:
        """Arm all."""
        for device in self.devices:
            device.arm(shots, dwell_s)

    def fetch(self) -> Floats:
        """(T, D) with the instruments' channels side by side."""
        return np.concatenate([d.fetch() for d in self.devices], axis=1)


    def set_range(self, full_scale_v: float | Floats) -> Floats:
        """Every instrument gets its part of the full scales; (D,) the ranges taken."""
        wanted = np.broadcast_to(np.asarray(full_scale_v, np.float64), (len(self.spec),))
        return np.concatenate([device.set_range(wanted[part]) for device, part in self._slices()])

    @property
    def saturated(self) -> int:
        """Codes at an end of the range in the last records."""
        return sum(device.saturated for device in self.devices)

    @saturated.setter
    def saturated(self, count: int) -> None:
        for device in self.devices:
            device.saturated = count


def every(devices: Sequence[Any], action: Any) -> None:
    """Do `action` on every device whatever happens; then raise what went wrong, all of it."""
    failed: list[Exception] = []
    for device in devices:
        try:
            action(device)
        except Exception as problem:  # safety first: the next device must have its turn whatever this one raised
            failed.append(problem)
    if len(failed) == 1 and isinstance(failed[0], LabonnError):
        raise failed[0]
    if failed:
        raise UnknownStateError("; ".join(f"{type(p).__name__}: {p}" for p in failed)) from failed[0]
