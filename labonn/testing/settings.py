"""What a behaviour suite can be told: driver, options, limits, an instrument of the lab; and which checks are for it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, TypeVar

import pytest

from labonn.errors import LabonnError
from labonn.registry import load
from labonn.testing.rig import Rig, Setup

WRONGS = ("refuse", "ignore", "misread", "nan")  # what an emulator with `faults` can have inside
Method = TypeVar("Method", bound=Callable[..., Any])


def needs(*traits: str) -> Callable[[Method], Method]:
    """A check for drivers with all of these traits only; of others it is no check at all."""

    def marked(method: Method) -> Method:
        method.traits = frozenset(traits)  # type: ignore[attr-defined]
        return method

    return marked


class Settings:
    """Of a suite, as attributes of its class.

    Attributes:
        driver: entry point of the driver (and of its emulator). options: keys of its port in a bench file.
        lower, upper: tighter limits as in a bench file ("5 mA"); nothing beyond them is sent.
        link: of a real instrument; None is the emulator. seed: of the emulator's serial numbers and noise.
        dwell_s: how long a shot lasts. passing: attributes of the emulator that change by talking to it alone.
        ends_with_its_driver: closing the driver ends the emulated function table for good, as it does a window.
    """

    driver: ClassVar[str] = ""
    options: ClassVar[Mapping[str, Any]] = {}
    lower: ClassVar[Any] = None
    upper: ClassVar[Any] = None
    link: ClassVar[str | None] = None
    seed: ClassVar[int] = 7
    dwell_s: ClassVar[float] = 1e-3
    passing: ClassVar[tuple[str, ...]] = ("time_s",)
    ends_with_its_driver: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        """Leave out what is not for this kind of driver, so that nothing has to be skipped."""
        super().__init_subclass__()
        if cls.driver:
            traits = cls.traits()
            for name in dir(cls):
                if not getattr(getattr(cls, name), "traits", frozenset()) <= traits:
                    setattr(cls, name, None)

    @classmethod
    def traits(cls) -> frozenset[str]:
        """What the driver's class says of itself; nothing of one that cannot be imported, which every check will tell."""
        try:
            driver = load("labonn.drivers", cls.driver)
            emulator = object if cls.link else load("labonn.emulators", cls.driver)
        except LabonnError:
            return frozenset()
        kinds = {"SpatialLightModulator": "slm", "GainSections": "gain", "Heaters": "heaters"}
        found = {"detector" if driver.kind == "Photodetectors" else "actuator", kinds.get(driver.kind, "")}
        found.add("table" if driver.transport == "sdk" else "wire")
        found |= set(getattr(emulator, "faults", ())) & set(WRONGS)
        found |= {trait for trait, has in (("trigger", hasattr(driver, "fire")), ("messages", hasattr(emulator, "handle_parts"))) if has}
        return frozenset(found | {"emulated"} if cls.link is None else found - {"table", "wire"})

    @pytest.fixture
    def rig(self) -> Iterator[Rig]:
        with self.opened() as rig:
            yield rig

    @contextlib.contextmanager
    def opened(self) -> Iterator[Rig]:
        """The driver, open; closed behind."""
        if self.link is not None and "actuator" in self.traits() and (self.lower is None or self.upper is None):
            pytest.fail("an actuator of the lab is used only inside `lower` and `upper`: say both, as in a bench file")
        rig = Rig(Setup(self.driver, self.options, self.lower, self.upper, self.link, self.seed, self.ends_with_its_driver))
        try:
            yield rig
        finally:
            rig.close()
