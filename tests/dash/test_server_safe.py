"""The safe button: it makes emulated instruments safe through their guardian, and only for pages of this dashboard."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from dash_client import Answer, ask, get, until

from labonn.dash import guardians
from labonn.dash.guarding import Door
from labonn.dash.serving import Dashboard, bound
from labonn.guardian import connection

sys.path.insert(0, str(Path(__file__).parents[1] / "guardian"))
from guardian_rig import Rig, Shaken, shaken


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Emulated instruments in a process of their own."""
    rig = Rig(tmp_path_factory.mktemp("rig"))
    try:
        yield rig
    finally:
        rig.close()


@pytest.fixture
def url(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("LABONN_RUNTIME_DIR", rig.environment["LABONN_RUNTIME_DIR"])
    with Dashboard(rig.folder / "runs") as url:
        yield url


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which no guardian is listed."""
    folder = tmp_path_factory.mktemp("quiet")
    folder.chmod(0o700)
    return folder


@pytest.fixture
def alone(quiet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A dashboard where there is no guardian."""
    monkeypatch.setenv("LABONN_RUNTIME_DIR", str(quiet))
    with Dashboard(tmp_path) as url:
        yield url


def press(url: str, address: object, **headers: str) -> Answer:
    given = {"X-Labonn-Token": get(url, "/api/runs")["token"], **{name.replace("_", "-"): text for name, text in headers.items()}}
    return ask(url, "/api/safe", given, {"address": address})


def guardian(url: str, run: Shaken) -> Mapping[str, object]:
    return until(lambda: next((one for one in get(url, "/api/guardians")["guardians"] if one["pid"] == run.guardian), None), "a guardian")


def test_the_button_makes_everything_safe_and_the_run_is_told_who_did_it(rig: Rig, url: str) -> None:
    with shaken(rig) as run:
        one = guardian(url, run)
        assert one["bench"] == str(rig.bench)
        assert one["runs"] == [run.folder.name]
        assert f"process {run.client.pid}" in one["lease"]["who"]
        assert "mA" in one["ports"]["gain"]["output"]
        for wrong in ({"X_Labonn_Token": "guessed"}, {"Origin": "http://evil.example"}, {"Sec_Fetch_Site": "cross-site"}):
            answer = press(url, one["address"], **wrong)
            assert answer.status == 403
            assert "the safe button is refused" in answer.json["error"]
        assert ask(url, "/api/safe", post={"address": one["address"]}).status == 403  # no token
        assert press(url, "ipc:///somewhere/else").status == 400
        assert rig.lit()
        answer = press(url, one["address"], Origin=url, Sec_Fetch_Site="same-origin")
        assert answer.status == 200, answer.body
        assert answer.json["safe"] is True
        assert answer.json["told"].startswith("safe: meter, gain, beams; the lease of ")
        assert rig.safe()
        _, told = run.client.communicate(timeout=30)
        assert run.client.returncode == 2
        assert "made everything safe at" in told
        assert "took the lease of" in told
    until(lambda: get(url, "/api/guardians")["guardians"] == [], "no guardian any more")
    gone = press(url, one["address"])
    assert gone.status == 400
    assert "no guardian of yours is there (any more)" in gone.json["error"]
    assert "labonn safe --bench FILE" in gone.json["error"]


def test_the_button_twice_and_by_two_pages_at_once_is_as_good_as_once(rig: Rig, url: str) -> None:
    with shaken(rig) as run:
        address, answers = guardian(url, run)["address"], []
        pages = [threading.Thread(target=lambda: answers.append(press(url, address))) for _ in range(2)]
        for page in pages:
            page.start()
        for page in pages:
            page.join()
        assert rig.safe()
        assert 200 in {answer.status for answer in answers}
        for answer in answers:  # the other may come when the guardian, whose run has ended, has gone
            assert answer.status == 200 or answer.json["error"], answer.body


@pytest.mark.slow
def test_a_guardian_that_hangs_is_told_as_silent_and_the_page_goes_on(rig: Rig, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "ANSWER_S", 0.3)
    monkeypatch.setattr(guardians, "LEASED_S", 0.1)
    with shaken(rig) as run:
        address = guardian(url, run)["address"]
        os.kill(run.guardian, signal.SIGSTOP)
        silent = until(lambda: [one for one in get(url, "/api/guardians")["guardians"] if "silent" in one], "a silent guardian")
        assert "no guardian answers there within 0.3 s" in silent[0]["silent"]
        assert silent[0]["address"] == address
        monkeypatch.setattr(connection, "ANSWER_S", 15.0)
        pages = [threading.Thread(target=ask, args=(url, "/api/guardians")) for _ in range(12)]
        for page in pages:
            page.start()
        began = time.monotonic()
        assert get(url, "/api/button")["button"] == "ready"  # they wait, and nobody else does
        assert press(url, "ipc:///somewhere/else").status == 400
        assert get(url, "/api/runs")["runs"]
        assert time.monotonic() - began < 10
        os.kill(run.guardian, signal.SIGCONT)
        for page in pages:
            page.join()
        assert get(url, "/api/runs")["runs"]


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "10.0.0.9", "", "[", "localhost@evil.example"]
)
@pytest.mark.parametrize("path", ["/", "/api/runs", "/assets/icon.svg"])
def test_whoever_calls_this_computer_by_another_name_is_told_nothing(alone: str, host: str, path: str) -> None:
    answer = ask(alone, path, {"Host": host})
    assert answer.status == 403 or (host in ("", "[") and answer.status == 400)  # the server itself refuses what is no host
    assert b"token" not in answer.body


