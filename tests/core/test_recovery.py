"""Ports that survive a broken connection: in process and over sockets, with faults on the wire, other instruments, lost power."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drivers.keithley2400 import Keithley2400
from labonn.bench import Bench
from labonn.benchfile import parse
from labonn.errors import BenchFileError, IdentityError, LabonnError, LinkClosedError, LinkError, LinkTimeoutError, UnknownStateError
from labonn.shots import Readings, ShotTable

TEXT = """
[ports.source]
driver = "keithley2400"
link = "visa://TCPIP::10.0.0.7::5025::SOCKET"
upper = "50 mA"
reconnect = 3

[ports.fast]
driver = "stream_dac"
link = "zmq://127.0.0.1:5570"
channels = 3
reconnect = 3

[ports.out]
driver = "stream_adc"
link = "zmq://127.0.0.1:5571"
role = "trigger"
channels = 2
reconnect = 3

[simulation]
bench = "unlit"
"""
LEVELS = 1e-3 * np.arange(1.0, 9.0)[:, None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "bench.toml"
    found.write_text(TEXT, encoding="utf-8")
    return found


def table() -> ShotTable:
    rows = np.arange(8)
    return ShotTable({"source": LEVELS, "fast": np.linspace(0.0, 1.0, 24).reshape(8, 3)}, {"source": rows, "fast": rows}, 1e-3)


def firmware(bench: Bench, port: str) -> Any:
    return bench._opened.simulated.instruments.of(port)[0]


def opened_exchanges(path: Path) -> int:
    with Bench.open(path, dry_run=True) as bench:
        return int(bench._opened.links[0].exchanges)


def lit(bench: Bench) -> Bench:
    """The ADC now sees 100 ohm that the source's current flows through, and its trigger reaches the DAC."""
    source, adc, dac = firmware(bench, "source"), firmware(bench, "out"), firmware(bench, "fast")

    def fire(shots: int, dwell_s: float) -> None:
        adc.record(np.full((shots, 2), 100 * float(source.currents_a[0])))
        dac.played()

    adc.on_fire = fire
    return bench


def opened(path: Path, **how: Any) -> Bench:
    return lit(Bench.open(path, dry_run=True, **how))


def right(readings: Readings) -> bool:
    return bool(np.allclose(readings["out"], 100 * LEVELS, atol=1.5e-3))


