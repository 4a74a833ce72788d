"""DAQ devices of National Instruments by their specifications: lines, ranges, rates, bits, noise; names of lines and terminals."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from sim_backends.firmware.nidaqmx_constants import DaqError, refused

Range = tuple[float, float]
MULTIPLE = re.compile(r"(.*?)(\d+):(?:\D*)(\d+)")
TERMINALS = re.compile(r"(ai|ao)/(StartTrigger|SampleClock)|PFI\d|PFI1[0-5]|RTSI[0-7]")


@dataclass(frozen=True)
class Model:
    """A device.

    Attributes:
        outputs, inputs: lines. output_bits, input_bits: of the converters.
        output_ranges, input_ranges: volts, the narrowest first. differential: inputs that may be the positive side of a pair.
        output_rates: samples per second with 1, 2, … lines in one task; none: set by software only.
        single, several: input samples per second of one line, and of all lines of a task together. timebase_hz: divided by an integer.
        internal: whether outputs can be read back by _aoN_vs_aognd.
    """

    product: str
    outputs: int
    inputs: int
    output_bits: int
    input_bits: int
    output_ranges: tuple[Range, ...]
    input_ranges: tuple[Range, ...]
    differential: frozenset[int]
    output_rates: tuple[float, ...]
    single: float
    several: float
    timebase_hz: float = 100e6
    internal: bool = True

    def rate(self, wanted: float) -> float:
        """What a clock makes of a rate: the timebase divided by an integer, never slower than asked for."""
        return self.timebase_hz / max(1, math.floor(self.timebase_hz / wanted + 1e-6))

    @property
    def slowest(self) -> float:
        """Samples per second at the largest divisor."""
        return self.timebase_hz / 2**32


def symmetric(*volts: float) -> tuple[Range, ...]:
    """Ranges from -v to v."""
    return tuple((-v, v) for v in volts)


PAIRS_32 = frozenset([*range(8), *range(16, 24)])
PAIRS_16 = frozenset(range(8))
FINE = symmetric(0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
RATES_4 = (2.86e6, 2.00e6, 1.54e6, 1.25e6)
MODELS = {
    model.product: model
    for model in (
        Model("PCIe-6363", 4, 32, 16, 16, symmetric(5.0, 10.0), FINE, PAIRS_32, RATES_4, 2e6, 1e6),
        Model("USB-6363", 4, 32, 16, 16, symmetric(5.0, 10.0), FINE, PAIRS_32, RATES_4, 2e6, 1e6),
        Model("PCIe-6351", 2, 16, 16, 16, symmetric(5.0, 10.0), FINE, PAIRS_16, RATES_4[:2], 1.25e6, 1e6),
        Model("USB-6211", 2, 16, 16, 16, symmetric(10.0), symmetric(0.2, 1.0, 5.0, 10.0), PAIRS_16, (250e3,) * 2, 250e3, 250e3, 80e6),
        Model("USB-6009", 2, 8, 12, 14, ((0.0, 5.0),), symmetric(1.0, 2.0, 5.0, 10.0), frozenset(range(4)), (), 48e3, 48e3, 24e6, False),
    )
}


def noise_v(full_scale: float) -> float:
    """Volts rms of one input sample: a part of the range and a part of the amplifier (6363 Specifications, AI absolute accuracy)."""
    return math.hypot(31.5e-6 * full_scale, 16e-6)


def smallest(ranges: tuple[Range, ...], low: float, high: float) -> Range | None:
    """The narrowest range that holds both values."""
    return next((r for r in ranges if r[0] <= low and high <= r[1]), None)


def each(text: str) -> Iterator[str]:
    """The names in "Dev1/ao0:2, Dev1/ao3"."""
    for part in text.split(","):
        found = MULTIPLE.fullmatch(part.strip())
        if found is None:
            yield part.strip()
        else:
            first, last = int(found[2]), int(found[3])
            yield from (f"{found[1]}{n}" for n in range(first, last + 1 if last >= first else last - 1, 1 if last >= first else -1))


def line_of(device: str, model: Model, name: str) -> tuple[str, int]:
    """(ao, ai or internal, number) of a physical channel; DaqError if there is none of that name."""
    owner, _, line = name.rpartition("/")
    if owner.lower() != device.lower():
        raise refused(-200220, Device_Specified=owner or name)
    counts = {"ao": model.outputs, "ai": model.inputs, "_ao": model.outputs if model.internal else 0}
    found = re.fullmatch(r"(ao|ai)(\d{1,4})|_ao(\d{1,4})_vs_aognd", line)
    if found is not None:
        kind, number = found[1] or "_ao", int(found[2] or found[3])
        if number < counts[kind]:
            return kind.replace("_ao", "internal"), number
    raise missing(device, line)


def missing(device: str, line: str) -> DaqError:
    """The error for a line that is not there."""
    return refused(-200170, Device=device, Physical_Channel_Name=line)


def check_terminal(device: str, source: str) -> str:
    """A terminal's full name ("/Dev1/PFI0", from "PFI0" too); DaqError if no device has one of that name."""
    owner, _, name = source[1:].partition("/") if source.startswith("/") else (device, "", source)
    if not owner or not TERMINALS.fullmatch(name):
        raise refused(-89120, Source_Terminal=source, Device=device)
    return f"/{device if owner.lower() == device.lower() else owner}/{name}"
