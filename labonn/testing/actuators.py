"""What every actuator does: limits kept, rows in order, safe from any state, refusals told."""

from __future__ import annotations

import contextlib
from difflib import SequenceMatcher
from typing import Any

import numpy as np
import pytest

from labonn.banks import Changes, Dither, dense
from labonn.errors import LabonnError, LimitError, RefusedError, TableError
from labonn.shots import Bank, ShotTable
from labonn.testing.rig import PORT, Rig
from labonn.testing.settings import needs
from labonn.testing.suite import Suite
from labonn.testing.values import spread

ORDER = [2, 0, 1, 1, 3, 0]
OF_THE_SAME_WORDS = 3  # characters that an instrument's refusal and the message must share
TYPES = [np.float32, np.float64]


class Actuators(Suite):
    """Drivers whose instruments act on light."""

    @needs("actuator")
    def test_prepared_it_is_safe_whatever_it_did_before(self, rig: Rig) -> None:
        rig.prepare()
        assert self.is_safe(rig)
        if "heaters" not in self.traits():  # an oven takes an hour to get warm, and may stay so
            self.play(rig, self.rows(rig.spec, 1), [0])
            rig.reopen()
            rig.prepare()
            assert self.is_safe(rig)

    @needs("actuator", "emulated")
    def test_fresh_from_its_switch_it_does_nothing_until_it_is_told_to(self, rig: Rig) -> None:
        assert self.is_safe(rig)

    @needs("actuator")
    @pytest.mark.parametrize("kind", TYPES)
    def test_both_ends_of_the_limits_are_played(self, rig: Rig, kind: type[np.floating[Any]]) -> None:
        self.ready(rig)
        ends = rig.spec.clip(np.array([rig.spec.upper, rig.spec.lower]).astype(kind))
        for row in (0, 1):
            assert self.like(rig, self.play(rig, ends[[row]], [0]), ends[[row]])

    @needs("actuator")
    def test_a_bench_refuses_what_is_beyond_the_limits_before_a_byte_is_sent(self, rig: Rig) -> None:
        self.ready(rig)
        spec = rig.spec
        beyond = np.maximum(spec.step, 1e-6 * (spec.upper - spec.lower))[-1]
        with contextlib.closing(rig.bench()) as bench:
            before = rig.exchanges
            for bad in (spec.upper[-1] + beyond, spec.lower[-1] - beyond, np.nan, np.inf, -np.inf):
                row = self.rows(spec, 1)
                row[0, -1] = bad
                with pytest.raises(LimitError, match=f"{PORT}/"):
                    bench.play(ShotTable({PORT: row}, dwell_s=self.dwell_s))
            assert rig.exchanges == before

    @needs("actuator")
    @pytest.mark.parametrize("kind", TYPES)
    def test_a_bench_plays_rows_in_the_order_of_the_table(self, rig: Rig, kind: type[np.floating[Any]]) -> None:
        self.ready(rig)
        bank, seen = self.rows(rig.spec, 4).astype(kind), []

        def fire(shots: int, dwell_s: float) -> None:
            held = self.outputs(rig) if rig.spec.depth == 1 else None
            seen.append(np.repeat(held[None], shots, axis=0) if held is not None else self.table(rig, shots))

        with contextlib.closing(rig.bench(fire)) as bench:
            for order in [[row] for row in ORDER] if rig.spec.depth == 1 else [ORDER]:
                bench.play(ShotTable({PORT: bank}, {PORT: np.array(order)}, self.dwell_s))
                if rig.spec.depth == 1:  # a table that is only held fires nothing
                    fire(1, self.dwell_s)
            if rig.emulator is not None:
                assert self.like(rig, np.concatenate([rows for rows in seen if rows is not None]), bank[ORDER])
        assert self.is_safe(rig)

    @needs("actuator")
    def test_a_memory_of_one_row_takes_no_order_of_several(self, rig: Rig) -> None:
        self.ready(rig)
        bank = self.rows(rig.spec, 3)
        if rig.spec.depth == 1:
            with pytest.raises(TableError, match=PORT):
                rig.device.load(bank, np.array([0, 2]), self.dwell_s)
            assert self.is_safe(rig)
        else:
            assert self.like(rig, self.play(rig, bank, [0, 2]), bank[[0, 2]])

    @needs("actuator")
    def test_the_bank_in_memory_is_played_again_in_another_order(self, rig: Rig) -> None:
        self.ready(rig)
        bank = self.rows(rig.spec, 4)
        held = rig.spec.depth == 1
        for order in [[1], [3], [1]] if held else [ORDER, [3, 3, 0], [1]]:
            assert self.like(rig, self.play(rig, bank if held or order is ORDER else None, order), bank[order])

    @needs("actuator")
    def test_nothing_is_played_before_anything_is_loaded(self, rig: Rig) -> None:
        self.ready(rig)
        with pytest.raises(LabonnError, match=PORT):
            rig.device.arm()
        assert self.is_safe(rig)

    @needs("actuator")
    @pytest.mark.parametrize("form", ["changes", "dither"])
    def test_a_sparse_bank_is_played_as_its_rows_are(self, rig: Rig, form: str) -> None:
        self.ready(rig)
        base, span, count = self.rows(rig.spec, 1)[0], rig.spec.upper - rig.spec.lower, len(rig.spec)
        channels = np.arange(5)[:, None] % count
        signs = np.packbits(spread(5, count) > 0.5, axis=1)
        changes = Changes(base, channels, np.take_along_axis(self.rows(rig.spec, 5), channels, axis=1))
        bank: Bank = changes if form == "changes" else Dither(base, 0.1 * span, signs)
        orders = [[row] for row in (0, 4, 2)] if rig.spec.depth == 1 else [[0, 4, 2, 2]]
        for order in orders:
            assert self.like(rig, self.play(rig, bank, order), dense(bank)[order])

    @needs("actuator")
    @pytest.mark.parametrize("state", ["open", "prepared", "loaded", "armed", "refused", "safe"])
    def test_safe_works_from_any_state(self, rig: Rig, state: str) -> None:
        if state != "open":
            rig.prepare()
        if state not in ("open", "prepared"):
            rig.device.load(self.rows(rig.spec, 1), np.array([0]), self.dwell_s)
        if state in ("armed", "refused", "safe"):
            rig.device.arm()
        if state == "refused":
            with contextlib.suppress(LabonnError, pytest.skip.Exception):
                self.refuse(rig)
        for _ in range(2 if state == "safe" else 1):
            rig.device.safe()
            assert self.is_safe(rig)

    @needs("actuator")
    def test_after_safe_it_works_again(self, rig: Rig) -> None:
        self.ready(rig)
        bank = self.rows(rig.spec, 2)
        for row in (0, 1):
            assert self.like(rig, self.play(rig, bank, [row]), bank[[row]])
            rig.device.safe()

    @needs("actuator", "emulated")
    def test_a_refused_set_is_told_in_the_instruments_words(self, rig: Rig) -> None:
        self.ready(rig)
        before = len(rig.wire.replies)
        with pytest.raises(RefusedError, match=PORT) as told:
            self.refuse(rig)
        words = [_text(reply) for reply in rig.wire.replies[before:]]
        assert any(_shared(text, str(told.value)) >= min(OF_THE_SAME_WORDS, len(text)) for text in words if text), (
            f"{str(told.value)!r} has nothing of what the instrument said: {words}"
        )
        rig.device.safe()
        assert self.is_safe(rig)


def _text(reply: Any) -> str:
    whole = b"".join(reply) if isinstance(reply, list) else reply
    return (whole.decode("latin-1") if isinstance(whole, bytes) else str(whole)).strip()


def _shared(words: str, message: str) -> int:
    """Characters in a row that both have."""
    return SequenceMatcher(None, words, message, autojunk=False).find_longest_match().size
