"""What a gradient method's accuracy and time on a chip depend on, as measured."""

from __future__ import annotations

from dataclasses import dataclass, field

from labonn.channels import Floats
from labonn.gradients.objective import Slots
from labonn.planner.agreement import Believed
from labonn.planner.costs import Costs
from labonn.planner.noise import Noise
from labonn.planner.powers import Curve, Power


@dataclass(frozen=True)
class Character:
    """What a gradient method's accuracy and time depend on, of one batch at one point.

    Attributes:
        total, free: parameters, and how many of them can move. above, below: (free,) room to either side.
        slots: with the lag that was found. noise: of one evaluation. gradient: squared length; images: that of an image by itself.
        both, one: rms error of a parameter's slope, by differences to both sides and to one. along: that of slopes along random signs.
        second: mean square of f''_ii / 2. bent: sum over pairs of squared second derivatives.
        smallest: step that is allowed; the largest are those of the curves. costs: of settings. believed: other gradients.
        settings, seconds: that this took. dithered: whether directions were measured, or guessed from single parameters.
    """

    total: int
    free: int
    above: Floats = field(repr=False)
    below: Floats = field(repr=False)
    slots: Slots
    noise: Noise
    gradient: Power
    images: float
    both: Curve
    one: Curve
    along: Curve
    second: Power
    bent: Power
    smallest: float
    costs: Costs
    believed: tuple[Believed, ...]
    settings: int
    seconds: float
    dithered: bool
