"""The whole suite: every check that fits the driver's kind."""

from __future__ import annotations

from labonn.testing.actuators import Actuators
from labonn.testing.broken import Broken
from labonn.testing.common import Common
from labonn.testing.detectors import Detectors
from labonn.testing.inside import Inside
from labonn.testing.kinds import Kinds


class DriverBehaviour(Common, Actuators, Detectors, Kinds, Broken, Inside):
    """What a driver does by its contract (drivers/README.md); what it can be told is in settings.py and hooks.py."""
