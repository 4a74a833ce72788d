"""Kills trainings, guardians, or both, at random moments; the instruments' own registers tell when everything is safe.

`python tests/guardian/kills.py [--count 200] [--seed 0]` prints a table, and ends with 1 if anything stayed on, or took too long.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from guardian_rig import LEASE_S, Rig, Shaken, alive, shaken, until

MODES = ("training", "guardian", "both", "hung training", "hung guardian", "twin, then guardian")
SLACK_S = 4.0  # for a busy computer: processes that wake, links that are opened anew
SILENCE_S = 10.0  # of a guardian's pulses, until its twin takes over
MOST_S = dict.fromkeys(MODES, LEASE_S + SLACK_S) | {"hung guardian": SILENCE_S + 2 + SLACK_S}


def strike(run: Shaken, mode: str) -> None:
    """Do it."""
    if mode == "training":
        run.kill(run.client.pid)
    elif mode == "guardian":
        run.kill(run.guardian)
    elif mode == "both":
        run.kill(run.client.pid, run.guardian)
    elif mode == "hung training":
        run.kill(run.client.pid, number=signal.SIGSTOP)
    elif mode == "hung guardian":
        run.kill(run.guardian, number=signal.SIGSTOP)
    else:
        run.kill(run.twin)
        until(lambda: "another one is process" in run.log(), "another twin")
        another = int(run.log().rpartition("another one is process ")[2].split()[0])
        until(lambda: alive(another), "another twin that lives")
        time.sleep(1.5)  # it has to have started
        run.kill(run.guardian)


def once(rig: Rig, mode: str, delay_s: float) -> float:
    """Seconds from the blow until all is safe."""
    with shaken(rig) as run:
        time.sleep(delay_s)
        strike(run, mode)
        return run.safe_after()


def main() -> int:
    """Many."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng, took, wrong = np.random.default_rng(args.seed), defaultdict(list), 0
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(Path(folder))
        try:
            for number in range(args.count):
                mode, delay_s = MODES[number % len(MODES)], float(rng.uniform(0, 1.5))
                try:
                    seconds = once(rig, mode, delay_s)
                except AssertionError as problem:
                    seconds = float("inf")
                    print(f"{number}: {mode} after {delay_s:.2f} s: {problem}")
                wrong += seconds > MOST_S[mode]
                took[mode].append(seconds)
        finally:
            rig.close()
    print(f"{'killed or stopped':<20}  count  median s  longest s  allowed s")
    for mode, each in took.items():
        print(f"{mode:<20}  {len(each):>5}  {np.median(each):>8.2f}  {max(each):>9.2f}  {MOST_S[mode]:>9.1f}")
    print(f"{args.count} times, lease {LEASE_S:g} s: {'everything was safe in time' if not wrong else f'{wrong} NOT SAFE IN TIME'}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
