"""The behaviour suite that every driver must pass, for pytest: against its emulator, or with `link` against the instrument itself.

In a test file of any package, three lines:

    from labonn.testing import DriverBehaviour
    class TestMySource(DriverBehaviour):
        driver = "mysource"

`driver` is the driver's entry point; its emulator is the one of the same name. What else can be said is in `Settings`
(settings.py): options, tighter limits; `Hooks` (hooks.py) is for what an emulator calls otherwise than ours. Real hardware is the
same class with `link = "visa://…"`, and for an actuator `lower` and `upper`, beyond which nothing is ever sent; checks that need
an emulator (broken wires, what the outputs really do) are then left out. `suites_of("bench.toml")` makes the classes of a bench.
"""

import pytest

pytest.register_assert_rewrite(
    *(f"labonn.testing.{part}" for part in ("common", "actuators", "kinds", "detectors", "breaking", "broken", "inside"))
)

from labonn.testing.behaviour import DriverBehaviour  # noqa: E402
from labonn.testing.benches import suites_of  # noqa: E402
from labonn.testing.rig import Rig  # noqa: E402
from labonn.testing.values import frozen  # noqa: E402
from labonn.testing.wire import FAULTS, Wire  # noqa: E402

__all__ = ["FAULTS", "DriverBehaviour", "Rig", "Wire", "frozen", "suites_of"]
