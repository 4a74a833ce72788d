"""What a case came to: recovered, or told by a typed error with everything safe; or a failure of ours."""

from __future__ import annotations

import math
from dataclasses import dataclass

import benches
from cases import Case
from running import Seen, same

RECOVERED, TOLD, UNREACHABLE = "recovered", "error told, all safe", "error told, what cannot be reached named"
NOTED, UNDETECTABLE, FAILED = "finished, told in the events", "undetectable by protocol", "FAILED"
NEVER = "not struck: no exchange came after"
OUTCOMES = (RECOVERED, TOLD, UNREACHABLE, NOTED, UNDETECTABLE, NEVER, FAILED)
BUGS = {"raise_in_plan": "a bug in the plan", "raise_in_driver": "a bug in the driver", "raise_in_safe": "a bug in safe"}
NOISY = {"desk": 0.02, "board": 0.02, "sources": 0.02}  # parts of the largest reading: their instruments have noise of their own
CODES = {"interrupt": 130, "terminate": 143}


@dataclass(frozen=True)
class Verdict:
    """An outcome and why."""

    outcome: str
    why: str = ""


def tolerance(bench: str) -> float:
    """How near readings must be to those of the run without a fault; 0: equal bits."""
    return NOISY.get(bench.partition("+")[0], 0.0)


def judge(case: Case, seen: Seen, reference: Seen) -> Verdict:
    """What a run with a fault came to."""
    bug = case.kind in BUGS and seen.crash == f"ZeroDivisionError: {BUGS[case.kind]}"  # bugs come with a traceback
    broken = (seen.crash if not bug else "") or (seen.left and f"left behind: {seen.left}")
    if not broken and case.kind != "full_disk":
        broken = seen.broken
    if broken or "Traceback" in seen.told:
        return Verdict(FAILED, broken or "a traceback on the screen")
    if bug:
        return _crashed(case, seen)
    if seen.code == 0:
        return _finished(case, seen, reference)
    return _ended(case, seen, reference)


def _finished(case: Case, seen: Seen, reference: Seen) -> Verdict:
    known = undetectable(case, seen, reference)
    if seen.unsafe:
        return Verdict(UNDETECTABLE, known) if known else Verdict(FAILED, f"finished, but not safe: {seen.unsafe}")
    if seen.status != "finished":
        return Verdict(FAILED, f"exit code 0, but the run's folder says {seen.status!r}")
    if len(seen.readings) != len(reference.readings):
        return Verdict(FAILED, f"{len(seen.readings)} tables instead of {len(reference.readings)}")
    wrong = same(seen.readings, reference.readings, tolerance(case.bench))
    if not wrong:
        return Verdict(RECOVERED if seen.struck or not case.port else NEVER)
    if case.kind == "saturated" and "saturated" in seen.events:
        return Verdict(NOTED, wrong)
    return Verdict(UNDETECTABLE, known) if known else Verdict(FAILED, f"finished with wrong data: {wrong}")


def _crashed(case: Case, seen: Seen) -> Verdict:
    """A bug of somebody's: the traceback is for its author, but all is safe and the folder whole."""
    if seen.unsafe or seen.status not in ("", "failed"):
        return Verdict(FAILED, f"not safe: {seen.unsafe}; the folder says {seen.status!r}")
    if case.kind != "raise_in_safe" and seen.status and "the bench is safe" not in seen.told:
        return Verdict(FAILED, f"does not say that the bench is safe: {seen.told[-300:]}")
    return Verdict(TOLD)


def _ended(case: Case, seen: Seen, reference: Seen) -> Verdict:
    code = CODES.get(case.kind, 2)
    if seen.code != code:
        return Verdict(FAILED, f"exit code {seen.code} instead of {code}: {seen.told[-300:]}")
    if case.kind not in CODES and "labonn: error: " not in seen.told:
        return Verdict(FAILED, f"no error is told: {seen.told[-300:]!r}")
    if case.kind == "full_disk":
        full = seen.status or "cannot be written" in seen.told or "no folder can be made" in seen.told
        return Verdict(TOLD) if full and not seen.unsafe else Verdict(FAILED, f"{seen.unsafe}, {seen.told[-300:]}")
    if seen.status not in ("", "failed", "interrupted") or (seen.readings and not seen.status):
        return Verdict(FAILED, f"exit code {seen.code}, but the run's folder says {seen.status!r}")
    if seen.unsafe:
        names = {name.partition("[")[0] for name in seen.unsafe}
        same_instrument = benches.siblings(case.bench, case.port.partition("/")[0])
        told = any(f"{name}: could not be made safe" in seen.told for name in names)
        if not (case.forever or case.kind == "stuck") or not names <= same_instrument or not told:
            return Verdict(FAILED, f"not safe: {seen.unsafe}; told: {seen.told[-300:]}")
        return Verdict(UNREACHABLE, str(seen.unsafe))
    if "the bench is safe" in seen.told and "could not be made safe" in seen.told:
        return Verdict(FAILED, "says that the bench is safe and that it is not")
    return Verdict(TOLD, "after wrong data" if same(seen.readings, reference.readings, tolerance(case.bench)) else "")


def undetectable(case: Case, seen: Seen, reference: Seen) -> str:
    """Why nobody could have noticed, by what the instrument's protocol has; "": somebody could."""
    for drivers, kinds, within, why in RULES:
        if case.driver.startswith(drivers) and case.kind in kinds and not same(seen.readings, reference.readings, within):
            return why
    return ""


ANY = math.inf
RULES = [
    (("stream_dac", "redpitaya", "nidaqmx", "keysight33500"), ("stuck",), ANY, "what a converter really puts out is not read back"),
    (("keysight33500",), ("no_trigger",), ANY, "it waits for a trigger after a burst as it did before it"),
    (("slm_",), ("unseen",), ANY, "a panel does not tell what it shows"),
    (("stream_adc",), ("nan",), ANY, "a code with all bits set is a reading like any other"),
    (("redpitaya",), ("flipped", "garbled", "foreign"), ANY, "blocks of samples have neither a number nor a checksum (TCP has)"),
    (("qontrol",), ("ignore", "stuck"), 0.2, "a set by less than its read-back is accurate to"),
]
