"""One port made of several instruments: values are cut among them in the order of the bench file's list of links."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from labonn.banks import Changes, columns_of
from labonn.channels import ChannelSpec, Floats, join
from labonn.errors import LabonnError, UnknownStateError
from labonn.shots import Bank, Ints


class _Joined:
    def __init__(self, devices: Sequence[Any]) -> None:
        self.devices = list(devices)
        self.spec: ChannelSpec = join([d.spec for d in devices])
        self.identity = "; ".join(d.identity for d in devices)
        self.most_bursts: int = min(getattr(d, "most_bursts", 1) for d in devices)
        self._edges = np.cumsum([0, *(len(d.spec) for d in devices)])

    def _slices(self) -> list[tuple[Any, slice]]:
        return [(d, slice(int(a), int(b))) for d, a, b in zip(self.devices, self._edges, self._edges[1:], strict=False)]

    def close(self) -> None:
        """Close every instrument, also when one of them fails; the first failure is raised afterwards."""
        every(self.devices, lambda d: d.close())


class JoinedActuator(_Joined):
    """Several actuators as one; held ones have their turn only where the new row differs from the row before in their channels."""

    def __init__(self, devices: Sequence[Any]) -> None:
        super().__init__(devices)
        self.dark_between = all(getattr(d, "dark_between", False) for d in devices)
        self._bank: Bank | None = None
        self._parts: list[Bank] = []
        self._owners: list[list[int]] = []  # of a bank of changes: the devices of every row
        self._turn = list(range(len(self.devices)))  # devices that the next `arm` is for
        self._loaded, self._shown = -1, -1  # rows of a held port; -1: unknown

    def prepare(self, spec: ChannelSpec) -> None:
        """Every instrument gets its part of the limits."""
        self._forget()
        for device, part in self._slices():
            lower_rule, upper_rule = (_of_part(rules, part) for rules in (spec.lower_rule, spec.upper_rule))
            lower, upper = spec.lower[part], spec.upper[part]
            device.prepare(replace(device.spec, lower=lower, upper=upper, lower_rule=lower_rule, upper_rule=upper_rule))

    def load(self, bank: Bank | None, order: Ints, dwell_s: float) -> None:
        """Every instrument gets its columns, a sparse bank's in the same form."""
        if bank is not None and self.spec.depth == 1:
            self._hold(bank, order, dwell_s)
            return
        self._forget()
        for device, part in self._slices():
            device.load(None if bank is None else columns_of(bank, part.start, part.stop), order, dwell_s)

    def fired(self, bursts: int) -> None:
        """Those that want to know that the trigger has come are told."""
        for device in self.devices:
            if hasattr(device, "fired"):
                device.fired(bursts)

    def confirm(self) -> None:
        """Ask those that can tell."""
        every([device for device in self.devices if hasattr(device, "confirm")], lambda device: device.confirm())

    def arm(self, bursts: int = 1) -> None:
        """Arm all, or those whose row has changed."""
        self._shown = -1
        for index in self._turn:
            if bursts > 1:
                self.devices[index].arm(bursts=bursts)
            else:
                self.devices[index].arm()
        self._shown = self._loaded

    def safe(self) -> None:
        """Make all safe, also when one of them fails."""
        self._forget()
        every(self.devices, lambda d: d.safe())

    def _hold(self, bank: Bank, order: Ints, dwell_s: float) -> None:
        shown = self._shown if bank is self._bank else -1
        self._forget()
        if bank is not self._bank:
            self._parts, self._owners = [columns_of(bank, part.start, part.stop) for _, part in self._slices()], []
            if isinstance(bank, Changes):
                self._owners = (np.searchsorted(self._edges, bank.channels, side="right") - 1).tolist()
            self._bank = bank
        if len(order) == 1:
            self._loaded = int(order[0])
            if shown not in (-1, self._loaded):  # who asks for the same row again doubts that it is held
                self._turn = self._differ(shown, self._loaded)
        for index in self._turn:
            self.devices[index].load(self._parts[index], order, dwell_s)

    def _differ(self, old: int, new: int) -> list[int]:
        """The devices in whose channels two rows of the bank may differ."""
        bank = self._bank
        if isinstance(bank, Changes):
            return sorted({*self._owners[old], *self._owners[new]})
        if isinstance(bank, np.ndarray):
            return [i for i, (_, part) in enumerate(self._slices()) if not np.array_equal(bank[old, part], bank[new, part])]
        return list(range(len(self.devices)))

    def _forget(self) -> None:
        self._turn, self._loaded, self._shown = list(range(len(self.devices))), -1, -1


class JoinedDetector(_Joined):
    """Several detectors as one."""

    def arm(self, shots: int, dwell_s: float, bursts: int = 1) -> None:
        """Arm all."""
        for device in self.devices:
            if bursts > 1:
                device.arm(shots, dwell_s, bursts=bursts)
            else:
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


def _of_part(rules: tuple[str, ...], part: slice) -> tuple[str, ...]:
    return rules if len(rules) == 1 else rules[part]


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
