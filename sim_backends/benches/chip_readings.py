"""From what was fired on a chip's bench to the volts at its detectors: settings, beams, lag, and the moments at which they count."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim_backends.benches.chip_lag import with_lag
from sim_backends.benches.chip_light import Beams, ChipLight
from sim_backends.benches.chip_monitors import Monitors
from sim_backends.benches.chip_tables import Dense, Fired, Settings, Sparse, frames, held, sequenced, slots_of

Fields = NDArray[Any]
Seconds = NDArray[np.float64]
PIECE_S = 1.0  # of bench time, in which drifts stand still
MONITORED = ("monitors", "backward")


class ChipReadings:
    """What detectors read of a fired table.

    Args:
        light: of the chip. monitors: at its phase shifters, if it has any. port: of the parameters. per_v: its unit a volt, where it
            plays from memory.
    """

    def __init__(self, light: ChipLight, monitors: Monitors | None, port: str, per_v: float) -> None:
        self._light, self._monitors, self._port, self._per_v = light, monitors, port, per_v

    def of(self, fired: Fired) -> dict[str, Fields]:
        """port -> (T, D) volts.

        Raises:
            ValueError: a table whose light cannot be computed.
        """
        settings, length, starts = self._settings(fired)
        parts = [self._piece(fired, settings, length, starts, piece) for piece in _pieces(starts)]
        found = {port: np.concatenate([part[port] for part in parts]) if len(parts) > 1 else parts[0][port] for port in fired.wanted}
        return {port: volts.reshape(-1, volts.shape[-1]) for port, volts in found.items()}

    def _settings(self, fired: Fired) -> tuple[Settings, int, Fields]:
        """(settings, shots of each, (S,) bench second at which each began)."""
        if fired.state is not None:
            return held(fired), fired.shots, np.array(fired.times)
        if self._port not in fired.orders:  # dark: its outputs are zero
            return Dense(np.zeros((len(fired.times), self._light.optics.model.count))), fired.shots, np.array(fired.times)
        if len(fired.times) > 1:
            raise ValueError("bursts of a table whose parameters are played from memory")
        length = slots_of(fired.orders, self._port, fired.shots)
        settings = sequenced(fired.orders[self._port], length, fired.banks[self._port], self._per_v)
        return settings, length, fired.times[0] + np.arange(fired.shots // length) * (length * fired.dwell_s)

    def _piece(self, fired: Fired, settings: Settings, length: int, starts: Fields, piece: slice) -> dict[str, Fields]:
        """port -> (S, B, D) volts of some settings."""
        beams, now_s = self._beams(fired, length, piece, len(starts)), starts[piece]
        drive = self._drive(settings.part(piece), float(now_s[0]))
        player: Any = self._monitors if beams.backward or any(port in fired.wanted for port in MONITORED) else self._light
        mean = None if beams.reinject is None else beams.reinject.mean(axis=0, keepdims=True)

        def read(noisy: bool) -> dict[str, Fields]:
            return player.play(drive, beams, now_s, noisy)  # type: ignore[no-any-return]

        def before() -> dict[str, Fields]:
            earlier = self._before(fired, settings, piece, float(now_s[0]))
            return player.play(earlier, replace(beams, reinject=mean), now_s[:1], False)  # type: ignore[no-any-return]

        def alike() -> dict[str, Fields]:
            every = None if mean is None else np.repeat(mean, len(now_s), axis=0)
            return player.play(drive, replace(beams, reinject=every), now_s, False)  # type: ignore[no-any-return]

        left, at_end = self._left(fired, length, piece, len(now_s))
        return with_lag(read, before, left, at_end, None if mean is None else alike)

    def _drive(self, settings: Settings, now_s: float) -> Any:
        actuators = self._light.actuators
        if isinstance(settings, Sparse):
            return actuators.sparse(settings.base, settings.channels, settings.values, now_s)
        return actuators.dense(settings.values, now_s)

    def _before(self, fired: Fired, settings: Settings, piece: slice, now_s: float) -> Any:
        """The setting before those of the piece: the one played before, or what was there before the table."""
        if piece.start:
            frame = frames(settings, slice(piece.start - 1, piece.start))
        else:
            frame = np.zeros((1, self._light.optics.model.count)) if fired.before is None else fired.before[None]
        return self._light.actuators.dense(frame, now_s)

    def _left(self, fired: Fired, length: int, piece: slice, count: int) -> tuple[Fields, Fields]:
        """((S, B) share of a step still to come at every shot, (S,) when the next setting is set)."""
        lag = self._light.actuators.lag
        within: Seconds = np.asarray((np.arange(length) + 1) * fired.dwell_s, np.float64)
        if fired.state is None:
            return np.repeat(lag.left(within)[None], count, axis=0), np.repeat(lag.left(within[-1:]), count)
        times: Seconds = np.array(fired.times)
        ages: Seconds = np.array(fired.ages)
        until_next: Seconds = np.diff(times - ages, append=np.inf)[piece]
        since: Seconds = ages[piece, None] + within
        return lag.left(since), lag.left(until_next)

    def _beams(self, fired: Fired, length: int, piece: slice, count: int) -> Beams:
        def rows(port: str, shots: slice) -> Fields | None:
            return fired.banks[port][fired.orders[port][shots]] if port in fired.orders else None

        reinject, table, slot = rows("reinject", slice(None)), rows("activation", slice(0, 1)), slice(0, length)
        if reinject is not None:
            reinject = reinject.reshape(-1, length, reinject.shape[1])
            reinject = np.repeat(reinject, count, axis=0)[piece] if len(reinject) == 1 else reinject[piece]
        return Beams(
            rows("input", slot), reinject, None if table is None else table[0], fired.dwell_s, "hidden" in fired.wanted, length,
            rows("quadrature", slot), rows("error", slot),
        )  # fmt: skip


def _pieces(starts: Fields) -> list[slice]:
    """Settings in the order of time, cut where a second of bench time is full."""
    seconds = np.floor(starts / PIECE_S)
    edges = [0, *(np.flatnonzero(np.diff(seconds)) + 1).tolist(), len(starts)]
    return [slice(a, b) for a, b in pairwise(edges)]
