"""What all checks share: light to read, and what counts as right."""

from __future__ import annotations

import numpy as np

from labonn.channels import Floats
from labonn.devices import Actuator
from labonn.testing.hooks import Hooks, Signal
from labonn.testing.rig import Rig


class Suite(Hooks):
    """A suite without checks."""

    def signal(self, rig: Rig) -> Signal:
        """Light in steps of a shot, other for every channel."""
        spec = rig.spec
        levels = self.rows(spec, 64)
        return lambda times: levels[np.floor(np.asarray(times) / self.dwell_s + 1e-6).astype(int) % 64]

    def lit(self, rig: Rig, shots: int) -> Floats:
        """(T, D) that light, shot by shot."""
        return self.signal(rig)((np.arange(shots) + 0.5) * self.dwell_s)

    def like(self, rig: Rig, found: Floats | None, wanted: Floats) -> bool:
        """Whether what was found is what was wanted, or nobody can know."""
        return found is None or (found.shape == wanted.shape and bool(np.all(np.abs(found - wanted) <= self.tolerance(rig))))

    def ready(self, rig: Rig) -> Rig:
        """Prepared, and of a detector in the light."""
        if isinstance(rig.device, Actuator):
            rig.prepare()
        else:
            self.illuminate(rig, self.signal(rig))
        return rig
