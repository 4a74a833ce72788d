"""Leases of a guardian that runs: who waits, who loses, who is told what; and requests that come twice, late, or out of order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from guardian_raw import Raw
from guardian_rig import until

from labonn.errors import ConnectError, LabonnError, LeaseError, TableError
from labonn.guardian import asking, connection
from labonn.guardian.client import RemoteBench
from labonn.shots import ShotTable

Guardian = Callable[..., dict[str, Any]]
LIT = ShotTable({"gain": np.full((1, 3), 0.01)}, read=())


def outputs(address: str) -> dict[str, str]:
    return {name: port["output"] for name, port in asking.status(address)["ports"].items() if "output" in port}


def test_a_second_client_is_refused_by_the_name_of_the_first_and_served_after_it(desk: Path, guardian: Guardian) -> None:
    address = guardian(desk)["address"]
    with RemoteBench.open(address), pytest.raises(LeaseError, match=rf"process {os.getpid()} .*has the bench since"):
        RemoteBench.open(address)
    RemoteBench.open(address).close()


def test_a_client_that_is_stopped_loses_the_lease_and_all_is_made_safe(desk: Path, guardian: Guardian) -> None:
    address = guardian(desk, lease_s=0.5)["address"]
    lines = ["import sys, numpy as np", "from labonn.guardian.client import RemoteBench", "from labonn.shots import ShotTable"]
    lines += [f"bench = RemoteBench.open({address!r})", 'bench.play(ShotTable({"gain": np.full((1, 3), 0.01)}, read=()))']
    lines += ["print('lit', flush=True)", "sys.stdin.readline()", "bench.play(ShotTable({}, read=('seen',)))"]
    with subprocess.Popen(
        [sys.executable, "-c", "\n".join(lines)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as client:
        try:
            assert client.stdout is not None
            assert client.stdout.readline() == "lit\n"
            assert outputs(address)["gain"] == "10 mA"
            client.send_signal(signal.SIGSTOP)
            until(lambda: asking.status(address)["lease"] is None, "the end of the lease", 5)
            until(lambda: outputs(address).get("gain") == "safe", "safe outputs", 5)
            client.send_signal(signal.SIGCONT)
            _, told = client.communicate("\n", timeout=20)
        finally:
            client.kill()
    assert "LeaseError: nothing was heard of" in told
    assert "the lease has ended, everything is made safe" in desk.with_name("guardian.log").read_text()


def test_a_client_that_does_other_things_for_too_long_counts_as_hung(desk: Path, guardian: Guardian) -> None:
    address = guardian(desk, lease_s=0.4)["address"]
    bench = RemoteBench.open(address, patience_s=0.5)
    bench.play(LIT)
    time.sleep(0.8)
    assert asking.status(address)["lease"] is not None
    time.sleep(1.2)
    with pytest.raises(LeaseError, match="nothing was heard of"):
        bench.play(LIT)
    with pytest.raises(LeaseError, match="nothing was heard of"):
        bench.safe()
    bench.close()
    assert outputs(address)["gain"] == "safe"


def test_a_client_whose_thread_has_ended_counts_as_gone(desk: Path, guardian: Guardian) -> None:
    address, benches = guardian(desk, lease_s=0.4)["address"], []
    thread = threading.Thread(target=lambda: benches.append(RemoteBench.open(address)))
    thread.start()
    thread.join()
    until(lambda: asking.status(address)["lease"] is None, "the end of the lease", 5)
    benches[0].close()


def test_anybody_may_make_everything_safe_and_the_holder_is_told_who_it_was(desk: Path, guardian: Guardian) -> None:
    address = guardian(desk)["address"]
    with RemoteBench.open(address) as bench:
        bench.play(LIT)
        answer = asking.make_safe(address)
        assert answer["safe"] == ["meter", "gain", "beams"]
        assert f"process {os.getpid()}" in answer["holder"]
        with pytest.raises(LeaseError, match=r"made everything safe at \d\d:\d\d:\d\d UTC, and took the lease of .* away"):
            bench.play(LIT)
        assert outputs(address)["gain"] == "safe"
    assert asking.make_safe(address)["holder"] is None
    RemoteBench.open(address).close()


def test_a_play_that_waits_is_ended_by_whoever_makes_everything_safe(desk: Path, guardian: Guardian) -> None:
    address = guardian(desk, options={"real_time": True})["address"]
    with RemoteBench.open(address) as bench:
        bench.play(LIT)
        slow = ShotTable({"gain": np.linspace(0.001, 0.01, 120).reshape(40, 3)}, {"gain": np.arange(40)}, 0.5, ("seen",))
        threading.Timer(1.0, asking.make_safe, (address,)).start()
        start = time.monotonic()
        with pytest.raises(LeaseError, match="took the lease"):
            bench.play(slow)
        assert time.monotonic() - start < 5


def test_ctrl_c_ends_what_the_guardian_does_and_the_bench_can_be_used_again(desk: Path, guardian: Guardian) -> None:
    slow = ShotTable({"gain": np.linspace(0.001, 0.01, 120).reshape(40, 3)}, {"gain": np.arange(40)}, 0.5, ("seen",))
    with RemoteBench.open(guardian(desk, options={"real_time": True})["address"]) as bench:
        timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        start = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            bench.play(slow)
        assert bench.play(ShotTable({}, read=("seen",), shots=2))["seen"].shape == (2, 4)
        assert time.monotonic() - start < 5


def test_a_guardian_that_is_not_there_is_told_of(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "ANSWER_S", 0.5)
    with pytest.raises(ConnectError, match=r"no guardian answers there within .* `labonn serve BENCH` starts one"):
        asking.status("zmq://127.0.0.1:9")
    for url in ("zmq://127.0.0.1", "zmq://127.0.0.1:99999", "ipc://", "tcp://127.0.0.1:5"):
        with pytest.raises(LabonnError, match=r"zmq://HOST:PORT or ipc://PATH is wanted|cannot be connected"):
            RemoteBench.open(url)
    with pytest.raises(ConnectError, match="needs keys"):
        RemoteBench.open("zmq://192.0.2.1:5555")


def test_a_request_that_comes_twice_is_done_once_and_answered_twice(desk: Path, guardian: Guardian) -> None:
    with Raw(guardian(desk)["address"]) as raw:
        raw.hello()
        play = raw.request("play", dwell_s=1e-5, shots=3, read=["seen"], banks={}, orders={})
        first, again = raw.ask(play), raw.ask(play)
        assert first == again
        assert raw.ask(raw.request("now"))["state"]["shots"] == 3
        assert raw.ask(play)["refused"] == "request 1 is out of order; 2 was the last"
        assert raw.ask(raw.request("release"))["seq"] == 3


def test_a_reply_that_was_lost_is_asked_for_again(desk: Path, guardian: Guardian, monkeypatch: pytest.MonkeyPatch) -> None:
    with RemoteBench.open(guardian(desk, lease_s=0.5)["address"]) as bench:
        received, lost = bench._connection._received, []

        def lossy() -> Any:
            reply = received()
            if not lost:
                lost.append(reply)
                return {"seq": None}, []
            return reply

        monkeypatch.setattr(bench._connection, "_received", lossy)
        assert bench.play(ShotTable({}, read=("seen",), shots=5))["seen"].shape == (5, 4)
        assert bench.shots == 5
        assert len(lost) == 1


def test_messages_that_were_sent_before_are_refused(desk: Path, guardian: Guardian) -> None:
    with Raw(guardian(desk)["address"]) as raw:
        raw.hello(nonce="ab" * 16)
        beat = {"op": "beat", "session": raw.session, "count": 5}
        assert raw.ask(beat)["beat"] == 5
        assert raw.ask(beat)["refused"] == "beat 5 came before; 5 was the last"
        assert raw.ask(raw.request("release"))["seq"] == 1
        assert raw.hello(nonce="ab" * 16)["refused"] == "this message was sent before"
        assert "the lease was given back" in raw.ask(beat)["error"]["text"]
        assert raw.ask({**beat, "session": "0" * 32})["refused"] == "there is no such session"


def test_what_cannot_be_is_refused_and_the_bench_goes_on(desk: Path, guardian: Guardian) -> None:
    with Raw(guardian(desk)["address"]) as raw:
        raw.hello()
        play = {"dwell_s": 1e-5, "shots": 1, "read": None, "orders": {}}
        assert "not known" in raw.ask(raw.request("play", banks={"gain": 3}, **play))["refused"]
        bad = raw.request("call", port="gain", method="load")
        assert "method" in raw.ask(bad)["refused"]
        assert raw.ask(raw.request("call", port="nix", method="temperature"))["error"]["text"] == "nix: no such port"
        assert raw.ask(raw.request("call", port="gain", method="temperature"))["error"]["text"] == "gain: has no temperature"
        assert "TypeError" in raw.ask(raw.request("call", port="gain", method="output"))["error"]["text"]
        half = {"new": [{"id": 1, "kind": "array"}], "arrays": [{"dtype": "<i8", "shape": [3]}], "banks": {"gain": 1}}
        assert raw.ask(raw.request("play", **{**play, **half}), bytes(24))["error"]["type"] == TableError.__name__
        assert raw.ask(raw.request("now"))["state"]["exchanges"] > 0


def test_a_guardian_made_for_one_client_ends_with_it_and_without_any(desk: Path, guardian: Guardian) -> None:
    desk.write_text(desk.read_text().replace("idle_s = 20.0", "idle_s = 0.5"))
    for client in (True, False):
        about = guardian(desk, once=True)
        if client:
            RemoteBench.open(about["address"]).close()
        until(lambda address=about["address"]: not Path(address.removeprefix("ipc://")).exists(), "its end", 5)


def test_a_bench_that_cannot_be_opened_is_the_same_error_as_without_a_guardian(desk: Path, guardian: Guardian) -> None:
    desk.write_text(desk.read_text().replace('upper = "20 mA"', 'upper = "20 A"'))
    with pytest.raises(LabonnError, match=r"ports.gain.upper = 20 A widens the driver's limit"):
        guardian(desk)
