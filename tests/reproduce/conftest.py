"""`labonn reproduce` on tiny experiments, whose jobs are done in the test's own process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labonn.cli import main
from labonn.sweeps import Failure, Job, Store
from labonn.sweeps.sweep import Told
from labonn.sweeps.working import carry_out

TINY = Path(__file__).parents[1] / "helpers" / "tiny_experiment.py"


class Here:
    """A runner that does a job when it is asked for news; `done`: titles and seeds of what it did."""

    width = 1

    def __init__(self, store: Store, done: list[tuple[str, int]]) -> None:
        self._store, self._done, self._jobs = store, done, list[Job]()

    def start(self, job: Job) -> None:
        self._jobs.append(job)

    def news(self, wait_s: float | None = None) -> Told:
        job = self._jobs.pop()
        self._done.append((job.title, job.seed))
        try:
            return Told(job, 1.0, done=carry_out(job, self._store.runs, lambda share, words: None))
        except ValueError as problem:
            return Told(job, failure=Failure(job, f"{type(problem).__name__}: {problem}", "tiny.log"))

    def close(self) -> None:
        pass


@pytest.fixture
def unrendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are drawn, which may fail, but not turned into a file, which takes long."""
    for place in ("labonn.reproduce.writing.encoded", "labonn.plotting.files.encoded"):  # imported before it is replaced
        monkeypatch.setattr(place, lambda figure, form: form.encode())


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, int]]:
    """What was computed; the test stands in an empty folder."""
    found: list[tuple[str, int]] = []
    monkeypatch.setattr("labonn.cli.reproduce._runner", lambda args, store: Here(store, found))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "mnist").mkdir(parents=True)
    (tmp_path / "data" / "mnist" / "train-images-idx3-ubyte.gz").write_bytes(b"of no interest here")
    return found


@pytest.fixture
def mine(tmp_path: Path) -> Callable[..., str]:
    """`mine(name, OLD=NEW…)`: an experiment's file, the tiny one with some text replaced."""

    def write(name: str = "mine", *changes: tuple[str, str]) -> str:
        text = TINY.read_text(encoding="utf-8")
        for old, new in changes:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        path = tmp_path / f"{name}.py"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


@pytest.fixture
def asked(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """The command's JSON."""

    def ask(*words: str, code: int = 0) -> Any:
        capsys.readouterr()
        assert main(["reproduce", *words, "--json"]) == code
        return json.loads(capsys.readouterr().out)

    return ask
