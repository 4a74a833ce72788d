"""The list of this user's guardians."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from labonn.guardian.places import guardian_of, guardians, listed, socket_address

LINES = """
import os, sys
from labonn.guardian.places import listed
with listed({"pid": os.getpid(), "bench": sys.argv[1], "dry_run": False}):
    print("listed", flush=True)
    sys.stdin.read()
"""


def test_a_guardian_is_listed_as_long_as_it_lives_even_if_nobody_has_asked_for_its_end(tmp_path: Path, runtime: Path) -> None:
    bench = tmp_path / "bench.toml"
    with subprocess.Popen([sys.executable, "-c", LINES, str(bench)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert guardian_of(bench) == {"pid": process.pid, "bench": str(bench), "dry_run": False}
        assert guardian_of(tmp_path / "other.toml") is None
        process.kill()
        assert process.stdout.read() == ""  # it is dead now, and not waited for: its number is still taken
        os.kill(process.pid, 0)
        assert guardians() == []
        assert list(runtime.iterdir()) == []


def test_what_is_no_list_is_left_alone(runtime: Path) -> None:
    with listed({"pid": os.getpid(), "bench": "x"}):
        (runtime / "broken.json").write_text("{")
        assert [about["bench"] for about in guardians()] == ["x"]
    assert guardians() == []


def test_a_guardian_for_one_user_is_reached_by_a_file_in_a_folder_of_that_user(runtime: Path) -> None:
    assert socket_address() == f"ipc://{runtime}/{os.getpid()}.ipc"
    assert runtime.stat().st_mode & 0o077 == 0


def test_where_the_name_of_that_file_would_be_too_long_loopback_does(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = runtime / ("x" * 90)
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("LABONN_RUNTIME_DIR", str(folder))
    assert socket_address() == "tcp://127.0.0.1:*"
