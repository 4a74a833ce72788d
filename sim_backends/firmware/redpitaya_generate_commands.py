"""The SCPI commands below OUTPUT, SOUR, GEN and PHAS of a Red Pitaya."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from sim_backends.firmware.redpitaya_values import (
    ANY_CHANNEL,
    RANGE,
    SWITCH,
    UNSUPPORTED,
    Choice,
    Real,
    Whole,
    numbered,
    per_channel,
    within,
)
from sim_backends.firmware.scpi_errors import ScpiError
from sim_backends.firmware.scpi_tree import Command

if TYPE_CHECKING:
    from sim_backends.firmware.redpitaya import RedPitayaFirmware

FUNCTIONS = ("SINE", "SQUARE", "TRIANGLE", "SAWU", "SAWD", "DC", "PWM", "ARBITRARY", "DC_NEG")


def generator_commands(own: RedPitayaFirmware) -> Iterator[Command]:
    """The commands below OUTPUT, SOUR, GEN and PHAS."""
    yield Command(":GEN:RST", own.reset_generator)
    yield from _triggers(own)
    yield from _signals(own)
    yield from _bursts(own)


def _triggers(own: RedPitayaFirmware) -> Iterator[Command]:
    count = own.generator.outputs
    everything, names = list(range(1, count + 1)), ("TRig:INT", "TRig:INT:ONLY") if own.new else ("TRig:IMM",)

    def switch_both(on: bool) -> None:
        own.values.update({f"output{n}": on for n in everything})

    def fire_one(n: int) -> None:
        own.fire_outputs([numbered(n, count)])

    for both in (":PHAS:ALIGN" if own.new else ":GEN:SYNC", *(f":SOUR:{name}" for name in names)):
        yield Command(both, lambda: own.fire_outputs(everything))
    for name in names:
        yield Command(f":SOUR{ANY_CHANNEL}:{name}", fire_one)
    yield Command(":OUTPUT:STATE", switch_both, lambda: SWITCH.shown(own.values[f"output{numbered(1, count)}"]), (SWITCH,))
    yield per_channel(own, count, ":OUTPUT#:STATE", "output", SWITCH, False)
    yield per_channel(own, count, ":SOUR#:TRig:SOUR", "gen_source", Choice(("INT", "EXT_PE", "EXT_NE")), "INT")
    yield own.setting(":SOUR:TRig:EXT:DEBouncer[:US]", "gen_debouncer", Real(), 500.0, lambda value: within(value, 0, 8388.6))


def _signals(own: RedPitayaFirmware) -> Iterator[Command]:
    count = own.generator.outputs

    def level(other: str) -> Any:
        def accept(n: int, volts: float) -> float:
            if abs(volts) + abs(own.values[f"{other}{n}"]) > 1 + 1e-5:
                raise ScpiError(RANGE)
            return volts

        return accept

    def write(n: int, *data: float) -> None:
        own.generator.load(n, np.array(data))

    def read(n: int) -> bytes:
        return own.acquisition.reply(own.generator.arbitrary[numbered(n, count) - 1], floats=True)

    yield per_channel(own, count, ":SOUR#:FUNC", "func", Choice(FUNCTIONS), "SINE")
    frequency = per_channel(own, count, ":SOUR#:FREQ:FIX", "freq", Real("HZ"), 1000.0, _ranged(0, 62.5e6))
    yield frequency
    if own.new:
        yield Command(f"{frequency.pattern}:Direct", frequency.write, None, frequency.takes)
    yield per_channel(own, count, ":SOUR#:VOLT", "volt", Real("V"), 0.8 if own.new else 1.0, level("offset"))
    yield per_channel(own, count, ":SOUR#:VOLT:OFFS", "offset", Real("V"), 0.0, level("volt"))
    yield per_channel(own, count, ":SOUR#:PHAS", "phase", Real(), 0.0, _ranged(-360, 360))
    yield per_channel(own, count, ":SOUR#:DCYC", "duty", Real(), 0.5, _ranged(0, 100))
    yield Command(f":SOUR{ANY_CHANNEL}:TRAC:DATA:DATA", write, read, (Real(),), repeats=True)


def _bursts(own: RedPitayaFirmware) -> Iterator[Command]:
    count = own.generator.outputs

    def mode(_: int, chosen: str) -> str:
        if chosen == "STREAM":
            raise ScpiError(UNSUPPORTED)
        return chosen

    yield per_channel(own, count, ":SOUR#:BURS:STAT", "mode", Choice(("CONTINUOUS", "BURST", "STREAM")), "CONTINUOUS", mode)
    yield per_channel(own, count, ":SOUR#:BURS:NCYC", "cycles", Whole(), 1, _ranged(1, 50000))
    yield per_channel(own, count, ":SOUR#:BURS:NOR", "repeats", Whole(), 1, _ranged(1, 65536))
    yield per_channel(own, count, ":SOUR#:BURS:INT:PER", "period", Whole(), 1, _ranged(1, 5e8))
    last = per_channel(own, count, ":SOUR#:BURS:LASTValue", "last", Real("V"), 0.0, _ranged(-1, 1))
    first = per_channel(own, count, ":SOUR#:INITValue", "init", Real("V"), 0.0, _ranged(-1, 1))
    yield from (last, first) if own.new else ()


def _ranged(low: float, high: float) -> Callable[[int, float], float]:
    return lambda _, value: within(value, low, high)
