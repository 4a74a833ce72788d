"""Whatever the limits of a bench file and whatever the tables: no command that crosses one reaches a link, and all others do, unchanged.

Three real drivers talk to their emulators; everything that reaches one is parsed here, command by command, with its time on the bench's
clock. What should be allowed is worked out from dense frames.
"""

from __future__ import annotations

import json
import math
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from labonn.bench import Bench
from labonn.channels import Floats
from labonn.errors import LimitError
from labonn.shots import Bank, Changes, Dither, ShotTable, dense

A_PER_V, TICK_S, DWELL_S = 2.5e-3, 0.05, 1e-3
CHANNELS = {"gain": 10, "pump": 1, "fast": 9}  # of a chain of two modules, of a source meter, of a converter
OHM = {"gain": 100.0, "pump": 50.0, "fast": 20.0}
HELD = ("gain", "pump")
NEAR = 1e-6  # of a limit, in which neither answer is wrong
STEP_A = 1.0e-8  # of what the machines' numbers are rounded to


@dataclass(frozen=True)
class Joint:
    """A joint limit: amperes or watts at most, of these channels."""

    most: float
    watts: bool
    channels: tuple[tuple[str, int], ...]

    def of(self, rows: dict[str, Floats]) -> float:
        values = [(float(rows[port][channel]), OHM[port]) for port, channel in self.channels]
        return math.fsum(v * v * ohm if self.watts else abs(v) for v, ohm in values)


@dataclass(frozen=True)
class Rules:
    """All limits of a bench: (C,) highest amperes by port, amperes a second by port, joint limits."""

    upper: dict[str, Floats]
    slew: dict[str, float]
    joints: tuple[Joint, ...]

    def text(self) -> str:
        """The bench file."""
        lines = ['[ports.out]\ndriver = "stream_adc"\nlink = "zmq://127.0.0.1:5571"\nchannels = 1\nrole = "trigger"']
        drivers = {"gain": ("qontrol", "serial:///dev/x"), "pump": ("keithley2400", "visa://GPIB0::24::INSTR"), "fast": ("stream_dac", "zmq://h:1")}
        for port, (driver, link) in drivers.items():
            upper = [f"{1e3 * value:.6g} mA" for value in self.upper[port]]
            lines += [f'[ports.{port}]\ndriver = "{driver}"\nlink = "{link}"', f"upper = {json.dumps(upper)}"]
            lines += [f'slew = "{self.slew[port]} A/s"'] if port in self.slew else []
            lines += [f"channels = {CHANNELS[port]}"] if port != "pump" else []
            lines += [f"a_per_v = {A_PER_V}\nbits = 64\nlower = {json.dumps([f'-{one}' for one in upper])}"] if port == "fast" else []
        for joint in self.joints:
            ports = [f"{port}/{_name(port, channel)}" for port, channel in joint.channels]
            ohms = json.dumps([OHM[port] for port, _ in joint.channels])
            what = f'power = "{joint.most} W"\nresistance = {ohms}' if joint.watts else f'sum = "{1e3 * joint.most} mA"'
            lines.append(f"[[limits]]\nports = {json.dumps(ports)}\n{what}")
        return "\n".join([*lines, '[simulation]\nbench = "unlit"', ""])


def _name(port: str, channel: int) -> str:
    return "out" if port == "pump" else f"ch{channel}"


