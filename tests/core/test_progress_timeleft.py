"""The time that is left, against simulated runs whose end is known; all moments are simulated."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from labonn.progress.timeleft import Span, TimeLeft


@dataclass(frozen=True)
class Sequence:
    """A run: how long step i takes, and the end of every epoch of `length` steps; a pause after a step."""

    steps: int
    step_s: Callable[[int], float]
    length: int = 0
    end_s: float = 0.0
    pause: tuple[int, float] = (0, 0.0)
    noise: float = 0.1
    first: int = 1

    def at(self, share: float, seed: int = 0) -> tuple[Span | None, float]:
        """What is said when that share of the steps is done, and the truth."""
        rng, now_s, left = random.Random(seed), 0.0, TimeLeft()
        said: Span | None = None
        moment_s = 0.0
        for step in range(self.first, self.steps + 1):
            now_s += self.step_s(step) * (1 + self.noise * rng.gauss(0, 1))
            now_s += self.pause[1] if step == self.pause[0] else 0.0
            if self.length and step > 1 and (step - 1) % self.length == 0:
                now_s += self.end_s
            left.tell(step, now_s, (step - 1) // self.length + 1 if self.length else None)
            if step == round(share * self.steps):
                said, moment_s = left.left(self.steps, now_s), now_s
        return said, now_s + (self.end_s if self.length else 0.0) - moment_s


def off(said: Span | None, truth_s: float) -> float:
    """Relative error of the middle of the range."""
    assert said is not None
    return abs((said.low_s + said.high_s) / 2 / truth_s - 1)


CONSTANT = Sequence(2000, lambda step: 0.05)
EPOCHS = Sequence(1000, lambda step: 0.05, length=100, end_s=20.0)
SLOWING = Sequence(2000, lambda step: 0.05 * (1 + 2 * step / 2000))
STALL = Sequence(2000, lambda step: 0.05, pause=(600, 600.0))
STALL_IN_EPOCHS = Sequence(2000, lambda step: 0.05, length=100, end_s=2.0, pause=(601, 600.0))
WARM_UP = Sequence(2000, lambda step: 0.25 if step < 100 else 0.05)
FEW = Sequence(60, lambda step: 8.0)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("sequence", "shares", "most"),
    [
        (CONSTANT, (0.1, 0.5, 0.9), 0.05),
        (FEW, (0.2, 0.5, 0.9), 0.15),
        (EPOCHS, (0.25, 0.5, 0.75, 0.9), 0.12),
        (STALL, (0.35, 0.5, 0.9), 0.05),
        (STALL_IN_EPOCHS, (0.35, 0.5, 0.9), 0.06),
        (WARM_UP, (0.25, 0.5, 0.9), 0.05),
    ],
)
def test_it_is_off_by_no_more_than_that(sequence: Sequence, shares: tuple[float, ...], most: float, seed: int) -> None:
    assert [round(error, 3) for share in shares if (error := off(*sequence.at(share, seed))) > most] == []


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("share", "most"), [(0.25, 0.3), (0.5, 0.2), (0.9, 0.12)])
def test_a_run_that_slows_down_is_a_range_that_reaches_to_where_it_will_end(share: float, most: float, seed: int) -> None:
    said, truth_s = SLOWING.at(share, seed)
    assert said is not None
    assert off(said, truth_s) < most
    assert said.high_s > 0.95 * truth_s
    assert said.high_s > 1.1 * said.low_s


def test_a_pace_that_doubles_is_a_range_with_the_truth_in_it() -> None:
    doubled = Sequence(2000, lambda step: 0.05 if step < 800 else 0.1)
    said, truth_s = doubled.at(0.5)
    assert said is not None
    assert said.low_s < truth_s < said.high_s
    assert " to " in str(said)


def test_a_pause_that_comes_again_and_again_belongs_to_the_run() -> None:
    often = Sequence(2000, lambda step: 0.05 + (10.0 if step % 50 == 0 else 0.0))
    assert off(*often.at(0.5)) < 0.15


def test_nothing_is_said_before_it_is_known() -> None:
    left = TimeLeft()
    assert left.left(100, 0.0) is None
    for step in range(1, 5):
        left.tell(step, 10.0 * step)
        assert left.left(100, 10.0 * step) is None
    left.tell(5, 50.0)
    assert str(left.left(100, 50.0)) == "about 15:45 left"
    quick = TimeLeft()
    for step in range(1, 101):
        quick.tell(step, 0.005 * step)
    assert quick.left(1000, 0.5) is None


def test_before_an_epoch_has_ended_it_says_only_that_it_takes_longer() -> None:
    said, truth_s = EPOCHS.at(0.08)
    assert said is not None
    assert said.more
    assert str(said).startswith("over 0:4")
    assert said.low_s < truth_s


def test_a_session_that_goes_on_counts_only_its_own_time() -> None:
    resumed = Sequence(1000, lambda step: 0.05, length=100, end_s=20.0, first=631)
    assert off(*resumed.at(0.85)) < 0.3
    said, truth_s = resumed.at(0.92)
    assert off(said, truth_s) < 0.12


def test_time_that_passes_while_a_step_is_under_way_is_not_left_any_more() -> None:
    left = TimeLeft()
    for step in range(1, 11):
        left.tell(step, 60.0 * step)
    at_once, later, much_later = (left.left(20, 600.0 + waited) for waited in (0, 30, 3000))
    assert at_once is not None
    assert later is not None
    assert much_later is not None
    assert at_once.low_s == pytest.approx(600)
    assert later.low_s == pytest.approx(570)
    assert much_later.low_s == pytest.approx(540)


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (Span(100, 110), "about 1:45 left"),
        (Span(100, 180), "1:40 to 3:00 left"),
        (Span(0.2, 1.4), "about 0:01 left"),
        (Span(7000, 7100), "about 1:58:00 left"),
        (Span(300_000, 310_000), "about 3 d 13 h left"),
        (Span(44, 46, more=True), "over 0:44 left"),
    ],
)
def test_a_span_reads_as_a_person_would_say_it(span: Span, text: str) -> None:
    assert str(span) == text