def test_this_computer_may_be_called_by_its_usual_names(alone: str) -> None:
    port = alone.rpartition(":")[2]
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"LOCALHOST:{port}", f"[::1]:{port}"):
        assert ask(alone, "/api/runs", {"Host": host}).status == 200, host


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"\xff", b'"x"', b"{" * 3000, b"x" * 10_000])
def test_what_is_no_order_is_refused(alone: str, body: bytes) -> None:
    answer = ask(alone, "/api/safe", {"X-Labonn-Token": get(alone, "/api/runs")["token"]}, body)
    assert answer.status == 400
    assert answer.json["error"]


@pytest.mark.parametrize("address", [None, 7, ["x"], {"y": 1}, "zmq://127.0.0.1:1", ""])
def test_only_guardians_of_this_user_can_be_asked(alone: str, address: object) -> None:
    answer = press(alone, address)
    assert answer.status == 400
    assert "no guardian of yours is there" in answer.json["error"]


def test_to_read_the_order_by_a_get_is_not_possible(alone: str) -> None:
    assert ask(alone, "/api/safe").status == 405


def test_other_computers_get_no_token_and_no_button_without_one_that_the_user_chose(
    quiet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABONN_RUNTIME_DIR", str(quiet))
    for given, button, told in ((None, "refused", "labonn dash --host"), ("chosen", "token", "the token is wrong")):
        with Dashboard(tmp_path, door=Door("0.0.0.0", given)) as url:
            local = url.replace("0.0.0.0", "127.0.0.1")
            runs = get(local, "/api/runs")
            assert (runs["token"], runs["button"]) == (None, button)
            answer = ask(local, "/api/safe", {"X-Labonn-Token": "guessed"}, {"address": "x"})
            assert answer.status == 403
            assert told in answer.json["error"]
            right = ask(local, "/api/safe", {"X-Labonn-Token": "chosen"}, {"address": "x"})
            assert right.status == (400 if given else 403)  # there is no guardian at x
            assert ask(local, "/api/runs", {"Host": socket.gethostname()}).status == 200
            assert ask(local, "/api/runs", {"Host": "192.168.7.7:80"}).status == 200
            assert ask(local, "/api/runs", {"Host": "evil.example"}).status == 403


def test_answers_are_sent_at_once_and_not_after_the_40_ms_of_a_delayed_acknowledgement(alone: str) -> None:
    with bound("127.0.0.1", 0) as made:
        assert made.proto == socket.IPPROTO_TCP
    assert get(alone, "/api/runs")["runs"] == []