@dataclass
class Wire:
    """Everything that reached the emulators.

    Attributes:
        now: port -> (C,) what the channels were told last. since: when. played: rows of `fast`, one a shot. commands: how many.
        crossed: what was beyond a limit.
    """

    rules: Rules
    time_s: Callable[[], float]
    dac: Any = None
    now: dict[str, Floats] = field(default_factory=lambda: {port: np.zeros(count) for port, count in CHANNELS.items()})
    since: dict[str, Floats] = field(default_factory=lambda: {port: np.full(count, -math.inf) for port, count in CHANNELS.items()})
    played: list[Floats] = field(default_factory=list)
    commands: int = 0
    crossed: list[str] = field(default_factory=list)

    def qontrol(self, data: bytes) -> None:
        """`I3=5.0` and `IVEC0=1.0,2.0` in mA, `safe`."""
        for command in data.split(b"\n"):
            if found := re.fullmatch(rb"I(?:VEC)?(\d+)=([^=]*)", command):
                self.told("gain", int(found[1]), [1e-3 * float(value) for value in found[2].split(b",")])
            elif command == b"safe":
                self.told("gain", 0, [0.0] * CHANNELS["gain"])

    def keithley(self, data: bytes) -> None:
        """`:SOUR:CURR 1.0E-03` in A."""
        for command in re.split(rb"[;\n]", data):
            if found := re.fullmatch(rb":SOUR:CURR (\S+)", command):
                self.told("pump", 0, [float(found[1])])

    def stream(self, parts: Sequence[Any]) -> None:
        """Banks, in whatever form: no value in them may be beyond its channel's limit."""
        header = json.loads(bytes(parts[0]))
        described = header.get("arrays", [])  # a checksum may follow
        arrays = [np.frombuffer(part, a["dtype"]).reshape(a["shape"]) for a, part in zip(described, parts[1:], strict=False)]
        if header["op"] in ("bank", "arm"):
            self.commands += 1
            upper, form = self.rules.upper["fast"] + STEP_A, header.get("form", "dense")
            for number, array in enumerate(array for array in arrays if array.dtype == "<f8"):
                where = arrays[-2] if form == "changes" and number == 1 else np.arange(CHANNELS["fast"])
                self.holds(bool((np.abs(array * A_PER_V) <= upper[where]).all()), header, array)

    def told(self, port: str, first: int, values: Sequence[float]) -> None:
        """A command that sets some channels at once."""
        self.commands += 1
        at, now, since = self.time_s(), self.now[port], self.since[port]
        for channel, value in enumerate(values, first):
            self.holds(-STEP_A <= value <= self.rules.upper[port][channel] + STEP_A, port, channel, value)
            if port in self.rules.slew and value != now[channel]:
                may = self.rules.slew[port] * min(TICK_S, at - since[channel])
                step = abs(value - now[channel])
                self.holds(step <= may * (1 + NEAR) + 2 * STEP_A, port, channel, now[channel], value, at - since[channel])
            if value != now[channel]:
                now[channel], since[channel] = value, at
        self.check({**self.now, "fast": np.zeros(CHANNELS["fast"])})

    def fire(self, shots: int, dwell_s: float) -> None:
        """The trigger."""
        self.commands += 1
        if self.dac.armed:
            rows = np.array(self.dac.volts()) * A_PER_V
            steps, most = np.abs(np.diff(_from_dark(rows), axis=0)), self.rules.slew.get("fast", math.inf) * dwell_s
            self.holds(len(rows) == shots and bool((steps <= most * (1 + NEAR) + STEP_A).all()), "fast", rows)
            for row in rows:
                self.check({**self.now, "fast": row})
            self.played += list(rows)
            self.dac.played()

    def check(self, rows: dict[str, Floats]) -> None:
        for joint in self.rules.joints:
            self.holds(joint.of(rows) <= joint.most * (1 + NEAR) + (1e-7 if joint.watts else 10 * STEP_A), joint, rows)

    def holds(self, good: bool, *told: Any) -> None:
        """Whatever is not good is kept: an error raised here would be one of an instrument."""
        if not good:
            self.crossed.append(repr(told))


# what is drawn: Hypothesis draws numbers from which everything else follows, because its own small examples seldom come near a limit


def some_rules(rng: np.random.Generator) -> Rules:
    upper = {port: rng.choice([0.005, 0.012, 0.02, 0.02, 0.02], count) for port, count in CHANNELS.items()}
    rates = {"gain": [0.05, 0.4], "pump": [0.1, 0.5], "fast": [4.0, 12.0, 25.0]}
    slew = {port: float(rng.choice(rates[port])) for port in CHANNELS if rng.random() < 0.5}
    every = [(port, channel) for port, count in CHANNELS.items() for channel in range(count)]
    joints = []
    for _ in range(rng.integers(0, 3)):
        watts, ports = bool(rng.random() < 0.5), rng.choice(list(CHANNELS), rng.integers(1, 4), replace=False)
        channels = tuple(one for one in every if one[0] in ports and rng.random() < 0.9) or (("gain", 0),)
        joints.append(Joint(float(rng.choice([0.02, 0.04, 0.06] if watts else [0.02, 0.03, 0.04])), watts, channels))
    return Rules(upper, slew, tuple(joints))


