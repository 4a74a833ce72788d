"""Playing shots on a Keysight 33500: chooses waveform or sequence, sends what its memory lacks, and reads everything back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from drivers.keysight33500_line import GeneratorLine
from drivers.keysight33500_waveforms import Scale, arb, expanded, runs, same, scale_of, sequence
from labonn.channels import ChannelSpec, Floats
from labonn.errors import TableError, UnknownStateError
from labonn.shots import Ints

SLOWEST = 1e-6  # samples/s
MOST_STEPS, MOST_SEQUENCES, MOST_LISTED = 512, 32, 1024
STEP_BYTES, ROW_BYTES = 28, 34
AVERAGE = 2e-4  # of full scale: the instrument may tell four digits


@dataclass(frozen=True)
class Family:
    """Samples a second without a filter; least and most samples of a waveform; codes of the converter."""

    fastest: float
    least: int
    memory: int
    codes: int


FAMILIES = {"335": Family(62.5e6, 8, 1 << 20, 65534), "336": Family(250e6, 32, 1 << 22, 16382)}


class Player:
    """Waveform memory of a generator's first channels, and what it plays.

    Args:
        name: of the instrument, for messages. points: samples of a shot, if time and memory allow. least_vpp: its least amplitude.
    """

    def __init__(
        self, line: GeneratorLine, port: str, name: str, family: Family, channels: int, points: int, least_vpp: float
    ) -> None:  # fmt: skip
        self._line, self._port, self._name, self._family = line, port, name, family
        self._points, self._least_vpp = points, least_vpp
        self.channels = range(1, channels + 1)
        self._steps: list[int] | None = None  # of each sequence of the rows that it holds; None: it holds no rows

    def forget(self) -> None:
        """Nothing is known of its memory."""
        self._steps = None

    def play(self, rows: Floats, order: Ints, dwell_s: float, spec: ChannelSpec) -> None:
        """Have `order` of `rows` wait for the trigger, in the form that sends less.

        Raises:
            TableError: shots too short, too long or too many.
        """
        fastest, least = self._family.fastest, self._family.least
        if not (1 - 1e-9) / fastest <= dwell_s <= 1 / SLOWEST:
            allowed = f"{1 / fastest:g} to {1 / SLOWEST:g} s, what its sample rates allow ({self._name})"
            raise TableError(f"{self._port}: dwell_s = {dwell_s:g} is outside {allowed}")
        points = min(self._points, int(fastest * dwell_s * (1 + 1e-9)), (self._family.memory - 1) // len(order))
        used, whole = (scale_of(part, spec.lower, spec.upper, self._least_vpp) for part in (rows[np.unique(order)], rows))
        steps = runs(order)
        fits = len(steps[0]) < MOST_STEPS and len(rows) * least <= self._family.memory and least / dwell_s <= fastest and same(used, whole)
        rows_bytes = 0 if self._steps is not None else len(rows) * (ROW_BYTES + 2 * least)
        if fits and rows_bytes + STEP_BYTES * len(steps[0]) < (2 * len(order) * points or math.inf):
            self._sequence(whole.codes(rows), whole, *steps, dwell_s)
        elif points:
            self._waveform(used.codes(rows), used, order, points, dwell_s)
        else:
            raise TableError(
                f"{self._port}: {len(order)} shots, {len(steps[0])} times another row, do not fit: a waveform has {self._family.memory} "
                f"samples, a sequence {MOST_STEPS - 1} steps of {least} samples, which use the range of all rows ({self._name})"
            )

    def _waveform(self, codes: Any, scale: Scale, order: Ints, points: int, dwell_s: float) -> None:
        self._steps = None
        for i, n in enumerate(self.channels):
            samples = expanded(codes[:, i], order, points, self._family.least)
            load = b":SOUR%d:DATA:VOL:CLE;" % n + arb(n, "shots", samples)
            data = [samples.size, float(samples.mean(dtype=np.float64)) / 32767]
            self._select(n, load, "shots", scale, points / dwell_s, len(order), data)

    def _sequence(self, codes: Any, scale: Scale, rows: Ints, counts: Ints, dwell_s: float) -> None:
        held, self._steps = self._steps, None  # until all of it is known to be there
        if held is None or len(held) == MOST_SEQUENCES or sum(held) + len(rows) + 1 > MOST_LISTED:
            held = None
        name = f"s{len(held or ())}"
        for i, n in enumerate(self.channels):
            sent = [sequence(n, name, rows, counts)]
            if held is None:
                each = (arb(n, f"r{k}", np.full(self._family.least, code, "<i2")) for k, code in enumerate(codes[:, i]))
                sent = [b":SOUR%d:DATA:VOL:CLE" % n, *each, *sent]
            self._select(n, b";".join(sent), name, scale, self._family.least / dwell_s, int(counts.sum()), [])
        self._steps = [*(held or ()), len(rows) + 1]

    def _select(self, n: int, load: bytes, name: str, scale: Scale, rate: float, shots: int, data: list[float]) -> None:
        """Load, select and scale one channel's sequence, or with `data` (samples, average) its waveform, as a burst; read it all back.

        The least amplitude goes first, because it suits every offset between the limits.
        """
        vpp, offset, source = float(scale.vpp[n - 1]), float(scale.offset_v[n - 1]), f":SOUR{n}"
        select = f"{source}:FUNC:ARB {name};{source}:FUNC:ARB:SRAT {rate:.15G};{source}:VOLT MIN;{source}:VOLT:OFFS {offset:.12G};"
        select += f"{source}:VOLT {vpp:.12G}" + (f";{source}:BURS:MODE TRIG;{source}:BURS:NCYC 1;{source}:BURS:STAT ON" if data else "")
        queries = f"{source}:FUNC:ARB:SRAT?;{source}:VOLT?;{source}:VOLT:OFFS?;{source}:BURS:STAT?"
        queries += f";{source}:DATA:ATTR:POIN?;{source}:DATA:ATTR:AVER?" if data else ""
        wanted = [rate, vpp, offset, float(bool(data)), *data]
        drift = 0.01 * rate / shots  # a hundredth of a shot at the last one
        allowed = [drift, 1e-3 * vpp, 1e-3 * max(vpp, abs(offset)), 0, *([0, AVERAGE] if data else [])]
        begin = f":ABOR;:FORM:BORD SWAP;{source}:BURS:STAT OFF;".encode()
        self.verified(n, begin + load + b";" + select.encode(), queries, wanted, allowed)

    def limit(self, n: int, load_ohm: float, low: float, high: float) -> None:
        """Load and limits of channel `n`, its range held at what they need; waiting for the external trigger."""
        load, told = ("INF", 9.9e37) if math.isinf(load_ohm) else (f"{load_ohm:.9G}", load_ohm)
        setup = f":OUTP{n}:LOAD {load};:SOUR{n}:FUNC:ARB:FILT OFF;:SOUR{n}:FUNC ARB;:TRIG{n}:SOUR EXT;:SOUR{n}:VOLT MIN;"
        setup += f":SOUR{n}:VOLT:OFFS {(low + high) / 2:.12G};:SOUR{n}:VOLT {high - low:.12G};:SOUR{n}:VOLT:RANG:AUTO ONCE;"
        setup += f":SOUR{n}:VOLT:LIM:LOW {low:.12G};:SOUR{n}:VOLT:LIM:HIGH {high:.12G};:SOUR{n}:VOLT:LIM:STAT ON"
        queries = f":OUTP{n}:LOAD?;:SOUR{n}:VOLT:LIM:LOW?;:SOUR{n}:VOLT:LIM:HIGH?;:SOUR{n}:VOLT:LIM:STAT?;:OUTP{n}?"
        self.verified(n, setup.encode(), queries, [told, low, high, 1, 0], [1e-4 * told, 1e-3, 1e-3, 0, 0])

    def verified(self, n: int, commands: bytes, queries: str, wanted: list[float], allowed: list[float]) -> None:
        """Send commands for channel `n`; what is read back differs from `wanted` by no more than `allowed`.

        Raises:
            UnknownStateError: it does.
        """
        got = self._line.send(commands, queries, len(wanted))
        for query, value, read, slack in zip(queries.split(";"), wanted, got, allowed, strict=True):
            if abs(read - value) > slack:
                raise UnknownStateError(f"{self._port}: {query} reads back {read:.9G} after {value:.9G} ({self._name})")
