"""The noun: what was measured of a port's channels, how surely, on which instruments, and for how long it may be believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np

from labonn.channels import Floats
from labonn.errors import CalibrationError
from labonn.shots import Ints
from labonn.showing import Sheet, Shown
from labonn.showing.calibrations import calibration_sheet, check_sheet, coefficient_sheet, verification_sheet

Array = Any  # of any of the types that a store can hold
TIME = "%Y-%m-%dT%H:%M:%SZ"
LEFT_OUT = "left out"  # of the content where it is None, so that what was kept before there was such a field has the id that it had


def utc(moment: datetime | None = None) -> str:
    """A moment (now) as calibrations have it."""
    return (moment or datetime.now(UTC)).astimezone(UTC).strftime(TIME)


def moment(text: str) -> datetime:
    """The other way round."""
    return datetime.strptime(text, TIME).replace(tzinfo=UTC)


@dataclass(frozen=True, repr=False)
class Coefficient(Shown):
    """One coefficient of the model: (C,) values, or of any other shape that the kind of calibration needs, and their unit."""

    values: Array
    unit: str

    def _sheet(self) -> Sheet:
        return coefficient_sheet(self)


@dataclass(frozen=True, repr=False)
class Verification(Shown):
    """What fresh points said, which were not fitted.

    Attributes:
        points: so many a channel. unit: of the residuals.
        rms, largest: (C,) residuals. errors: (C,) the largest in units of its standard error. allowed: (C,) largest residual to be allowed.
    """

    points: int
    unit: str
    rms: Floats
    largest: Floats
    errors: Floats
    allowed: Floats

    def _sheet(self) -> Sheet:
        return verification_sheet(self)


@dataclass(frozen=True)
class LightBefore:
    """What is read before absorbers in the shots of a drift check: how much light there is is not theirs to say.

    Attributes:
        detector: the port to read. expected: (K, D) mean readings. dark: (D,) readings without light.
        steep: (K, D) by how much a relative change of this light changes the readings of the check.
        group: (D,) channels of a number get more or less light together.
    """

    detector: str
    expected: Floats
    dark: Floats
    steep: Floats
    group: Ints


@dataclass(frozen=True, repr=False)
class DriftCheck(Shown):
    """One small table that tells in a moment whether a calibration still holds.

    Attributes:
        banks, orders, dwell_s: the table, each point played `repeats` times in a row. detector: the port to read. unit: of its readings.
        expected, sigma: (K, D) mean readings and their standard errors. tolerance: (D,) beyond which the calibration no longer holds.
        free_scale: whether all readings may be larger or smaller by one factor: more or less light is not the modulators' business.
        before: what else is read, to take off what more or less light explains; None: nothing is.
    """

    banks: Mapping[str, Floats]
    orders: Mapping[str, Ints]
    dwell_s: float
    repeats: int
    detector: str
    unit: str
    expected: Floats
    sigma: Floats
    tolerance: Floats
    free_scale: bool = True
    before: LightBefore | None = field(default=None, metadata={LEFT_OUT: True})

    def _sheet(self) -> Sheet:
        return check_sheet(self)


@dataclass(frozen=True, eq=False, repr=False)
class Calibration(Shown):
    """Measured maps of one kind, of all channels of a port; equal if their content is.

    Attributes:
        kind: "modulators", "heaters", ... port, channels: whose, by name.
        model, version: of the curve that was fitted (labonn.calibration.models).
        coefficients: name -> values and unit; NaN for channels that are excluded.
        parameters: names of coefficients in the order of `covariance`: (C, k, k) blocks, or one (n, n) of all of them, or None.
        verification: residuals on points that were not fitted.
        excluded: channel -> why nothing is known of it.
        instruments: port -> identity of every instrument that took part. wiring: port -> driver and number of channels.
        world: "" for instruments; which simulated bench and seed it was taken on otherwise.
        conditions: temperature, wavelength, dwell, bench file's name and hash, whatever else was so.
        time: UTC. expires: UTC, or None for never. parents: ids of the calibrations that it was made with. check: quick test, if any.
    """

    kind: str
    port: str
    channels: tuple[str, ...]
    model: str
    version: int
    coefficients: Mapping[str, Coefficient]
    verification: Verification
    instruments: Mapping[str, str]
    wiring: Mapping[str, str]
    time: str
    parameters: tuple[str, ...] = ()
    covariance: Array | None = None
    excluded: Mapping[str, str] = field(default_factory=dict)
    conditions: Mapping[str, Any] = field(default_factory=dict)
    world: str = ""
    expires: str | None = None
    parents: tuple[str, ...] = ()
    check: DriftCheck | None = None

    def __post_init__(self) -> None:
        for name, text in (("time", self.time), ("expires", self.expires)):
            try:
                moment(text or self.time)
            except ValueError:
                wanted = "no UTC time such as 2026-01-31T12:00:00Z"
                raise CalibrationError(f"{self.kind} of {self.port}: {name} = {text!r} is {wanted}") from None
        if self.port not in self.instruments:
            raise CalibrationError(f"{self.kind} of {self.port}: the identity of the port's own instrument is missing")

    def _sheet(self) -> Sheet:
        return calibration_sheet(self)

    @cached_property
    def id(self) -> str:
        """First 12 hexadecimal digits of the SHA-256 of everything in it."""
        from labonn.calibration.content import content, id_of

        return id_of(content(self)[0])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Calibration) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def title(self) -> str:
        """As messages name it."""
        return f"{self.kind} calibration {self.id} of {self.port} ({self.time})"

    def values(self, name: str) -> Floats:
        """A coefficient.

        Raises:
            CalibrationError: it has none of that name.
        """
        if name not in self.coefficients:
            raise CalibrationError(f"{self.title}: no coefficient is called {name!r}; there are {', '.join(self.coefficients)}")
        return np.asarray(self.coefficients[name].values)

    def errors(self, name: str) -> Floats | None:
        """(C,) standard errors of a coefficient, where there are blocks of covariance."""
        if self.covariance is None or name not in self.parameters or np.ndim(self.covariance) != 3:
            return None
        index = self.parameters.index(name)
        return np.asarray(np.sqrt(self.covariance[:, index, index]))


def by_channel(words: Sequence[str], channels: Sequence[str]) -> dict[str, str]:
    """channel -> words, of channels that have any."""
    return {channel: told for channel, told in zip(channels, words, strict=True) if told}
