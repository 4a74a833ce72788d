"""From what the parameter port of a chip is driven with to what its couplers obey: sections or heaters, crosstalk, drift."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from labonn.chips import ChipOptics
from sim_backends.benches.chip_settings import ChipSettings
from sim_backends.physics.drives import Dense, Sparse
from sim_backends.physics.heaters import Heaters
from sim_backends.physics.lag import Lag
from sim_backends.physics.noise import Noise
from sim_backends.physics.placement import positions
from sim_backends.physics.sections import GainSections

Values = NDArray[Any]


class Actuators:
    """The P sections or heaters of a chip.

    Attributes:
        lag: of heaters; sections follow at once.
    """

    def __init__(self, optics: ChipOptics, settings: ChipSettings, noise: Noise) -> None:
        model, kind = optics.model, optics.design.coupler
        stages = [model.meshes[name].layout if name in model.meshes else optics.design.sizes[int(name[-1])] for name in model.slices]
        places = positions(stages, per_coupler=2 if kind == "mzi" else 1)
        self._sections: GainSections | None = None
        self._heaters: Heaters | None = None
        if kind == "pt":
            self._sections = GainSections(model.count, settings.sections, noise.child("sections"), model.amplifiers, places)
        else:
            self._heaters = Heaters(model.count, settings.heaters, noise.child("heaters"), places)
        # couplers of rotations and all attenuators obey h = theta/2, full MZIs theta + pi itself
        halved = np.ones(model.count, bool) if kind == "rotation" else model.amplifiers
        self._scale = np.where(halved, 0.5, 1.0) if kind != "pt" else np.ones(model.count)
        self._shift = np.where(halved, -np.pi, 0.0) if kind != "pt" else np.zeros(model.count)
        mixing = self._mixing()
        self._mixing_inside: Any = None
        if mixing is not None:
            self._mixing_inside = sparse.csr_array(sparse.diags(self._scale) @ mixing @ sparse.diags(1 / self._scale))
        self.lag = self._heaters.lag if self._heaters is not None else Lag(0.0)

    def _mixing(self) -> Any:
        return self._sections.mixing if self._sections is not None else self._heaters.mixing  # type: ignore[union-attr]

    @property
    def resistances(self) -> Values | None:
        """(P,) ohms of heaters."""
        return None if self._heaters is None else self._heaters.resistance_ohm

    def key(self, now_s: float) -> Any:
        """Changes when the same drive does something else."""
        return (self._sections or self._heaters).drift.key(now_s)  # type: ignore[union-attr]

    def dense(self, driven: Values, now_s: float) -> Dense:
        """(S, P) amperes or volts as internal parameters."""
        if self._sections is not None:
            return Dense(self._sections.values(driven, now_s))
        assert self._heaters is not None
        return Dense(self._scale * (self._heaters.phases(driven, now_s) + self._shift))

    def sparse(self, base: Values, channels: Values, values: Values, now_s: float) -> Sparse:
        """A base (P,) with changes (S, n), in amperes or volts, as internal parameters."""
        inside = self.dense(base[None], now_s).values[0]
        if self._sections is not None:
            away = self._sections.own(values, channels, now_s) - self._sections.own(base, None, now_s)[channels]
        else:
            assert self._heaters is not None
            away = self._scale[channels] * (self._heaters.own(values, channels) - self._heaters.own(base)[channels])
        return Sparse(inside, channels, inside[channels] + away, self._mixing_inside)

    def emission(self, inside: Values) -> Values:
        """(P, 2) variances of the spontaneous emission in both guides."""
        assert self._sections is not None
        return self._sections.emission(inside)
