"""What the outputs of a Keysight 33500 do: which function plays or waits for its trigger, and volts at the loads over time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sim_backends.firmware import keysight33500_waves as waves
from sim_backends.firmware.keysight33500_limits import divided
from sim_backends.firmware.keysight33500_memory import Sequence
from sim_backends.firmware.keysight33500_settings import CHANNELS

if TYPE_CHECKING:
    from sim_backends.firmware.keysight33500 import Keysight33500Firmware

Floats = NDArray[np.float64]
SETTINGS = ("duty", "symmetry", "width", "lead", "trail")


class Outputs:
    """The trigger system and the outputs of both channels.

    Args:
        loads_ohm: at both outputs; None: what OUTPut:LOAD says. seed: of noise.

    Attributes:
        initiated: channel -> whether INITiate was sent, where INITiate:CONTinuous is off.
    """

    def __init__(self, own: Keysight33500Firmware, loads_ohm: float | None, seed: int) -> None:
        self._own, self._loads_ohm, self._seed = own, loads_ohm, seed
        self.initiated = dict.fromkeys(CHANNELS, False)
        self._fired = dict.fromkeys(CHANNELS, False)
        self._waits_at = dict.fromkeys(CHANNELS, 0)

    def restart(self, *channels: int) -> None:
        """Channels, or both, begin again: they play, or wait for their trigger."""
        for n in channels or CHANNELS:
            sequence = self._sequence(n)
            self._fired[n], self._waits_at[n] = False, 0 if sequence is None else waves.path_from(sequence, 0)[1]

    def edge(self, n: int) -> bool:
        """A trigger comes to a channel; whether it was waiting for one."""
        if not (self._own.values[f"continuous{n}"] or self.initiated[n]):
            return False
        self.initiated[n] = False
        sequence = self._sequence(n)
        if sequence is None:
            self._fired[n] = self._bursts(n) and self._own.values[f"burst_mode{n}"] == "TRIG"
            return self._fired[n]
        if self._fired[n]:
            self._waits_at[n] = waves.path_from(sequence, self._waits_at[n] + 1)[1]
        self._fired[n] = self._waits_at[n] >= 0 and sequence.steps[self._waits_at[n]].control != "repeatInf"
        return self._fired[n]

    def rests(self, n: int) -> bool:
        """Whether a channel waits for a trigger from outside, or has waited for the last one."""
        by_itself = self._own.values[f"trigger{n}"] in ("IMM", "TIM")
        return (self._bursts(n) and not by_itself) or (self._sequence(n) is not None and self._waits_at[n] >= 0)

    def volts(self, n: int, times: Floats) -> Floats:
        """At the load of a channel, so many seconds after its last trigger."""
        own, values = self._own, self._own.values
        if not values[f"output{n}"]:
            return np.zeros(len(times))
        swing = self._swing(n, times)
        swing = -swing if values[f"inverted{n}"] == "INV" else swing
        volts = values[f"offset{n}"] + swing * (values[f"vpp{n}"] / 2 / own.memory[n].used_scale(own, n))
        ratio = 1.0 if self._loads_ohm is None else divided(self._loads_ohm) / divided(values[f"load{n}"])
        return np.asarray(volts * ratio)

    def _swing(self, n: int, times: Floats) -> Floats:
        """-1 to 1."""
        values, function, memory = self._own.values, self._own.values[f"function{n}"], self._own.memory[n]
        if function == "DC":
            return np.zeros(len(times))
        if (sequence := self._sequence(n)) is not None:
            return self._sequenced(n, sequence, times)
        cycles, fired = math.inf, self._fired[n]
        if self._bursts(n):
            if values[f"trigger{n}"] in ("IMM", "TIM"):
                times, fired = times % values[f"burst_period{n}" if values[f"trigger{n}"] == "IMM" else f"timer{n}"], True
            cycles = values[f"cycles{n}"] if fired else 0
        if function == "ARB":
            return waves.arb(times, memory.codes_of(memory.selected), values[f"rate{n}"], cycles)
        hertz = values[f"frequency{n}"]
        if cycles < math.inf or values[f"burst{n}"]:
            times = np.where((times >= 0) & (times * hertz < cycles), times, 0.0)
        if function == "PRBS":
            return waves.prbs(times, int(values[f"prbs{n}"][2:]), values[f"bit_rate{n}"])
        phase = values[f"burst_phase{n}" if values[f"burst{n}"] else f"phase{n}"] / 360
        settings = {key: values[f"{key}{n}"] for key in SETTINGS} | {"period": 1 / hertz}
        return waves.standard(function, times * hertz + phase, settings, np.random.default_rng((self._seed, n)))

    def _sequenced(self, n: int, sequence: Sequence, times: Floats) -> Floats:
        memory, rate, at = self._own.memory[n], self._own.values[f"rate{n}"], self._waits_at[n]
        if at < 0:
            return waves.played(times, list(sequence.steps), memory, rate, round_=True)
        before = waves.played(np.full(len(times), np.inf), [sequence.steps[at]], memory, rate, round_=False)
        if not self._fired[n]:
            return before
        steps, _ = waves.path_from(sequence, at + 1)
        return np.where(times < 0, before, waves.played(times, steps, memory, rate, round_=False))

    def _sequence(self, n: int) -> Sequence | None:
        """The sequence that a channel plays, if it plays one."""
        memory = self._own.memory[n]
        return memory.sequences.get(memory.selected) if self._own.values[f"function{n}"] == "ARB" else None

    def _bursts(self, n: int) -> bool:
        """Whether a channel plays only when it is triggered."""
        values = self._own.values
        return bool(values[f"burst{n}"]) and not (values[f"trigger{n}"] == "IMM" and math.isinf(values[f"cycles{n}"]))
