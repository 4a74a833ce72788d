"""`labonn dash` as a user starts and ends it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dash_client import ask, get, listening, until
from large_runs import large_run

from labonn.cli import main
from labonn.dash import serving


@contextlib.contextmanager
def dashboard(*words: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """(process, url)."""
    command = [sys.executable, "-W", "error", "-m", "labonn.cli", "dash", *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("dashboard: http://"), (line, process.communicate())
            assert line.endswith(" (Ctrl-C ends it)\n")
            yield process, line.split()[1]
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_at_once_though_pages_are_open(number: signal.Signals, tmp_path: Path) -> None:
    out = tmp_path / "runs of today"
    folder = large_run(out, 20)
    with dashboard("--runs", out, "--port", free_port()) as (process, url):
        assert [run["name"] for run in get(url, "/api/runs")["runs"]] == [folder.name]
        assert os.getpriority(os.PRIO_PROCESS, process.pid) >= serving.NICE  # a run comes first
        with listening(url, f"/api/live?run={folder.name}") as events, listening(url) as others:
            until(lambda: events.of("run") and others.of("runs"))
            began = time.monotonic()
            process.send_signal(number)
            assert process.wait(20) == 128 + number
            took = time.monotonic() - began
            until(lambda: events.ended and others.ended)
        assert took < 5  # of which 4.7 would be somebody else's use of this computer
        out_told, err_told = process.communicate()
    assert out_told == ""
    assert err_told == (f"labonn: stopped: {number.name}\n")


def test_a_second_dashboard_takes_the_next_port_and_a_given_one_that_is_taken_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with serving.bound("127.0.0.1", None) as first:
        first.listen()
        with serving.bound("127.0.0.1", None) as second:
            assert second.getsockname()[1] != first.getsockname()[1]
        taken = first.getsockname()[1]
        assert main(["dash", "--port", str(taken)]) == 2
    told = capsys.readouterr().err
    assert f"--port {taken} at 127.0.0.1: is taken, perhaps by another dashboard; leave --port out for the next free one" in told


def test_a_port_can_be_used_again_right_after_a_dashboard_has_ended(tmp_path: Path) -> None:
    with serving.Dashboard(tmp_path) as url:
        get(url, "/api/runs")
    again = int(url.rpartition(":")[2])
    with serving.Dashboard(tmp_path, port=again) as url:
        assert int(url.rpartition(":")[2]) == again
        assert get(url, "/api/runs")["runs"] == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--port", "0"], "'0': a number from 1 to 65535 is wanted"),
        (["--port", "http"], "'http': a number from 1 to 65535 is wanted"),
        (["--host", "no.such.host.invalid"], "--host no.such.host.invalid: is no address of this computer"),
        (["--host", "192.0.2.1"], "192.0.2.1"),
        (["--runs", "FILE"], "is a file; the folder that holds runs' folders is wanted"),
        (["--run", "x"], "did you mean --runs?"),
    ],
)
def test_what_cannot_be_served_is_one_line(arguments: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["dash", *[word.replace("FILE", str(tmp_path / "file")) for word in arguments]]) == 2
    printed = capsys.readouterr()
    assert told in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""


def test_a_folder_that_is_not_there_yet_is_said_and_waited_for(tmp_path: Path) -> None:
    out = tmp_path / "later"
    with dashboard("--runs", out, "--port", free_port()) as (process, url):
        assert process.stdout is not None
        assert process.stdout.readline().startswith(f"there is no folder {out} yet")
        large_run(out, 10)
        assert len(get(url, "/api/runs")["runs"]) == 1


def test_who_opens_it_to_other_computers_is_told_what_they_can_do(tmp_path: Path) -> None:
    with dashboard("--runs", tmp_path, "--host", "0.0.0.0", "--port", free_port()) as (process, url):
        assert process.stdout is not None
        assert "can read all runs" in (told := process.stdout.readline())
        assert "not make benches safe" in told
        assert ask(url.replace("0.0.0.0", "127.0.0.1"), "/api/runs").json["button"] == "refused"


def test_other_commands_do_not_import_the_server() -> None:
    code = (
        "import sys; from labonn.cli import main; main(['--help']); main(['status']); print([m for m in sys.modules if 'labonn.dash' in m "
    )
    code += "or m in ('uvicorn', 'starlette', 'anyio')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
