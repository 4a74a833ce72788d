"""Cells in a real Jupyter kernel, which has an event loop, threads and signals of its own."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import labonn
from labonn.errors import LabonnError

manager = pytest.importorskip("jupyter_client.manager")
ROOT = Path(__file__).parents[1]
PATIENCE_S = 60.0
pytestmark = pytest.mark.slow


class Kernel:
    """Runs cells in a folder. streams: what came on stdout and stderr. shown: data of outputs by MIME type."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manager, self.client = manager.start_new_kernel(kernel_name="python3", cwd=str(folder))
        self.streams: dict[str, str] = {}
        self.shown: list[dict[str, str]] = []

    def run(self, code: str, interrupt: Callable[[], bool] = lambda: False) -> dict[str, Any]:
        """The reply to a cell; the kernel is interrupted, once, when `interrupt()`, which may look at `streams`."""
        interrupted = False
        self.streams, self.shown = {"stdout": "", "stderr": ""}, []
        message = self.client.execute(code)
        until_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < until_s:
            if not interrupted and interrupt():
                self.manager.interrupt_kernel()
                interrupted = True
            try:
                told = self.client.get_iopub_msg(timeout=0.1)
            except queue.Empty:
                continue
            if told["parent_header"].get("msg_id") != message:
                continue
            content = told["content"]
            if told["msg_type"] == "stream":
                self.streams[content["name"]] += content["text"]
            elif told["msg_type"] in ("execute_result", "display_data"):
                self.shown.append(content["data"])
            elif told["msg_type"] == "status" and content["execution_state"] == "idle":
                return self._reply(message)
        raise TimeoutError(f"the cell did not end in {PATIENCE_S} s:\n{code}\n{self.streams}")

    def _reply(self, message: str) -> dict[str, Any]:
        while True:
            told = self.client.get_shell_msg(timeout=PATIENCE_S)
            if told["parent_header"].get("msg_id") == message:
                content: dict[str, Any] = told["content"]
                return content


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    folder = tmp_path_factory.mktemp("notebook")
    (folder / "procedures").symlink_to(ROOT / "procedures")
    started = Kernel(folder)
    assert started.run("import labonn, pathlib")["status"] == "ok"
    yield started
    started.client.stop_channels()
    started.manager.shutdown_kernel(now=True)


def test_a_bench_a_table_and_a_run_are_shown_as_html(kernel: Kernel) -> None:
    reply = kernel.run('bench = labonn.Bench.open("procedures/benches/modulator_row.toml", dry_run=True)\nbench')
    assert reply["status"] == "ok", reply
    (data,) = kernel.shown
    assert data["text/plain"].startswith("Bench modulator_row.toml: dry run")
    assert "<table" in data["text/html"]
    kernel.run('import numpy as np\nlabonn.ShotTable({"modulators": np.zeros((1, 32))})')
    assert "<td" in kernel.shown[0]["text/html"]
    assert kernel.run("bench.close()\nbench")["status"] == "ok"
    assert "closed" in kernel.shown[0]["text/html"]


TRAIN = 'labonn.run("train_vapour_cell", dry_run=True, hidden=[8], limit={limit}, epochs={epochs}, {more})'


def test_a_training_shows_readable_progress_and_its_record(kernel: Kernel) -> None:
    reply = kernel.run(TRAIN.format(limit=192, epochs=2, more="seed=1"))
    assert reply["status"] == "ok", reply
    lines = [line for line in kernel.streams["stderr"].splitlines() if line]
    assert lines
    assert all(line.startswith("train_vapour_cell: ") and "\x1b" not in line and "\r" not in line for line in lines)
    assert kernel.shown[0]["text/plain"].startswith("Run ")
    assert "train_vapour_cell: finished, 6 steps" in kernel.shown[0]["text/html"]


def test_a_run_with_a_guardian_and_a_bench_behind_one_work_in_a_kernel(kernel: Kernel) -> None:
    reply = kernel.run(TRAIN.format(limit=64, epochs=1, more="guardian=True, seed=2"))
    assert reply["status"] == "ok", reply
    plain = kernel.run(f"{TRAIN.format(limit=64, epochs=1, more='seed=2')}.result == labonn.open_runs('runs')[1].result")
    assert plain["status"] == "ok", plain
    assert kernel.shown[0]["text/plain"] == "True"


def test_a_cell_in_a_coroutine_can_run_a_training_too(kernel: Kernel) -> None:
    code = TRAIN.format(limit=64, epochs=1, more="seed=2")
    assert kernel.run(f"import asyncio\nawait asyncio.sleep(0)\ndone = {code}\ndone.status()")["status"] == "ok"
    assert kernel.shown[0]["text/plain"] == "'finished'"


def _steps(out: Path) -> int:
    """On record of the newest run."""
    try:
        with labonn.open_run(out / "latest") as run:
            return int(run.newest().get("step", 0))
    except LabonnError:
        return 0


def test_the_stop_button_stops_after_a_step_and_the_run_goes_on_from_there(kernel: Kernel) -> None:
    reply = kernel.run(TRAIN.format(limit=640, epochs=4000, more="seed=3, out='cut'"), lambda: _steps(kernel.folder / "cut") > 3)
    assert (reply["status"], reply["ename"]) == ("error", "Stopped"), reply
    assert "it goes on by: labonn run train_vapour_cell --resume" in kernel.streams["stderr"]
    kernel.run('cut = labonn.open_run("cut/latest")\nprint(cut.status(), cut.newest()["step"])')
    status, steps = kernel.streams["stdout"].split()
    assert (status, int(steps) > 0) == ("interrupted", True)
    kernel.run("2 + 2")  # the kernel's own handling of interrupts is back
    assert kernel.shown[0]["text/plain"] == "4"
    reply = kernel.run('print("begun", flush=True)\nimport time\ntime.sleep(60)', lambda: "begun" in kernel.streams["stdout"])
    assert reply["ename"] == "KeyboardInterrupt"
