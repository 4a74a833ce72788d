"""A bench of emulated instruments on loopback, runs on it, and processes that are killed; whatever is started is ended again."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import zmq

HERE = Path(__file__).parent
LEASE_S = 1.0
WAIT_S = 40.0
BENCH = """
[ports.meter]
driver = "keithley2400"
link = "tcp://127.0.0.1:1"
upper = "50 mA"
[ports.gain]
driver = "qontrol"
link = "serial:///dev/none"
channels = 3
upper = "20 mA"
[ports.beams]
driver = "stream_dac"
link = "zmq://127.0.0.1:1"
channels = 4
[ports.seen]
driver = "stream_adc"
link = "zmq://127.0.0.1:2"
channels = 4
role = "trigger"
[guardian]
lease_s = %g
grace_s = 3.0
idle_s = 20.0
[simulation]
bench = "desk"
"""


def alive(pid: int) -> bool:
    """Whether a process runs, and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(condition: Callable[[], Any], what: str, wait_s: float = WAIT_S) -> Any:
    """The first true value of `condition`, asked every 20 ms."""
    end_s = time.monotonic() + wait_s
    while not (found := condition()):
        assert time.monotonic() < end_s, f"{what}: not within {wait_s:g} s"
        time.sleep(0.02)
    return found


class Rig:
    """Emulated instruments in a process of their own, and a bench file with their addresses.

    Attributes:
        bench: the file. environment: of processes that use it, whose guardians are listed in the folder alone.
    """

    def __init__(self, folder: Path, lease_s: float = LEASE_S, slew: str = "") -> None:
        self.folder, self.bench = folder, folder / "bench.toml"
        runtime = folder / "run"
        runtime.mkdir(mode=0o700)
        self.environment = {**os.environ, "LABONN_RUNTIME_DIR": str(runtime)}
        source = folder / "source.toml"
        text = BENCH % lease_s
        text = text.replace('upper = "20 mA"', f'upper = "20 mA"\nslew = "{slew}"') if slew else text
        source.write_text(text, encoding="utf-8")
        self._process = self.start([str(HERE / "emulators.py"), str(source)], stdin=subprocess.PIPE)
        assert self._process.stdout is not None
        told = json.loads(self._process.stdout.readline())
        links = dict(re.findall(r"\[ports\.(\w+)\]\n(link = .*)", "\n".join(told["lines"])))
        for port, link in links.items():
            text = re.sub(rf"(\[ports\.{port}\]\ndriver = .*\n)link = .*", rf"\1{link}", text)
        self.bench.write_text(text, encoding="utf-8")
        self._context: zmq.Context[Any] = zmq.Context()
        self._judge = self._context.socket(zmq.REQ)
        self._judge.linger = 0
        self._judge.connect(told["judge"])

    def start(self, command: list[str], **options: Any) -> subprocess.Popen[str]:
        """A Python process with pipes."""
        given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": self.environment, **options}
        process: subprocess.Popen[str] = subprocess.Popen([sys.executable, *command], **given)
        return process

    def labonn(self, *words: object, **options: Any) -> subprocess.CompletedProcess[str]:
        """What a command prints."""
        command = [sys.executable, "-m", "labonn.cli", *map(str, words)]
        given = {"capture_output": True, "text": True, "timeout": WAIT_S, "env": self.environment, **options}
        done: subprocess.CompletedProcess[str] = subprocess.run(command, check=False, **given)
        return done

    def registers(self) -> dict[str, Any]:
        """What the emulated instruments say of themselves."""
        self._judge.send(b"")
        assert self._judge.poll(10_000), "the emulators do not answer"
        found: dict[str, Any] = json.loads(self._judge.recv())
        return found

    def safe(self) -> bool:
        """Whether no current flows and no beam waits for a trigger."""
        now = self.registers()
        return not any(now["armed"][port] for port in ("beams",)) and all(abs(a) < 1e-4 for each in now["currents"].values() for a in each)

    def lit(self) -> bool:
        """Whether currents flow in all ports that have some."""
        return all(max(map(abs, each)) > 1e-3 for each in self.registers()["currents"].values())

    def close(self) -> None:
        """End the emulators."""
        self._judge.close()
        self._context.term()
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(WAIT_S)
        finally:
            self._process.kill()
            for pipe in (self._process.stdout, self._process.stderr):
                assert pipe is not None
                pipe.close()


class Shaken:
    """A run of shaking.py by the command line, with the guardian that it starts; all dead at the end.

    Attributes:
        client: the run's process. guardian, twin: pids.
    """

    def __init__(self, rig: Rig, *words: str) -> None:
        self._rig, out = rig, rig.folder / "runs"
        before = set(out.glob("*"))
        command = ["-m", "labonn.cli", "run", str(HERE / "shaking.py"), "--bench", str(rig.bench), "--out", str(out), *words]
        self.client = rig.start(command)
        try:
            self.folder = until(lambda: next(iter(set(out.glob("*")) - before), None), "a run's folder")
            told = until(self._told, "a guardian")
            self.guardian, self.twin = int(told[1]), int(told[2])
        except BaseException:
            self.client.kill()
            print(self.client.communicate())
            raise

    def _told(self) -> re.Match[str] | None:
        assert self.client.poll() is None, self.client.communicate()
        return re.search(r"guardian (\d+): guards .* with process (\d+) as its twin", self.log())

    def log(self) -> str:
        """The guardian's and its twin's."""
        path: Path = self.folder / "guardian.log"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def kill(self, *pids: int, number: int = signal.SIGKILL) -> None:
        """All at once."""
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def safe_after(self, wait_s: float = WAIT_S) -> float:
        """Seconds until the emulators say that everything is safe, and stays so."""
        start_s = time.monotonic()
        while True:
            until(self._rig.safe, "safe outputs", wait_s)
            seconds = time.monotonic() - start_s
            time.sleep(0.2)
            if self._rig.safe():
                return seconds

    def close(self) -> None:
        """End what still runs."""
        twins = [int(pid) for pid in re.findall(r"(?:with process|another one is process) (\d+)", self.log())]
        self.kill(self.client.pid, self.guardian)
        self.client.communicate()
        until(lambda: not any(map(alive, [self.guardian, *twins])), "the end of guardian and twin")


@contextlib.contextmanager
def shaken(rig: Rig, *words: str) -> Iterator[Shaken]:
    """A run that has begun to move outputs."""
    run = Shaken(rig, *words)
    try:
        until(rig.lit, "currents")
        yield run
    finally:
        run.close()
