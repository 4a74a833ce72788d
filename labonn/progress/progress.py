"""A training run's progress: a live display on a terminal, plain lines elsewhere. Always on stderr."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import ClassVar, Literal, Self, TextIO

from labonn.progress.curve import Curve, drawn
from labonn.progress.screen import Screen, can_draw, has_dots
from labonn.progress.timeleft import Span, TimeLeft
from labonn.progress.words import clock, flowing, number, thousands

Mode = Literal["auto", "live", "plain", "quiet"]
REFRESH_S = 0.2
LINE_S, LINE_SHARE, LONG_S = 3.0, 0.02, 30.0  # between plain lines: at least so long, or so much of the time so far, up to so long
WITHIN_S = 60.0  # after which an epoch that goes on gets a line, too
WIDEST, CURVE_ROWS = 100, 3
LISTENER_S = 1.0  # between what a listener is told
Listener = Callable[[float, str], None]  # share done, from 0 to 1; a few words


class Progress:
    """Shows loss, accuracy, shots per second and time left; a step that is not drawn costs some microseconds.

    Args:
        total_steps: steps of the whole run.
        mode: "auto" draws on `stream` if that is a terminal and prints a line an epoch otherwise, though not every few moments.
        stream: where to; None is stderr.
        title: stands before the lines. unit: what `epoch` counts. time_s: of bench time, after which the run ends in any case.

    Attributes:
        listener: of this process's progress, in whatever mode, such as the sweep of which it does a job.
    """

    listener: ClassVar[Listener | None] = None

    def __init__(
        self, total_steps: int, mode: Mode = "auto", stream: TextIO | None = None, title: str = "training", unit: str = "epoch",
        time_s: float | None = None,
    ) -> None:  # fmt: skip
        self._stream = stream if stream is not None else sys.stderr
        self._mode: Mode = ("live" if can_draw(self._stream) else "plain") if mode == "auto" else mode
        self._total, self._title, self._unit, self._time_s = total_steps, title, unit, time_s
        self._step = self._shots = self._first_shots = 0
        self._spent_s = 0.0
        self._epoch: int | None = None
        self._values: dict[str, float] = {}
        self._numbers: Mapping[str, float | str] = {}
        self._curve, self._steps, self._time = Curve(), TimeLeft(), TimeLeft()
        self._start_s = self._drawn_s = time.monotonic()
        self._printed_s: float | None = None
        self._listened_s = self._start_s - LISTENER_S
        self._screen: Screen | None = None
        self._lock = threading.RLock()  # the screen draws from a thread of its own, too
        self._ended = False
        self._dots = has_dots(self._stream)

    def __enter__(self) -> Self:
        self._start_s = self._drawn_s = time.monotonic()
        if self._mode == "live":
            self._screen = Screen(self._rows, self._stream)
            self._screen.start()
        return self

    def go_on_from(self, step: int, shots: int) -> None:
        """Steps and shots of an earlier session, which took no time of this one."""
        self._step, self._first_shots = step, shots

    def update(
        self, step: int, shots: int, *, loss: float | None = None, accuracy: float | None = None, epoch: int | None = None,
        best: float | None = None, spent_s: float | None = None, numbers: Mapping[str, float | str] | None = None,
    ) -> None:  # fmt: skip
        """Tell how far the run is.

        Args:
            step: steps done since the beginning. shots: shots played since the beginning.
            loss: of this step. accuracy: the newest, 0 to 1; stays shown until another comes. epoch: counted from 1.
            best: validation accuracy so far, 0 to 1. spent_s: seconds of bench time that are gone, of `time_s`.
            numbers: what else the procedure wants to show on a terminal, by name.
        """
        now_s = time.monotonic()
        with self._lock:
            self._steps.tell(step, now_s, epoch)
            if spent_s is not None:
                self._time.tell(spent_s, now_s)
            if epoch != self._epoch and self._mode == "plain" and self._epoch is not None and self._due(now_s):
                self._print(now_s)
            self._step, self._shots, self._epoch, self._spent_s = step, shots, epoch, spent_s or 0.0
            if loss is not None:
                self._curve.add(loss)
            given = (("loss", loss), ("accuracy", accuracy), ("best", best))
            self._values.update((name, value) for name, value in given if value is not None)
            self._numbers = numbers or self._numbers
        listener = type(self).listener
        if listener is not None and now_s - self._listened_s >= LISTENER_S:
            self._listened_s = now_s
            listener(self._share(), ", ".join([*self._place(), *(told(name, value) for name, value in self._values.items())]))
        if self._screen is not None and now_s - self._drawn_s > REFRESH_S:
            self._drawn_s = now_s
            self._screen.draw()
        elif self._mode == "plain" and now_s - (self._printed_s or self._start_s) > WITHIN_S:
            self._print(now_s)

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self._ended = True
        if self._screen is not None:
            self._screen.stop(keep=self._epoch is not None or bool(self._values))
        elif self._mode == "plain" and (self._epoch is not None or self._values):
            self._print(time.monotonic())

    def _due(self, now_s: float) -> bool:
        """Whether the end of an epoch is worth a line."""
        if self._printed_s is None:
            return True
        return now_s - self._printed_s >= min(LONG_S, max(LINE_S, LINE_SHARE * (now_s - self._start_s)))

    def _print(self, now_s: float) -> None:
        self._printed_s = now_s
        shown = [told(name, self._values[name]) for name in ("loss", "accuracy") if name in self._values]
        parts = [*self._place(), *shown, *self._rate(now_s), *self._left(now_s)]
        print(f"{self._title}: {', '.join(parts)}", file=self._stream, flush=True)

    def _rows(self, columns: int) -> list[str]:
        """The frame: how far, the numbers, the curve."""
        width = min(columns, WIDEST)
        with self._lock:
            now_s = time.monotonic()
            gone = [] if self._ended else [f"{clock(now_s - self._start_s)} gone"]
            parts = [*self._place(), *gone, *self._left(now_s)]
            numbers = [told(name, value) for name, value in self._values.items()]
            numbers += [f"{name} {number(value)}" for name, value in self._numbers.items()]
            rows = [self._bar(width), *flowing(parts, width), *flowing([*numbers, *self._rate(now_s)], width)]
            return rows + drawn(self._curve.points, width, CURVE_ROWS, "loss", ascii_only=not self._dots)

    def _bar(self, width: int) -> str:
        share, (full, empty) = self._share(), "━─" if self._dots else "#-"
        length = width - len(self._title) - 7
        if length < 4:
            return f"{self._title} {int(100 * share)} %"
        return f"{self._title} {full * round(share * length)}{empty * (length - round(share * length))} {int(100 * share):>3} %"

    def _share(self) -> float:
        """Done, by steps or by bench time."""
        return min(max(self._step / self._total if self._total else 1.0, self._spent_s / self._time_s if self._time_s else 0.0), 1.0)

    def _place(self) -> list[str]:
        place = [] if self._epoch is None else [f"{self._unit} {self._epoch}"]
        place.append(f"step {self._step}/{self._total}")
        return place if self._time_s is None else [*place, f"{self._spent_s:.3g} of {self._time_s:.3g} s of bench time"]

    def _rate(self, now_s: float) -> list[str]:
        """Nothing where no light is needed."""
        rate = (self._shots - self._first_shots) / max(now_s - self._start_s, 1e-9)
        return [f"{thousands(rate)} shots/s"] if self._shots else []

    def _left(self, now_s: float) -> list[str]:
        """By steps or by bench time, whichever ends the run; nothing if that is not known."""
        if self._ended:
            return [f"took {clock(now_s - self._start_s)}"]
        spans = [self._steps.left(self._total, now_s)]
        if self._time_s is not None:
            spans.append(self._time.left(self._time_s, now_s))
        known: list[Span] = [span for span in spans if span is not None]
        return [str(min(known, key=lambda span: span.high_s))] if len(known) == len(spans) else []


def told(name: str, value: float) -> str:
    """A loss in four digits, an accuracy in percent."""
    return f"{name} {value:.4g}" if name == "loss" else f"{name} {100 * value:.1f} %"
