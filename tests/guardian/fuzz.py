"""Sends a guardian messages that are wrong in every way; it must go on, and let nobody in.

`python tests/guardian/fuzz.py [--count 100000] [--seed 0]` starts one, sends, prints what it answered, and ends with 1 if it has died,
if anybody but its client has the lease, or if its client could not go on.
"""

from __future__ import annotations

import argparse
import json
import secrets
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from guardian_raw import WHO, Raw
from guardian_rig import BENCH

from labonn.guardian.asking import status

WINDOW = 200  # messages that are sent before answers are read
VALUES = (None, True, -1, 0, 1, 2**53, 2**70, 1e308, -0.5, "", "x" * 300, [], {}, [[[]]], {"array": 0}, {"array": -1}, "0" * 32)


class Wrong:
    """Makes messages out of good ones.

    Args:
        good: messages that were sent in a session, headers and frames; they are repeated as they are, and changed for a stranger, who does
            not know the session, or for the session itself with the next number.
    """

    def __init__(self, rng: np.random.Generator, good: list[list[bytes]]) -> None:
        self._rng, self._good, self._seq = rng, good, 100
        self._ways: list[Callable[[list[bytes]], list[bytes]]] = [
            self._noise, self._flipped, self._cut, self._swapped_field, self._lost_field, self._more_frames, self._large, self._deep,
            self._hello, list,
        ]  # fmt: skip

    def __call__(self) -> list[bytes]:
        good = self._good[self._rng.integers(len(self._good))]
        way = self._ways[self._rng.integers(len(self._ways))]
        if way is list:
            return good
        header = json.loads(good[0])
        if self._rng.random() < 0.2 and "seq" in header and way in (self._swapped_field, self._lost_field, self._large, self._more_frames):
            self._seq += 1
            header["seq"] = self._seq
        else:
            header["session"] = "0123456789abcdef" * 2
        return way([json.dumps(header).encode(), *good[1:]])

    def _bytes(self, most: int) -> bytes:
        return self._rng.bytes(int(self._rng.integers(0, most)))

    def _noise(self, good: list[bytes]) -> list[bytes]:
        return [self._bytes(300) for _ in range(self._rng.integers(1, 6))]

    def _flipped(self, good: list[bytes]) -> list[bytes]:
        header = bytearray(good[0])
        for place in self._rng.integers(0, len(header), 3):
            header[place] = self._rng.integers(256)
        return [bytes(header), *good[1:]]

    def _cut(self, good: list[bytes]) -> list[bytes]:
        return [good[0][: self._rng.integers(0, len(good[0]))], *good[1:]]

    def _swapped_field(self, good: list[bytes]) -> list[bytes]:
        header = json.loads(good[0])
        keys = [key for key in header if key != "seq"]
        key = keys[self._rng.integers(len(keys))]
        header[key] = VALUES[self._rng.integers(len(VALUES))]
        return [json.dumps(header).encode(), *good[1:]]

    def _lost_field(self, good: list[bytes]) -> list[bytes]:
        header = json.loads(good[0])
        del header[list(header)[self._rng.integers(len(header))]]
        return [json.dumps(header).encode(), *good[1:]]

    def _more_frames(self, good: list[bytes]) -> list[bytes]:
        return [*good, *[self._bytes(50)] * int(self._rng.choice([1, 5, 700]))]

    def _large(self, good: list[bytes]) -> list[bytes]:
        header = json.loads(good[0])
        header["arrays"] = [{"dtype": "<f8", "shape": [int(self._rng.integers(1, 2**40)), int(self._rng.integers(0, 2**20))]}]
        return [json.dumps(header).encode(), bytes(int(self._rng.integers(0, 20_000)))]

    def _deep(self, good: list[bytes]) -> list[bytes]:
        return [b'{"op":' * int(self._rng.integers(1, 5000))]

    def _hello(self, good: list[bytes]) -> list[bytes]:
        who = {**WHO, "what": "x" * int(self._rng.choice([0, 500, 501]))}
        return [json.dumps({"op": "hello", "version": int(self._rng.choice([1, 2])), "nonce": secrets.token_hex(16), "who": who}).encode()]


def attack(address: str, count: int, seed: int) -> Counter[str]:
    """Send while somebody has the lease; how often what was answered.

    Raises:
        AssertionError: the client could not go on.
    """
    rng, answers = np.random.default_rng(seed), Counter[str]()
    with Raw(address) as client, Raw(address) as stranger:
        client.hello()
        item = {"arrays": [{"dtype": "<f8", "shape": [1, 3]}], "new": [{"id": 1, "kind": "array"}]}
        play = client.request("play", dwell_s=1e-5, shots=1, read=["seen"], banks={"gain": 1}, orders={}, **item)
        good = [[json.dumps(play).encode(), np.full(3, 0.001).tobytes()]]
        assert "result" in client.ask(play, good[0][1])
        for more in (client.request("call", port="seen", method="set_range", args=[0.1]), client.request("now")):
            assert "result" in client.ask(more)
            good.append([json.dumps(more).encode()])
        beat = {"op": "beat", "session": client.session, "count": 1}
        assert "beat" in client.ask(beat)
        client.count = 1
        wrong, left = Wrong(rng, [*good, [json.dumps(beat).encode()]]), count
        while left > 0:
            for _ in range(min(WINDOW, left)):
                stranger.socket.send_multipart(wrong())
            left -= WINDOW
            while (answer := stranger.heard(0 if left > 0 else 0.5)) is not None:
                answers[next((key for key in ("refused", "error", "beat", "result", "status") if key in answer), "other")] += 1
            assert "beat" in client.beat()
        client.seq = wrong._seq
        end = client.ask(client.request("release"))
        assert "error" not in end, end
        assert "refused" not in end, end
    return answers


def main() -> int:
    """Start a guardian, attack it, see whether it lives."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.toml"
        path.write_text(BENCH % 60.0, encoding="utf-8")
        command = [sys.executable, "-m", "labonn.cli", "serve", str(path), "--dry-run", "--json", "--bind", "private"]
        with subprocess.Popen([*command, "--log", f"{folder}/log"], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            about, start = json.loads(process.stdout.readline()), time.perf_counter()
            try:
                answers = attack(about["address"], args.count, args.seed)
                after = status(about["address"])
                lives = process.poll() is None
            finally:
                process.terminate()
    print(f"{args.count} messages in {time.perf_counter() - start:.0f} s; answered: {dict(answers)}")
    print(f"the guardian {'lives' if lives else 'HAS DIED'}, the lease is {'nobody' if after['lease'] is None else after['lease']}'s")
    return int(not lives or after["lease"] is not None)


if __name__ == "__main__":
    sys.exit(main())