@pytest.mark.parametrize("served", [False, True])
@pytest.mark.parametrize("kind", ["drop", "timeout", "deaf", "late", "truncated", "doubled", "garbled"])
def test_a_run_goes_on_after_the_source_was_lost_in_the_middle(
    path: Path, kind: str, served: bool, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setitem(Keithley2400.link_options, "timeout_s", 0.15)
    with opened(path, served=served, faults=[f"source:{kind}@{opened_exchanges(path) + 3}"]) as bench:
        assert right(bench.play(table()))
        assert bench.recovery.counts == {"source": 1}
        assert firmware(bench, "source").values["output"]
    assert not firmware(bench, "source").values["output"]


@pytest.mark.parametrize("served", [False, True])
def test_without_the_key_a_lost_connection_ends_the_run_safely(path: Path, served: bool) -> None:
    path.write_text(TEXT.replace("reconnect = 3\n", ""), encoding="utf-8")
    bench = opened(path, served=served, faults=[f"source:drop@{opened_exchanges(path) + 3}"])
    with pytest.raises(LinkClosedError):
        bench.play(table())
    source = firmware(bench, "source")
    bench.close()
    assert source.currents_a[0] == 0, "a new connection is made to be safe, if for nothing else"


@pytest.mark.parametrize("port", ["fast", "out"])
def test_a_converter_that_lost_a_reply_comes_back_with_what_it_had_in_memory(path: Path, port: str) -> None:
    rows = np.arange(4)
    bank = np.linspace(-1.0, 1.0, 12).reshape(4, 3)
    with opened(path) as bench:
        taken = bench.ports["out"].set_range(0.7)
        bench.play(ShotTable({"fast": bank}, {"fast": rows}, 1e-3))
        before = bench.ports["out"]._scale.copy()
        index = list(bench.file.ports).index(port)
        count = bench._opened.links[index].exchanges
        _inject(bench, f"{port}:timeout")
        readings = bench.play(ShotTable({}, {"fast": rows[::-1].copy()}, 1e-3))  # an order for the bank in memory
        assert bench._opened.links[index].exchanges > count
        assert readings["out"].shape == (4, 2)
        assert bench.recovery.counts == {port: 1}
        assert np.array_equal(bench.ports["out"]._scale, before)
        assert np.array_equal(bench.ports["out"].set_range(0.7), taken)


def _inject(bench: Bench, text: str) -> None:
    from labonn.faults import parse_fault

    bench._opened.simulated.inject(parse_fault(text))


def test_a_source_that_lost_power_gets_its_limits_again(path: Path) -> None:
    with opened(path) as bench:
        source = firmware(bench, "source")
        bench.play(table())
        feed = source.feed

        def power_cut(data: bytes) -> bytes:
            source.reset()
            source.feed = feed
            raise ConnectionResetError("power cut")

        source.feed = power_cut
        bench.play(table())
        assert bench.recovery.counts == {"source": 1}
        assert source.values["range_CURR" if "range_CURR" in source.values else "source_CURR_range"] == pytest.approx(0.105, rel=0.1)
        assert float(source.currents_a[0]) == pytest.approx(8e-3, rel=1e-3)


def test_another_instrument_at_the_same_address_is_not_used(path: Path) -> None:
    bench = opened(path, faults=[f"source:drop@{opened_exchanges(path) + 3}"])
    source = firmware(bench, "source")
    source.identity = source.identity.replace("MODEL 2400,", "MODEL 2400,9")
    with pytest.raises(LinkClosedError) as caught:
        bench.play(table())
    assert "answers in place of" in caught.value.__notes__[0]
    assert isinstance(caught.value.__cause__, IdentityError)
    before = dict(source.values)
    with contextlib.suppress(LabonnError):
        bench.close()
    assert source.values["level_CURR"] in (before["level_CURR"], 0.0)


def test_what_never_comes_back_is_given_up_after_so_many_attempts(path: Path) -> None:
    bench = opened(path, faults=[f"source:drop@{opened_exchanges(path) + 3}x*"])
    before = bench.clock.now()
    with pytest.raises(LinkError) as caught:
        bench.play(table())
    assert caught.value.__notes__[0].startswith("not brought back: ")
    assert 1.0 < bench.clock.now() - before < 10  # pauses of 0.4 and 0.8 s
    assert bench._opened.links[0].reconnects == 3
    with pytest.raises(UnknownStateError, match="source: could not be made safe"):
        bench.close()


def test_a_bench_is_made_safe_over_a_new_connection(path: Path) -> None:
    bench = opened(path)
    bench.play(table())
    assert firmware(bench, "source").values["output"]
    _inject(bench, "source:drop")
    bench.close()
    assert not firmware(bench, "source").values["output"]
    assert bench.recovery.counts == {"source": 1}


def test_a_recorded_run_that_came_back_is_played_back_the_same(path: Path, tmp_path: Path) -> None:
    tape = tmp_path / "run.tape"
    with opened(path, faults=[f"source:drop@{opened_exchanges(path) + 3}"], record=tape) as bench:
        readings = bench.play(table())
    with Bench.open(path, replay=tape) as bench:
        again = bench.play(table())
        assert bench.recovery.counts == {"source": 1}
    assert np.array_equal(readings["out"], again["out"])


def test_an_answer_to_an_earlier_set_is_found_by_reading_back_and_ends_the_run(path: Path) -> None:
    with opened(path, faults=[f"source:foreign@{opened_exchanges(path) + 3}"]) as bench:
        with pytest.raises(UnknownStateError, match="set to 4 mA it reads back 3 mA"):
            bench.play(table())
        assert right(bench.play(table()))


def test_a_refusal_is_no_reason_to_connect_again(path: Path) -> None:
    with opened(path) as bench:
        firmware(bench, "source").loads_ohm[:] = np.inf  # the compliance is reached
        with pytest.raises(UnknownStateError, match="is the load open"):
            bench.play(table())
        assert bench.recovery.counts == {}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["source", "fast", "out"]),
            st.sampled_from(["drop", "deaf", "timeout", "late", "truncated", "doubled", "foreign", "garbled"]),
            st.integers(0, 30),
        ),
        max_size=4,
    )
)
def test_whatever_happens_on_the_wires_a_table_that_is_finished_is_right(path: Path, faults: Any) -> None:
    bench = opened(path)
    for port, kind, after in faults:
        _inject(bench, f"{port}:{kind}@{after}")
    played: Readings | None = None
    with contextlib.suppress(LabonnError):
        played = bench.play(table())
    assert played is None or right(played)
    with contextlib.suppress(LabonnError):
        bench.close()


@pytest.mark.parametrize("value", ["-1", "true", '"3"', "1.5", "101"])
def test_the_key_is_a_small_whole_number(value: str) -> None:
    with pytest.raises(BenchFileError, match=r"lab.toml: ports.source.reconnect = .*: a whole number is wanted, 0 to 100"):
        parse(TEXT.replace("reconnect = 3", f"reconnect = {value}", 1), "lab.toml")


def test_a_table_of_functions_cannot_be_connected_again(path: Path) -> None:
    slm = '[ports.slm]\ndriver = "slm_monitor"\nlink = "monitor://1"\nshape = [2, 2]\npanel = [8, 8]\nreconnect = 1\n[simulation]'
    path.write_text(TEXT.replace("[simulation]", slm), encoding="utf-8")
    with pytest.raises(BenchFileError, match=r"ports.slm.reconnect: monitor://1 has no connection that could be made again"):
        opened(path)


def test_a_timeout_of_a_query_that_recovers_is_still_counted_as_an_error_without_the_key(path: Path) -> None:
    path.write_text(TEXT.replace("reconnect = 3\n", "", 1), encoding="utf-8")
    with opened(path, faults=[f"source:timeout@{opened_exchanges(path) + 3}"]) as bench:
        with pytest.raises(LinkTimeoutError):
            bench.play(table())
        assert bench.recovery.counts == {}
