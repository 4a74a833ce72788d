"""Segments on open ports: what is held is set, the rest loaded and armed, all fired once, and fetched once."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from labonn.channels import ChannelSpec, Floats
from labonn.clock import Clock
from labonn.crew import Crew
from labonn.devices import Actuator, Detector
from labonn.errors import LinkError
from labonn.protection import Protection
from labonn.ramps import temperatures
from labonn.recovery import Recovery
from labonn.segments import Segment
from labonn.shots import Bank, Readings

RAMP_DWELL_S = 1e-3  # which a held port does not look at


class Player:
    """Plays segments, and knows what every port has in its memory, is held at, and waits for.

    Args:
        ports: name -> open device. specs: name -> limits, which may be tightened later. trigger: the port that fires.
        clock, crew, protection, recovery: the bench's.

    Attributes:
        actuators, detectors: the ports of either kind. loaded: port -> bank in its memory. armed: ports that wait for a trigger that has
            not come.
    """

    def __init__(
        self, ports: Mapping[str, Any], specs: Mapping[str, ChannelSpec], trigger: str,
        clock: Clock, crew: Crew, protection: Protection, recovery: Recovery,
    ) -> None:  # fmt: skip
        self._ports, self._specs, self._clock = ports, specs, clock
        self._crew, self._protection, self._recovery = crew, protection, recovery
        self.actuators: dict[str, Actuator] = {n: d for n, d in ports.items() if isinstance(d, Actuator)}
        self.detectors: dict[str, Detector] = {n: d for n, d in ports.items() if isinstance(d, Detector)}
        self._trigger_name, self._trigger = trigger, ports[trigger]
        self._settle_s = {n: float(s.settle_s.max(initial=0.0)) for n, s in specs.items()}
        self.loaded: dict[str, Bank] = {}
        self._held: dict[str, tuple[Bank, int]] = {}
        self.armed: set[str] = set()

    def most_bursts(self, orders: Mapping[str, Any], recording: Sequence[str], shots: int) -> int:
        """How often everything that takes part can be fired without being armed again."""
        fast = (name for name in orders if self._specs[name].depth > 1)
        return min((getattr(self._ports[name], "most_bursts", 1) for name in (*fast, *recording)), default=shots)

    def play(self, segment: Segment, read: tuple[str, ...], between: Callable[[], None]) -> Readings:
        """What the detectors `read` have recorded of a segment.

        It is played again from its beginning after ports whose link failed were brought back, where the bench file allows that.

        Args:
            between: called before the segment and before every burst; what it raises ends the play.
        """
        for attempt in itertools.count():
            self._crew.failed.clear()
            try:
                return self._played(segment, read, between)
            except LinkError as problem:
                names = self._recovery.with_siblings(self._crew.failed)
                only_links = all(isinstance(failed, LinkError) for failed in self._crew.failed.values())
                if not only_links or attempt >= self._recovery.most(names):
                    raise
                try:
                    segment = self._brought_back(names, segment)
                except Exception as another:
                    problem.add_note(f"not brought back: {another}")
                    raise problem from another
        raise AssertionError("never reached")

    def forget(self) -> None:
        """Nothing is known any more of what ports have in memory or are held at."""
        self.loaded.clear()
        self._held.clear()

    def rest(self, name: str) -> None:
        """An actuator to its safe state."""
        self.actuators[name].safe()
        self._protection.made_safe(name)

    def make_safe(self, name: str) -> None:
        """Down a ramp, if it has a slew limit; by way of a new connection, if the old one is gone."""
        with contextlib.suppress(Exception):  # whatever fails on the way down, it is switched off at once
            self._protection.down(name, lambda rows: self._set(name, *rows[name], RAMP_DWELL_S))
        try:
            self.rest(name)
        except LinkError:
            if self._recovery.most([name]):
                self._bring_back(name)
            else:  # being safe twice does no harm, whatever the bench file says
                self._recovery.reconnect(name)
            self.rest(name)

    def temperatures(self, name: str) -> Floats:
        """By way of a new connection, if the old one is gone and the bench file allows that."""
        try:
            return temperatures(self._ports[name])
        except LinkError:
            if not self._recovery.most([name]):
                raise
            self._bring_back(name)
            return temperatures(self._ports[name])

    def _brought_back(self, names: Sequence[str], segment: Segment) -> Segment:
        """`segment` with what these ports had in memory, which they no longer have."""
        banks = {name: self.loaded[name] for name in names if name in segment.orders and name in self.loaded}
        for name in names:
            self._bring_back(name)
        return replace(segment, banks={**banks, **segment.banks})

    def _bring_back(self, name: str) -> None:
        self.loaded.pop(name, None)
        self._held.pop(name, None)
        self.armed.discard(name)
        self._protection.lost(name)
        device = self.actuators.get(name)
        self._recovery.bring_back(name, lambda: None if device is None else device.prepare(self._specs[name]))
        self._protection.made_safe(name)

    def _played(self, segment: Segment, read: tuple[str, ...], between: Callable[[], None]) -> Readings:
        between()
        stale = [n for n in self._ports if n in self.armed and n not in segment.orders and n not in read]
        self._crew.each("disarm", [n for n in stale if n in self.actuators], self.rest)
        self.armed.difference_update(self.actuators)
        self._crew.each("rest", self._protection.in_the_way(segment), self.rest)
        self._hold(segment, 0)
        for name, bank in segment.banks.items():
            if bank is not self.loaded.get(name):
                self.loaded.pop(name, None)
        self.armed.update(segment.orders, read)
        self._crew.each("load", segment.orders, lambda name: self._load(name, segment))
        recording = [*read, *(n for n in stale if n in self.detectors)]
        several = {"bursts": segment.bursts} if segment.bursts > 1 else {}
        self._crew.each("arm", recording, lambda name: self._ports[name].arm(segment.shots, segment.dwell_s, **several))
        for burst in range(segment.bursts):
            if burst:
                between()
                self._hold(segment, burst)
            if segment.orders or read:
                self._crew.one("fire", self._trigger_name, lambda _: self._trigger.fire(segment.shots, segment.dwell_s))
        for name in segment.orders:
            if hasattr(self._ports[name], "fired"):
                self._ports[name].fired(segment.bursts)
        if segment.orders or read:
            self.armed.clear()
        return self._crew.each("fetch", read, lambda name: self.detectors[name].fetch())

    def _load(self, name: str, segment: Segment) -> None:
        bank = segment.banks.get(name)
        fresh = bank is not None and bank is not self.loaded.get(name)
        with self._protection.loading(name, bank) if fresh and bank is not None else contextlib.nullcontext():
            self.actuators[name].load(bank if fresh else None, segment.orders[name], segment.dwell_s)
        if fresh and bank is not None:
            self.loaded[name] = bank
        self._ports[name].arm(**({"bursts": segment.bursts} if segment.bursts > 1 else {}))

    def _hold(self, segment: Segment, burst: int) -> None:
        """Set the held ports whose row changes, and let them settle."""
        wanted = {name: (bank, int(rows[burst])) for name, (bank, rows) in segment.held.items()}
        changed = [name for name, (bank, row) in wanted.items() if not self._holds(name, bank, row)]
        if not changed:
            return
        for name in changed:
            self._held.pop(name, None)
        self._protection.lead({name: wanted[name] for name in changed}, lambda rows: self._put(rows, segment.dwell_s), self.rest)
        self._put({name: wanted[name] for name in changed}, segment.dwell_s)
        self._held.update({name: wanted[name] for name in changed})
        if segment.settle:
            self._clock.wait(max(self._settle_s[name] for name in changed))

    def _holds(self, name: str, bank: Bank, row: int) -> bool:
        held = self._held.get(name)
        return held is not None and held[0] is bank and held[1] == row

    def _set(self, name: str, bank: Bank, row: int, dwell_s: float) -> None:
        device = self.actuators[name]
        with self._protection.setting(name, bank, row):
            device.load(bank, np.array([row]), dwell_s)
            device.arm()

    def _put(self, rows: Mapping[str, tuple[Bank, int]], dwell_s: float) -> None:
        self._crew.each("set", rows, lambda name: self._set(name, *rows[name], dwell_s))
