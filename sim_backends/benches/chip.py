"""The simulated benches of photonic chips, "pt_chip" and "mzi_chip": emulated instruments coupled by the light of one chip."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labonn.benchfile import BenchFile
from labonn.chip_setup import check_ports
from labonn.chips import ChipOptics
from labonn.clock import SimulatedClock
from labonn.errors import BenchFileError, ProcedureError
from labonn.links import AnyLink
from sim_backends.benches.chip_lag import with_lag
from sim_backends.benches.chip_light import Beams, ChipLight
from sim_backends.benches.chip_monitors import Monitors
from sim_backends.benches.chip_settings import ChipSettings
from sim_backends.benches.chip_tables import Dense, Fired, Settings, Sparse, held, sequenced, slots_of
from sim_backends.benches.instruments import Instruments
from sim_backends.firmware.stream_messages import Refusal

Fields = NDArray[Any]
BEAMS = ("input", "activation", "reinject", "quadrature", "error")
TAPS = ("hidden", "output", "monitors", "backward")
PIECE_S = 1.0  # of bench time, in which drifts stand still


class ChipBench:
    """Emulated instruments of a bench file, coupled by the light of one chip.

    Args:
        file: the bench file; its ports are wired by name, its [nominal.chip] is the design, its [simulation] has every imperfection.
        clock: the bench's. ideal: every imperfection off. seed: of hidden truths and noise; None: the file's.

    Raises:
        BenchFileError: a [simulation] key or value is wrong, or a port cannot be simulated.
    """

    def __init__(self, file: BenchFile, clock: SimulatedClock, ideal: bool = False, seed: int | None = None) -> None:
        own_seed = file.simulation.get("seed", 0)
        if type(own_seed) is not int or own_seed < 0:
            raise BenchFileError(f"{file.name}: simulation.seed = {own_seed!r}: a whole number from 0 is wanted")
        seed = own_seed if seed is None else seed
        optics = ChipOptics.of(file)
        wanted = "pt_chip" if optics.design.coupler == "pt" else "mzi_chip"
        if file.simulation["bench"] != wanted:
            told = f"nominal.chip.coupler = {optics.design.coupler!r} is a chip of the bench {wanted!r}"
            raise BenchFileError(f"{file.name}: simulation.bench = {file.simulation['bench']!r}: {told}")
        self.port, self._clock = optics.port, clock
        self.instruments = Instruments(file, clock, seed)
        _check_ports(file, optics, self.instruments)
        self.light = ChipLight(optics, ChipSettings.of(file, optics.design, ideal), seed, ideal)
        self._monitors = Monitors(self.light, seed) if "monitors" in file.ports or "backward" in file.ports else None
        self._per_v = float(getattr(file.ports[self.port].options, "a_per_v", None) or 1.0)
        self._held = not hasattr(self.instruments.of(self.port)[0], "bank")
        self._state, self._edits, self._set_s = np.zeros(optics.model.count), dict[int, float](), 0.0
        if self._held:
            self._wire_held()
        self._fired: Fired | None = None
        for port in TAPS:
            for adc in self.instruments.of(port):
                adc.on_fire, adc.on_fetch = self._fire, self._develop
        clock.before_wait = lambda: None

    def _wire_held(self) -> None:
        """Loads are what the heaters are; the moment of every set is noted."""
        first, resistances = 0, self.light.actuators.resistances
        for emulator in self.instruments.of(self.port):
            if resistances is not None:
                emulator.loads_ohm[:] = np.resize(resistances[first : first + emulator.channels], emulator.channels)
            first += self._own(emulator)
            feed = emulator.feed

            def noted(data: bytes, feed: Any = feed) -> bytes:
                self._set_s = self._clock.now()
                return bytes(feed(data))

            emulator.feed = noted

    def _own(self, emulator: Any) -> int:
        """Channels of an emulator that the port uses."""
        return int(self.instruments.channels(self.port))

    def link(self, name: str) -> AnyLink:
        """The in-process link "port/index"."""
        return self.instruments.link(name)

    def serve(self, port: str, index: int) -> str | None:
        """URL of that instrument on a loopback socket or pty."""
        return self.instruments.serve(port, index)

    def close(self) -> None:
        """Stop serving."""
        self.instruments.close()

    def _take_down(self) -> None:
        """What held sources were set to since the last look."""
        first, amperes = 0, self.light.optics.design.coupler == "pt"
        for emulator in self.instruments.of(self.port):
            channels, volts, currents = emulator.changes()
            own = self._own(emulator)
            for channel, value in zip(channels, currents if amperes else volts, strict=True):
                if channel < own:
                    self._edits[first + channel] = value
            first += own

    def _fire(self, shots: int, dwell_s: float) -> None:
        """The trigger: noted now, computed when a record is fetched."""
        adcs = {port: adc for port in TAPS for adc in self.instruments.of(port) if adc.armed_shots}
        for port, adc in adcs.items():
            if adc.armed_shots != shots:
                raise Refusal("state", f"{port} is armed for {adc.armed_shots} shots, not {shots}")
        names = (*BEAMS, *(() if self._held else (self.port,)))
        dacs = {port: dac for port in names for dac in self.instruments.of(port) if dac.armed}
        for port, dac in dacs.items():
            if len(dac.order) != shots:
                raise Refusal("state", f"{port} is armed for {len(dac.order)} shots, not {shots}")
        if self._held:
            self._take_down()
        now = self._clock.now()
        fired = self._fired
        if fired is None or any(adc.firings == 0 for adc in adcs.values()):
            self._keep_edits()
            orders, banks = {p: d.order for p, d in dacs.items()}, {p: d.bank for p, d in dacs.items()}
            state = self._state.copy() if self._held else None
            fired = self._fired = Fired(orders, banks, shots, dwell_s, tuple(adcs), state)
            fired.edits.append({})
        else:
            fired.edits.append(self._edits)
            self._keep_edits()
        fired.times.append(now)
        fired.ages.append(now - self._set_s)
        for adc in adcs.values():
            adc.will_record()
        for dac in dacs.values():
            dac.played()
        self._clock.wait(shots * dwell_s)

    def _keep_edits(self) -> None:
        if self._edits:
            self._state[list(self._edits)] = list(self._edits.values())
            self._edits = {}

    def _develop(self) -> None:
        """Compute what was fired, and record it."""
        fired, self._fired = self._fired, None
        if fired is None:
            raise Refusal("state", "nothing was fired since the last arm")
        try:
            volts = self._readings(fired)
        except ValueError as problem:
            raise Refusal("argument", f"the simulated light cannot be computed: {problem}") from problem
        for port in fired.wanted:
            start = 0
            for adc in self.instruments.of(port):
                adc.record(volts[port][:, start : start + adc.channels])
                start += adc.channels

    def _readings(self, fired: Fired) -> dict[str, Fields]:
        """port -> (T, D) volts."""
        settings, length, starts = self._settings(fired)
        rest: dict[str, Fields] = {}
        if self._monitors is not None and {"monitors", "backward"} & {*fired.wanted, "backward" if "error" in fired.orders else ""}:
            rest = self._monitors.read(fired, self._dense(settings, slice(0, 1)).values[0], float(starts[0]))
        light = [port for port in fired.wanted if port in ("hidden", "output") and port not in rest]
        parts = [self._piece(fired, settings, length, starts, piece) for piece in _pieces(starts)] if light else []
        found = {port: np.concatenate([part[port] for part in parts]) if len(parts) > 1 else parts[0][port] for port in light}
        return rest | {port: volts.reshape(-1, volts.shape[-1]) for port, volts in found.items()}

    def _settings(self, fired: Fired) -> tuple[Settings, int, Fields]:
        """(settings, shots of each, (S,) bench second at which each began)."""
        if fired.state is not None:
            return held(fired), fired.shots, np.array(fired.times)
        if self.port not in fired.orders:  # dark: its outputs are zero
            return Dense(np.zeros((len(fired.times), len(self._state)))), fired.shots, np.array(fired.times)
        length = slots_of(fired.orders, self.port, fired.shots)
        settings = sequenced(fired.orders[self.port], length, fired.banks[self.port], self._per_v)
        starts = np.asarray(fired.times)[:, None] + np.arange(fired.shots // length) * (length * fired.dwell_s)
        if len(fired.times) > 1:
            raise ValueError("bursts of a table whose parameters are played from memory")
        return settings, length, starts.ravel()

    def _piece(self, fired: Fired, settings: Settings, length: int, starts: Fields, piece: slice) -> dict[str, Fields]:
        """port -> (S, B, D) volts of some settings."""
        beams, now = self._beams(fired, length, piece, len(starts)), float(starts[piece][0])
        drive = self._drive(settings.part(piece), now)
        left, at_end = self._left(fired, length, piece)

        def before() -> dict[str, Fields]:
            return self.light.play(self._before(fired, settings, piece, now), self._first(beams), starts[piece][:1], noisy=False)

        return with_lag(lambda noisy: self.light.play(drive, beams, starts[piece], noisy), before, left, at_end)

    def _drive(self, settings: Settings, now: float) -> Any:
        actuators = self.light.actuators
        if isinstance(settings, Sparse):
            return actuators.sparse(settings.base, settings.channels, settings.values, now)
        return actuators.dense(settings.values, now)

    def _dense(self, settings: Settings, part: slice) -> Any:
        return self.light.actuators.dense(_frames(settings, part), 0.0)

    def _before(self, fired: Fired, settings: Settings, piece: slice, now: float) -> Any:
        """The setting before those of the piece: the one played before, or what was there before the table."""
        if piece.start:
            frame = _frames(settings, slice(piece.start - 1, piece.start))
        else:
            frame = np.zeros((1, len(self._state))) if fired.state is None else fired.state[None]
        return self.light.actuators.dense(frame, now)

    def _left(self, fired: Fired, length: int, piece: slice) -> tuple[Fields, Fields]:
        """((S, B) share of a step still to come at every shot, (S,) at the end of every setting)."""
        lag, count = self.light.actuators.lag, len(range(*piece.indices(1 << 62)))
        within = (np.arange(length) + 1) * fired.dwell_s
        ages = np.zeros(count) if fired.state is None else np.asarray(fired.ages)[piece]
        left = lag.left(ages[:, None] + within)
        return left, left[:, -1]

    def _beams(self, fired: Fired, length: int, piece: slice, count: int) -> Beams:
        def rows(port: str, shots: slice) -> Fields | None:
            return fired.banks[port][fired.orders[port][shots]] if port in fired.orders else None

        reinject = None
        if "reinject" in fired.orders:
            volts = fired.banks["reinject"][fired.orders["reinject"]]
            volts = volts.reshape(-1, length, volts.shape[1])
            reinject = np.repeat(volts, count, axis=0)[piece] if len(volts) == 1 else volts[piece]
        table = rows("activation", slice(0, 1))
        return Beams(rows("input", slice(0, length)), reinject, None if table is None else table[0], fired.dwell_s, "hidden" in fired.wanted, length)

    def _first(self, beams: Beams) -> Beams:
        again = None if beams.reinject is None else beams.reinject[:1]
        return Beams(beams.input, again, beams.table, beams.dwell_s, beams.hidden, beams.shots)


def _frames(settings: Settings, part: slice) -> Fields:
    """(n, P) of the parameter port."""
    if isinstance(settings, Dense):
        return settings.values[part]
    frames = np.repeat(settings.base[None], len(settings.channels[part]), axis=0)
    np.put_along_axis(frames, settings.channels[part], settings.values[part], axis=1)
    return frames


def _pieces(starts: Fields) -> list[slice]:
    """Settings in the order of time, cut where a second of bench time is full."""
    seconds = np.floor(starts / PIECE_S)
    edges = [0, *(np.flatnonzero(np.diff(seconds)) + 1).tolist(), len(starts)]
    return [slice(a, b) for a, b in zip(edges, edges[1:], strict=False)]


def _check_ports(file: BenchFile, optics: ChipOptics, instruments: Instruments) -> None:
    for port in file.ports:
        if port not in (*BEAMS, *TAPS, optics.port):
            raise BenchFileError(f"{file.name}: ports.{port}: a simulated {optics.design.coupler} chip has no such port")
    try:
        check_ports(optics, instruments.stand_ins(), file.name)  # type: ignore[arg-type]
    except ProcedureError as problem:
        raise BenchFileError(str(problem)) from None
