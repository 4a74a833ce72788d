"""Opens a bench for a run: directly, at a guardian that runs, or at one that is started for this run alone."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

from labonn import bench
from labonn.errors import ConnectError, LabonnError
from labonn.guardian.client import RemoteBench
from labonn.guardian.connection import is_url
from labonn.guardian.failures import error_of

ENDS_S = 30.0
FLAGS = ("dry_run", "ideal", "real_time", "served")


def open_bench(where: Any, log: Path | None = None, **options: Any) -> bench.Bench:
    """The bench at a guardian's URL, or that of a file: opened here, or at a guardian of its own. All are used alike.

    Args:
        where: zmq://…, ipc://…, or a path. log: of a guardian that is to be started; None: none is. options: of Bench.open, for a file;
            go_on: (with `log`, in a dry run) a checkpoint to begin at.
    """
    if is_url(str(where)):
        return cast(bench.Bench, RemoteBench.open(str(where)))
    return bench.Bench.open(where, **options) if log is None else cast(bench.Bench, escorted_bench(where, log, **options))


class EscortedBench(RemoteBench):
    """A bench with a guardian of its own, which ends after this client."""

    process: subprocess.Popen[str]

    def close(self) -> None:
        """As RemoteBench; then the guardian has ended, or goes on making everything safe."""
        try:
            super().close()
        finally:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(ENDS_S)
            assert self.process.stdout is not None
            self.process.stdout.close()


def escorted_bench(path: Path | str, log: Path, patience_s: float | None = None, **options: Any) -> EscortedBench:
    """The bench of this file, at a guardian that is started for it in a session of its own, which no Ctrl-C reaches.

    Args:
        log: the guardian's. options: of Bench.open.

    Raises:
        LabonnError: as Bench.open.
    """
    with log.open("a", encoding="utf-8") as errors:
        process = subprocess.Popen(
            _command(path, log, options), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, start_new_session=True, text=True
        )  # fmt: skip
    assert process.stdout is not None
    try:
        about = _first_line(process.stdout.readline(), log)
        if "error" in about:
            raise error_of(about["error"])
        escorted = EscortedBench.open(about["address"], patience_s)
    except BaseException:
        process.stdout.close()
        process.terminate()
        process.wait(ENDS_S)
        raise
    escorted.process = process
    return escorted


def _command(path: Path | str, log: Path, options: dict[str, Any]) -> list[str]:
    if unknown := [name for name, value in options.items() if value and name not in (*FLAGS, "seed", "record", "faults", "go_on")]:
        raise LabonnError(f"{unknown[0]}: is nothing that a guardian could be told; add --no-guardian")
    words = [f"--{name.replace('_', '-')}" for name in FLAGS if options.get(name)]
    if options.get("seed") is not None and options.get("dry_run"):
        words += ["--seed", str(options["seed"])]
    if options.get("record") is not None:
        words += ["--record", os.fspath(options["record"])]
    if options.get("go_on") is not None:
        words += ["--go-on", os.fspath(options["go_on"])]
    for fault in options.get("faults", ()):
        words += [f"--fault={fault}"]
    serve = [sys.executable, "-m", "labonn.cli", "serve", os.fspath(path), "--bind", "private", "--once", "--json"]
    return [*serve, "--log", os.fspath(log), *words]


def _first_line(line: str, log: Path) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        said = log.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
        raise ConnectError(f"the guardian did not start: {said or 'it said nothing'}")
    return found
