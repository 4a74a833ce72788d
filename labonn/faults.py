"""Faults that simulated instruments are to have, written in one word: `[PORT[/INDEX]:]KIND[=VALUE][@WHEN][xTIMES]`.

    gain:timeout@100      the reply to the exchange after the first 100 is lost
    ovens:runaway=90@30s  after 30 s of the bench's time the oven heats to 90 degrees
    garbledx*             from now on every reply of the only instrument is garbled
"""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass

from labonn.errors import LabonnError

ON_THE_WIRE = {
    "drop": "the connection breaks before the request is read",
    "deaf": "the request is not received, and not answered",
    "timeout": "the request is obeyed, the reply lost",
    "late": "the request is obeyed, the reply comes together with the next one",
    "garbled": "some bytes of the reply are others",
    "truncated": "the reply ends half-way",
    "doubled": "the reply comes twice",
    "foreign": "in place of the reply comes that to an earlier request",
    "flipped": "one bit of the reply is another, in a digit if it has one",
}
ON_CALLS = ("drop", "deaf", "timeout", "truncated")  # of instruments that have functions: a call raises, or gives too little
OF_THE_COMPUTER = {
    "clock_jump": "VALUE seconds (3600) pass at once, as when the computer was asleep",
    "full_disk": "from now on no file of this process grows beyond VALUE bytes (0)",
}
IN_THE_INSTRUMENT = {
    "refuse": "the next setting is refused by the instrument's words",
    "ignore": "the next setting is acknowledged, and not done",
    "unseen": "the next frame is accepted by an SLM, and not shown",
    "misread": "read-back is VALUE times what is true (1.01)",
    "stuck": "channel VALUE (0) stays where it is",
    "saturated": "channel VALUE (0) of a detector sits at the end of its range",
    "nan": "channel VALUE (0) of a detector gives what is no number",
    "no_trigger": "a trigger that is fired does not come",
    "runaway": "an oven heats to VALUE degrees (200), whatever it is told",
    "interlock": "the interlock opens",
    "lost_block": "a block of the next record is missing",
    "power_cycle": "its power fails for a moment: it forgets everything, and comes back",
}
KINDS = ON_THE_WIRE | OF_THE_COMPUTER | IN_THE_INSTRUMENT
FORM = re.compile(
    r"(?:(?P<port>[^:/@]+)(?:/(?P<index>\d+))?:)?(?P<kind>[a-z_]+?)(?:=(?P<value>[^@x]+))?"
    r"(?:@(?P<after>[\d.e+-]+)(?P<unit>s?))?(?:x(?P<times>\d+|\*))?"
)


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        text: as it was written. port, index: whose; None: of the only instrument, of all instruments of the port.
        kind: one of KINDS. value: what the kind needs, None: its default.
        after: exchanges that are left alone first. after_s: seconds of the bench's clock before it strikes; None: counted in exchanges.
        times: how often; inf for ever.
    """

    text: str
    port: str | None
    index: int | None
    kind: str
    value: float | None = None
    after: int = 0
    after_s: float | None = None
    times: float = 1


def parse_fault(text: str) -> Fault:
    """The fault that `text` describes.

    Raises:
        LabonnError: not such a word, or no such kind.
    """
    found = FORM.fullmatch(text)
    if found is None:
        form = "[PORT[/INDEX]:]KIND[=VALUE][@EXCHANGES or @SECONDSs][xTIMES]"
        raise LabonnError(f"fault {text!r}: {form} is wanted, such as gain:timeout@100")
    kind = found["kind"]
    if kind not in KINDS:
        near = difflib.get_close_matches(kind, KINDS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(KINDS)}"
        raise LabonnError(f"fault {text!r}: no kind {kind!r}; {hint}")
    try:
        value = None if found["value"] is None else float(found["value"])
        after = float(found["after"] or 0)
    except ValueError:
        raise LabonnError(f"fault {text!r}: a number is wanted behind = and @") from None
    counted = found["unit"] != "s"
    if not 0 <= after < math.inf or (counted and after != int(after)):
        raise LabonnError(f"fault {text!r}: @ is followed by a whole number of exchanges, or by seconds such as 2.5s")
    times = math.inf if found["times"] == "*" else float(found["times"] or 1)
    index = None if found["index"] is None else int(found["index"])
    return Fault(text, found["port"], index, kind, value, int(after) if counted else 0, None if counted else after, times)
