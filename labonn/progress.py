"""A training run's progress: a live bar on a terminal, a plain line an epoch elsewhere. Always on stderr."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Literal, Self, TextIO

Mode = Literal["auto", "live", "plain", "quiet"]
REFRESH_S = 0.1


class Progress:
    """Shows loss, accuracy, shots per second and time left; a step that is not drawn costs about a microsecond.

    Args:
        total_steps: steps of the whole run.
        mode: "auto" draws a bar if `stream` is a terminal and prints a line an epoch otherwise.
        stream: where to; None is stderr.
        title: stands before the lines. unit: what `epoch` counts.
    """

    def __init__(
        self, total_steps: int, mode: Mode = "auto", stream: TextIO | None = None, title: str = "training", unit: str = "epoch"
    ) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._mode: Mode = ("live" if self._stream.isatty() else "plain") if mode == "auto" else mode
        self._total, self._title, self._unit = total_steps, title, unit
        self._step = self._shots = self._first_shots = 0
        self._first_step: int | None = None
        self._epoch: int | None = None
        self._values: dict[str, float] = {}
        self._start_s = self._drawn_s = time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        self._start_s = self._drawn_s = time.monotonic()
        if self._mode == "live":
            self._bar, self._task = _rich_bar(self._total, self._stream)
            self._bar.start()
        return self

    def go_on_from(self, step: int, shots: int) -> None:
        """Steps and shots of an earlier session, which took no time of this one."""
        self._first_step, self._first_shots = step, shots

    def update(self, step: int, shots: int, *, loss: float | None = None, accuracy: float | None = None, epoch: int | None = None) -> None:
        """Tell how far the run is.

        Args:
            step: steps done since the beginning. shots: shots played since the beginning.
            loss: of this step. accuracy: the newest, 0 to 1; stays shown until another comes. epoch: counted from 1.
        """
        if epoch is not None and epoch != self._epoch:
            if self._mode == "plain" and self._epoch is not None:
                self._print()
            self._epoch = epoch
        if self._first_step is None:
            self._first_step = step - 1
        self._step, self._shots = step, shots
        if loss is not None:
            self._values["loss"] = loss
        if accuracy is not None:
            self._values["accuracy"] = accuracy
        if self._bar is not None and time.monotonic() - self._drawn_s > REFRESH_S:
            self._draw()

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._draw()
            self._bar.stop()
        elif self._mode == "plain" and self._step:
            self._print()

    def _draw(self) -> None:
        self._bar.update(self._task, completed=self._step, text=self._text())
        self._bar.refresh()
        self._drawn_s = time.monotonic()

    def _print(self) -> None:
        print(f"{self._title}: {self._text()}, {_clock(self._left_s())} left", file=self._stream, flush=True)

    def _text(self) -> str:
        elapsed_s = max(time.monotonic() - self._start_s, 1e-9)
        parts = [] if self._epoch is None else [f"{self._unit} {self._epoch}"]
        if self._bar is None:
            parts.append(f"step {self._step}/{self._total}")
        if "loss" in self._values:
            parts.append(f"loss {self._values['loss']:.4g}")
        if "accuracy" in self._values:
            parts.append(f"accuracy {100 * self._values['accuracy']:.1f} %")
        return ", ".join([*parts, f"{_thousands((self._shots - self._first_shots) / elapsed_s)} shots/s"])

    def _left_s(self) -> float:
        done = self._step - (self._first_step or 0)
        return (self._total - self._step) * (time.monotonic() - self._start_s) / max(done, 1)


def _rich_bar(total: int, stream: TextIO) -> tuple[Any, Any]:
    """A bar, the time left and the numbers, in 80 columns."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    numbers = TextColumn("{task.fields[text]}")
    bar = RichProgress(
        BarColumn(bar_width=16), TimeRemainingColumn(compact=True), numbers, console=Console(file=stream), auto_refresh=False
    )
    return bar, bar.add_task("", total=total, text="")


def _thousands(value: float) -> str:
    for factor, letter in ((1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:.3g}{letter}"
    return f"{value:.3g}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