def some_frame(rng: np.random.Generator, port: str, rules: Rules) -> Floats:
    """Some channels bright; often as much of a joint limit as its factor says, or beyond their own."""
    count = CHANNELS[port]
    values = rng.uniform(0, rules.upper[port]) * (rng.random(count) < rng.choice([0.2, 1.0])) * rng.choice([0.3, 1.0])
    values[0] += not values.any() and 1e-3
    if port == "fast":
        values *= rng.choice([-1, 1], count)
    for joint in rules.joints:
        alone = joint.of({**{name: np.zeros(size) for name, size in CHANNELS.items()}, port: values})
        if alone and rng.random() < 0.7:
            ratio = rng.choice([0.3, 0.5, 0.9, 1.0, 1.1], p=[0.3, 0.2, 0.2, 0.2, 0.1]) * joint.most / alone
            values *= ratio**0.5 if joint.watts else ratio
    high = rules.upper[port] + 0.004 * (rng.random() < 0.05)
    return np.clip(values, -high, high)


def some_bank(rng: np.random.Generator, port: str, rules: Rules) -> Bank:
    """Rounded to its kind of numbers towards zero, as an optimizer that projects would; sometimes with what is no number."""
    count, rows, dtype = CHANNELS[port], int(rng.integers(1, 4)), rng.choice([np.float32, np.float64])

    def rounded(values: Any) -> Any:
        found = np.asarray(values, np.float64).astype(dtype)
        return np.where(np.abs(found) > np.abs(values), np.nextafter(found, dtype(0)), found)

    kind, base = rng.choice(["dense", "changes", "dither"]), some_frame(rng, port, rules)
    if kind == "dense":
        bank: Bank = rounded([some_frame(rng, port, rules) for _ in range(rows)])
    elif kind == "changes":
        channels = rng.integers(0, count, (rows, rng.integers(0, 4)))
        bank = Changes(rounded(base), channels, rounded(some_frame(rng, port, rules)[channels]))
    else:
        swing = np.minimum(rng.choice([0.0, 1e-3, 5e-3]), np.minimum(np.abs(base), np.maximum(0, rules.upper[port] - np.abs(base))))
        bank = Dither(rounded(base), rounded(0.999 * swing), rng.integers(0, 256, (rows, -(-count // 8)), np.uint8))
    if rng.random() < 0.05:
        spoilt = bank if isinstance(bank, np.ndarray) else bank.base
        spoilt.flat[rng.integers(0, spoilt.size)] = rng.choice([np.nan, np.inf, -np.inf, 1e30])
    return bank


def some_table(rng: np.random.Generator, rules: Rules, loaded: Bank | None) -> ShotTable:
    shots = int(rng.integers(1, 5))
    ports = [port for port in CHANNELS if rng.random() < 0.6] or ["gain"]
    banks = {port: some_bank(rng, port, rules) for port in ports}
    frames = {port: bank.shape[0] for port, bank in banks.items()}
    if loaded is not None and "fast" not in banks and rng.random() < 0.5:
        frames["fast"] = loaded.shape[0]
    return ShotTable(banks, {port: rng.integers(0, count, shots) for port, count in frames.items()}, DWELL_S, read=())


# what should come of it


def verdict(rules: Rules, table: ShotTable, loaded: Bank | None, now: dict[str, Floats]) -> bool | None:
    """Whether the table is allowed; None where it is too near to call."""
    banks = {port: table.banks.get(port, loaded) for port in table.orders}
    found: list[bool | None] = []
    rows: dict[str, Floats] = {}
    for port, bank in banks.items():
        assert bank is not None
        with np.errstate(invalid="ignore"):
            frames = np.vstack([dense(bank), *_own(bank)]).astype(np.float64)
        low = -rules.upper[port] if port == "fast" else 0.0
        if port in table.banks and not ((frames >= low) & (frames <= rules.upper[port])).all():
            return False
        rows[port] = frames[: bank.shape[0]][table.orders[port]]
    if "fast" in rows and "fast" in rules.slew:
        found += [_below(step, rules.slew["fast"] * DWELL_S) for step in np.abs(np.diff(_from_dark(rows["fast"]), axis=0)).ravel()]
    dark = {"gain": now["gain"], "pump": now["pump"], "fast": np.zeros(CHANNELS["fast"])}
    for shot in range(table.shots):
        moment = {**dark, **{port: played[shot] for port, played in rows.items()}}
        concerned = [joint for joint in rules.joints if any(port in rows for port, _ in joint.channels)]
        found += [_below(joint.of(moment), joint.most) for joint in concerned]
    return False if False in found else None if None in found else True


def _from_dark(rows: Floats) -> Floats:
    """What a converter that is dark between tables makes of a sequence."""
    dark = np.zeros((1, rows.shape[1]))
    return np.concatenate([dark, rows, dark])


def _own(bank: Bank) -> list[Floats]:
    """Frames that count as the bank's although no row plays them: the base, changes that others replace, all plus and all minus."""
    if isinstance(bank, Changes):
        lone = zip(bank.channels.ravel(), bank.values.ravel().astype(bank.base.dtype), strict=True)
        return [bank.base[None], *(np.where(np.arange(len(bank.base)) == channel, value, 0.0)[None] for channel, value in lone)]
    signs = (-1.0, 1.0) if isinstance(bank, Dither) else ()
    return [np.asarray(bank.base + sign * bank.amplitude, bank.base.dtype)[None] for sign in signs]


def _below(value: float, limit: float) -> bool | None:
    return None if abs(value - limit) <= NEAR * limit and value != limit else bool(value <= limit)


def held_rows(table: ShotTable) -> dict[str, Floats]:
    """What the held ports are told last."""
    return {port: dense(table.banks[port])[table.orders[port][-1]].astype(np.float64) for port in HELD if port in table.banks}


def play_random_tables(rng: np.random.Generator) -> None:
    """One bench, a few tables; all that is asserted."""
    rules = some_rules(rng)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lab.toml"
        path.write_text(rules.text())
        bench = Bench.open(path, dry_run=True)
    wire = Wire(rules, bench.clock.now)
    listen(bench, wire)
    loaded: Bank | None = None
    with bench:
        for _ in range(rng.integers(1, 6)):
            table = some_table(rng, rules, loaded)
            allowed = verdict(rules, table, loaded, wire.now)
            before, exchanges = wire.commands, bench.exchanges
            wire.played.clear()
            refused = ""
            try:
                bench.play(table)
            except LimitError as problem:
                refused = str(problem)
            event(f"refused: {re.split('[ /[]', refused)[0]}" if refused else "played")
            assert allowed is None or allowed == (not refused), refused
            if refused:
                assert (wire.commands, bench.exchanges) == (before, exchanges)
                continue
            loaded = table.banks.get("fast", loaded)
            for port, row in held_rows(table).items():
                assert wire.now[port] == pytest.approx(row, abs=STEP_A)
            if "fast" in table.orders:
                assert loaded is not None
                assert np.array(wire.played) == pytest.approx(dense(loaded)[table.orders["fast"]], abs=STEP_A)
    assert not wire.crossed
    assert not any(wire.now[port].any() for port in HELD)


def listen(bench: Bench, wire: Wire) -> None:
    """Let `wire` hear what reaches the emulators."""
    instruments: Any = bench._opened.simulated.instruments
    for port, parse in (("gain", wire.qontrol), ("pump", wire.keithley)):
        (emulator,) = instruments.of(port)
        emulator.feed = _first(parse, emulator.feed)
    (wire.dac,) = instruments.of("fast")
    wire.dac.handle_parts = _first(wire.stream, wire.dac.handle_parts)
    instruments.of("out")[0].on_fire = wire.fire


def _first(parse: Callable[[Any], None], answer: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def both(data: Any) -> Any:
        parse(data)
        return answer(data)

    return both


@given(seed=st.integers(0, 2**63 - 1))
@settings(max_examples=100)
def test_no_command_over_any_limit_reaches_a_link_and_every_table_within_them_is_played_unchanged(seed: int) -> None:
    play_random_tables(np.random.default_rng(seed))


@pytest.mark.slow
@given(seed=st.integers(0, 2**63 - 1))
@settings(max_examples=1000)
def test_no_command_over_any_limit_reaches_a_link_in_thousands_of_tables(seed: int) -> None:
    play_random_tables(np.random.default_rng(seed))
