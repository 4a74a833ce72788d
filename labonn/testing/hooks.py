"""What a suite does with an emulator; to be overridden for one that calls things otherwise."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from labonn.channels import ChannelSpec, Floats
from labonn.devices import Trigger
from labonn.shots import Bank
from labonn.testing.rig import Rig
from labonn.testing.settings import Settings
from labonn.testing.values import frozen, own, spread

OUTPUTS = {"A": ("currents_a",), "V": ("volts_v", "voltages_v"), "W": ("powers_w",), "degC": ("targets_c",)}
Signal = Callable[[Floats], Floats]


class Hooks(Settings):
    """Of actuators, of detectors, and of both."""

    def outputs(self, rig: Rig) -> Floats | None:
        """(C,) what the emulator's outputs do now, in the port's unit; None of an instrument, which nobody can look into."""
        if rig.emulator is None:
            return None
        if hasattr(rig.device, "shape"):
            return self.fields(rig)
        for name in OUTPUTS.get(rig.spec.unit, ()):
            if hasattr(rig.emulator, name):
                return own(getattr(rig.emulator, name), rig)
        return pytest.skip(f"the emulator has none of {OUTPUTS.get(rig.spec.unit)}: override `outputs`")

    def fields(self, rig: Rig) -> Floats:
        """(C,) fields that an SLM's emulator shows by the codes of its macropixels, if those turn the phase evenly."""
        codes = np.asarray(rig.emulator.block(*rig.device.shape), np.float64).ravel()
        options = rig.port.options
        return np.asarray(-np.cos(codes / (2 ** getattr(options, "bits", 8) - 1) * getattr(options, "stroke_rad", 2 * np.pi) / 2))

    def table(self, rig: Rig, shots: int) -> Floats | None:
        """(T, C) what a sequenced emulator plays after the trigger; None of an instrument."""
        if rig.emulator is None:
            return None
        if hasattr(rig.emulator, "sampled"):
            self.trigger(rig, shots)
            return own(rig.emulator.sampled((np.arange(shots) + 0.5) * self.dwell_s), rig)
        if callable(getattr(rig.emulator, "volts", None)):
            return own(rig.emulator.volts(), rig)
        return pytest.skip("the emulator has neither `sampled` nor `volts`: override `table`")

    def is_safe(self, rig: Rig) -> bool:
        """Whether the emulator's outputs do nothing: black, switched off, not waiting for a trigger, or at zero."""
        if rig.emulator is None:
            return True
        if hasattr(rig.device, "shape"):
            return not np.any(rig.emulator.block(*rig.device.shape))
        for name in ("enabled", "armed"):
            if isinstance(getattr(rig.emulator, name, None), (bool, np.ndarray)):
                return not np.any(getattr(rig.emulator, name))
        outputs = self.outputs(rig)
        return outputs is None or bool(np.all(np.abs(outputs) <= self.tolerance(rig)))

    def tolerance(self, rig: Rig) -> Floats:
        """(C,) how far an output or a reading may be from what was asked for."""
        return np.asarray(rig.spec.step + 5e-3 * (rig.spec.upper - rig.spec.lower))

    def refuse(self, rig: Rig) -> None:
        """Make the instrument refuse a set: limits in its registers tighter than those that the driver knows of, its own range, a fault."""
        span = rig.spec.upper - rig.spec.lower
        rig.device.prepare(rig.spec.tighten(None, rig.spec.lower + 0.03 * span, "suite"))
        self.believing(rig, rig.spec, rig.spec.lower + 0.9 * span)
        rig.prepare()
        if "refuse" in getattr(rig.emulator, "faults", ()):
            rig.emulator.inject("refuse", None)
            self.play(rig, self.rows(rig.spec, 1), [0])
        most = 3 * np.abs(rig.spec.upper)
        self.believing(rig, dataclasses.replace(rig.spec, upper=most), most)
        pytest.skip("the instrument has no limits of its own to refuse by: override `refuse`")

    def believing(self, rig: Rig, spec: ChannelSpec, row: Floats) -> None:
        """Play a row while the driver believes in these limits."""
        known, rig.device.spec = rig.device.spec, spec
        try:
            self.play(rig, row[None], [0])
        finally:
            rig.device.spec = known

    def wait_for_the_instrument(self, rig: Rig) -> None:
        """After a connection broke: until the instrument takes another one."""

    def sdk_problem(self, rig: Rig) -> Exception:
        """What a function of the instrument's SDK raises when it fails."""
        return RuntimeError("the instrument was unplugged")

    def play(self, rig: Rig, bank: Bank | None, order: list[int]) -> Floats | None:
        """(T, C) what the outputs do, (1, C) of a held port, after load and arm; None of an instrument."""
        rig.device.load(bank, np.array(order), self.dwell_s)
        rig.device.arm()
        if rig.spec.depth > 1:
            return self.table(rig, len(order))
        held = self.outputs(rig)
        return None if held is None else held[None]

    def illuminate(self, rig: Rig, signal: Signal) -> None:
        """Put `signal` (seconds (T,) after a trigger -> (T, D) in the port's unit) at the emulator's inputs."""
        emulator = rig.emulator
        if hasattr(emulator, "inputs"):
            emulator.inputs = signal
        elif hasattr(emulator, "record"):
            emulator.on_fire = lambda shots, dwell_s: emulator.record(signal((np.arange(shots) + 0.5) * dwell_s))
        elif emulator is not None:
            pytest.skip("the emulator has neither `inputs` nor `record`: override `illuminate`")

    def trigger(self, rig: Rig, shots: int) -> None:
        """The edge that starts an armed instrument: its own, or one at its trigger input."""
        if isinstance(rig.device, Trigger):
            rig.device.fire(shots, self.dwell_s)
        elif hasattr(rig.emulator, "external_trigger"):
            rig.emulator.external_trigger()
        else:
            pytest.skip("nothing triggers it: override `trigger`")

    def record(self, rig: Rig, shots: int, bursts: int = 1) -> Floats:
        """(T, D) what is read after arm and so many triggers."""
        several = {"bursts": bursts} if bursts > 1 else {}
        rig.device.arm(shots, self.dwell_s, **several)
        for _ in range(bursts):
            self.trigger(rig, shots)
        return np.asarray(rig.device.fetch())

    def state(self, rig: Rig) -> dict[str, Any]:
        """Everything that the emulator tells of itself in public, as plain data."""
        kind = type(rig.emulator)
        names = {*vars(rig.emulator), *(n for n in dir(kind) if isinstance(getattr(kind, n, None), property))}
        kept = (n for n in sorted(names) if not n.startswith("_") and n not in self.passing)
        return {name: value for name in kept if (value := frozen(getattr(rig.emulator, name))) is not ...}

    def rows(self, spec: ChannelSpec, count: int) -> Floats:
        """(count, C) values well inside the limits, no two of them alike."""
        return np.asarray(spec.lower + (spec.upper - spec.lower) * spread(count, len(spec)))
