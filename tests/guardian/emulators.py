"""Serves the instruments of a bench file, and answers what their registers hold: the judge of what is safe, in a process of its own.

`python tests/guardian/emulators.py BENCH` prints a line of JSON, {"lines": of a bench file, "judge": address}, and goes on until its
standard input ends. To whatever is sent to the judge it answers {"currents": {port: amperes}, "armed": {port: bool}}.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import Any

import zmq

from labonn.emulating import emulate_bench


def registers(simulated: Any) -> dict[str, Any]:
    """What every output does now, by the emulated instruments themselves."""
    found: dict[str, Any] = {"currents": {}, "armed": {}}
    instruments = simulated.instruments
    with instruments._clock.turn:
        for port in instruments.stand_ins():
            for emulator in instruments.of(port):
                if hasattr(emulator, "currents_a"):
                    found["currents"][port] = [*found["currents"].get(port, []), *map(float, emulator.currents_a)]
                if hasattr(emulator, "armed"):
                    found["armed"][port] = bool(emulator.armed)
    return found


def main() -> None:
    """Until the standard input ends."""
    emulated = emulate_bench(Path(sys.argv[1]))
    with zmq.Context() as context, context.socket(zmq.REP) as judge:
        judge.linger = 0
        judge.bind("tcp://127.0.0.1:*")
        print(json.dumps({"lines": emulated.lines, "judge": judge.getsockopt_string(zmq.LAST_ENDPOINT)}), flush=True)
        over = threading.Event()
        threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
        while not over.is_set():
            if judge.poll(100):
                judge.recv()
                judge.send_json(registers(emulated.simulated))
    emulated.simulated.close()


if __name__ == "__main__":
    main()
