"""The kinds of devices: structural protocols that every driver fulfils."""

from __future__ import annotations

from typing import ClassVar, Protocol, runtime_checkable

from labonn.channels import ChannelSpec, Floats
from labonn.shots import Bank, Ints


class Device(Protocol):
    """Anything on a port.

    A driver class is made by `Driver(link, options, port)`: it identifies the instrument and reads its limits, and changes nothing.
    `Options` is a frozen dataclass: the driver's own keys in the bench file. `link_options` are defaults for the link's URL.
    A driver for an instrument with an SDK has `load_sdk(url)` and gets that function table in place of a link.

    A sequenced actuator or a detector that can be fired several times after one `arm` says how often by an attribute `most_bursts`
    (absent: once). Its `arm` then takes `bursts`: every `fire` plays the whole order, or records `shots` rows; the record holds
    all bursts, and `fetch` gives them one after another. The bench sets held ports between bursts, and passes `bursts` only if above 1.

    An actuator that can tell whether it did what it was told has `confirm()`, which raises UnknownStateError if it did not, or is no longer
    what it was set to; the bench calls it before it believes a plan's result. `fired(bursts)` tells a sequenced one that the trigger came.

    A sequenced actuator whose outputs are at the safe level whenever no shot is played has an attribute `dark_between` that is true;
    of any other the bench takes for granted that it keeps one of its rows.
    """

    Options: ClassVar[type]
    kind: ClassVar[str]
    transport: ClassVar[str]
    spec: ChannelSpec
    identity: str

    def close(self) -> None: ...


@runtime_checkable
class Actuator(Protocol):
    """Plays rows of a bank.

    `prepare` writes the (possibly tightened) limits into the instrument's own limit registers where it has some, and enables
    what must be enabled, at the safe level. `load` sends a bank (None: keep the one in memory) and an order; `arm` waits for
    the trigger, or for a device that cannot be triggered (depth 1) sets the row now. `safe` works from any state.
    """

    spec: ChannelSpec

    def prepare(self, spec: ChannelSpec) -> None: ...
    def load(self, bank: Bank | None, order: Ints, dwell_s: float) -> None: ...
    def arm(self) -> None: ...
    def safe(self) -> None: ...
    def close(self) -> None: ...


@runtime_checkable
class Detector(Protocol):
    """Records `shots` rows of its D channels at the trigger."""

    spec: ChannelSpec

    def arm(self, shots: int, dwell_s: float) -> None: ...
    def fetch(self) -> Floats: ...
    def close(self) -> None: ...


@runtime_checkable
class Trigger(Protocol):
    """Starts every armed instrument at once."""

    def fire(self, shots: int, dwell_s: float) -> None: ...


@runtime_checkable
class SpatialLightModulator(Actuator, Protocol):
    """C = rows x columns macropixels; row-major."""

    shape: tuple[int, int]


class Modulators(Actuator, Protocol):
    """Fast modulators of light beams, in volts."""


@runtime_checkable
class GainSections(Actuator, Protocol):
    """Current sources for gain sections, in amperes."""

    compliance_v: float

    def output(self, on: bool) -> None: ...


@runtime_checkable
class Heaters(Actuator, Protocol):
    """Heaters or ovens; `temperature` reads back what they reached."""

    def temperature(self) -> Floats: ...


@runtime_checkable
class Photodetectors(Detector, Protocol):
    """Photodetector arrays; `set_range` chooses the full scale in volts, one or one a channel (the smallest that holds it).

    Those taken may be seen in an attribute `full_scale` (D,); without it a record takes the spec's for them.
    """

    def set_range(self, full_scale_v: float | Floats) -> Floats: ...
