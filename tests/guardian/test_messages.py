"""Messages: arrays come through as they are, and anything that is not just right is refused with the reason."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from labonn import errors
from labonn.banks import Changes, Dither, arrays_of
from labonn.channels import ChannelSpec, NumberedNames
from labonn.guardian.arrays import Item, Values, packed, unpack, unpacked
from labonn.guardian.doing import Memory
from labonn.guardian.failures import error_of, told
from labonn.guardian.messages import Play, parse
from labonn.guardian.sending import Sent
from labonn.guardian.specs import packed_spec, spec_of
from labonn.guardian.unacceptable import Unacceptable
from labonn.shots import ShotTable

SESSION = "0123456789abcdef" * 2
PLAY = {"op": "play", "session": SESSION, "seq": 1, "dwell_s": 1e-5, "shots": 2, "read": None, "banks": {}, "orders": {}}


def through(array: NDArray[Any]) -> NDArray[Any]:
    item, sent = packed(array)
    return unpacked(Item.model_validate_json(orjson.dumps(item)), memoryview(np.ascontiguousarray(sent).tobytes()))


@pytest.mark.parametrize("dtype", ["<f4", "<f8", "<i8", "<u4", "<i2", "|u1", "|b1"])
@pytest.mark.parametrize("shape", [(), (3,), (0,), (2, 3), (0, 4)])
def test_arrays_come_through(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    found = through(array)
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert np.array_equal(found, array)


def test_the_order_of_axes_in_memory_is_kept_so_that_sums_round_the_same() -> None:
    array = np.random.default_rng(0).normal(size=(300, 200)).astype(np.float32)
    for one in (array, np.asfortranarray(array)):
        found = through(one)
        assert (found.flags.c_contiguous, found.flags.f_contiguous) == (one.flags.c_contiguous, one.flags.f_contiguous)
        assert found.sum(axis=1).tobytes() == one.sum(axis=1).tobytes()


def test_big_endian_and_strided_arrays_come_through() -> None:
    array = np.arange(12.0).reshape(3, 4)
    assert np.array_equal(through(array.astype(">f8")), array)
    assert np.array_equal(through(array[::-1, ::2]), array[::-1, ::2])


def test_a_frame_that_lies_badly_in_memory_is_copied() -> None:
    raw = b"x" + np.arange(5.0).tobytes()
    found = unpacked(Item(dtype="<f8", shape=(5,)), memoryview(raw)[1:])
    assert found.flags.aligned
    assert found.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("value", [None, True, 3, 2.5, "text", (1, (2.0, None)), float("inf"), np.float64(0.1), np.int16(4)])
def test_values_come_through(value: Any) -> None:
    values = Values([], [])
    told = json.loads(orjson.dumps(values.pack(value)))
    assert unpack(told, [np.asarray(frame) for frame in values.frames]) == value


def test_what_is_no_value_is_not_sent() -> None:
    with pytest.raises(TypeError, match="Random"):
        Values([], []).pack(__import__("random").Random())


@pytest.mark.parametrize(
    ("change", "frames", "reason"),
    [
        ({"op": "eval"}, [], "does not match any of the expected tags"),
        ({"session": "short"}, [], "session"),
        ({"seq": -1}, [], "seq"),
        ({"seq": "1"}, [], "valid integer"),
        ({"seq": True}, [], "valid integer"),
        ({"dwell_s": 0}, [], "greater than 0"),
        ({"dwell_s": None}, [], "dwell_s"),
        ({"shots": 0}, [], "shots"),
        ({"shots": 2**60}, [], "shots"),
        ({"extra": 1}, [], "Extra inputs"),
        ({"banks": {"": 1}}, [], "at least 1 character"),
        ({"banks": [1]}, [], "banks: Input should be an object"),
        ({"new": [{"id": 1, "kind": "pickle"}]}, [], "'array', 'changes' or 'dither'"),
        ({"new": [{"id": 1, "kind": "array"}]}, [], "new banks of 1 arrays are announced, 0 came"),
        ({"arrays": [{"dtype": "<f4", "shape": [2]}]}, [b"12345678"], "0 new banks"),
        ({"new": [{"id": 1, "kind": "array"}], "arrays": [{"dtype": "<f4", "shape": [3]}]}, [b"12345678"], "8 bytes for"),
        ({"new": [{"id": 1, "kind": "array"}], "arrays": [{"dtype": "<f4", "shape": [2**39, 2**39]}]}, [b""], "0 bytes for"),
        ({"new": [{"id": 1, "kind": "array"}], "arrays": [{"dtype": "|O8", "shape": [1]}]}, [b"12345678"], "dtype"),
        ({"new": [{"id": 1, "kind": "array"}], "arrays": [{"dtype": "<f4", "shape": [1, 1, 1, 1]}]}, [b"1234"], "at most 3 items"),
        ({"new": [{"id": 1, "kind": "array"}] * 2, "arrays": [{"dtype": "|u1", "shape": [1]}] * 2}, [b"1", b"2"], "2 new banks"),
        ({}, [b"spare"], "0 arrays are announced, 1 came"),
    ],
)
def test_a_wrong_message_is_refused_with_the_reason(change: dict[str, Any], frames: list[bytes], reason: str) -> None:
    parse([json.dumps(PLAY).encode()])
    with pytest.raises(Unacceptable, match=reason):
        parse([json.dumps({**PLAY, **change}).encode(), *frames])


@pytest.mark.parametrize("frames", [[], [b""], [b"x" * (1 << 21)], [b"{}"] * 700, [b"\xff\xfe"], [b"[" * 100_000], [b"null"], [b"NaN"]])
def test_what_is_no_message_at_all_is_refused(frames: list[bytes]) -> None:
    with pytest.raises(Unacceptable):
        parse(frames)


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_random_bytes_are_refused(frames: list[bytes]) -> None:
    with pytest.raises(Unacceptable):
        parse(frames)


def sent(sender: Sent, memory: Memory, table: ShotTable) -> tuple[dict[str, Any], dict[str, Any], int]:
    """(banks, orders as the guardian has them, bytes that were sent)."""
    fields, frames = sender.header(table)
    message, arrays = parse([orjson.dumps({**PLAY, **fields}), *(np.ascontiguousarray(frame).tobytes() for frame in frames)])
    assert isinstance(message, Play)
    return *memory.update(message, arrays), sum(frame.nbytes for frame in frames)


def test_a_bank_goes_over_once_and_is_the_same_object_there_as_long_as_it_is_here() -> None:
    sender, memory, bank = Sent(), Memory(1 << 30), np.ones((4, 5))
    order = np.array([0, 3])
    first, _, size = sent(sender, memory, ShotTable({"a": bank}, {"a": order}))
    again, orders, nothing = sent(sender, memory, ShotTable({"a": bank}, {"a": order}))
    other, _, _ = sent(sender, memory, ShotTable({"a": bank.copy()}, {"a": order}))
    assert (size, nothing) == (bank.nbytes + order.nbytes, 0)
    assert first["a"] is again["a"]
    assert other["a"] is not first["a"]
    assert orders["a"].tolist() == [0, 3]


def test_a_guardian_forgets_what_nobody_can_name_any_more() -> None:
    sender, memory = Sent(), Memory(1 << 30)
    for number in range(20):
        sent(sender, memory, ShotTable({"a": np.full((2, 3), float(number))}, {"a": np.array([1, 0])}))
    assert len(memory.things) <= 4


def test_sparse_banks_come_through() -> None:
    changes = Changes(np.zeros(4), np.array([[1], [3]]), np.array([[0.5], [0.7]]))
    dither = Dither(np.zeros(9), np.ones(9), np.array([[255, 1], [3, 0]], np.uint8))
    banks, _, _ = sent(Sent(), Memory(1 << 30), ShotTable({"a": changes, "b": dither}, dict.fromkeys("ab", np.array([0, 1]))))
    assert (type(banks["a"]), type(banks["b"])) == (Changes, Dither)
    for name, bank in (("a", changes), ("b", dither)):
        assert all(np.array_equal(x, y) for x, y in zip(arrays_of(banks[name]), arrays_of(bank), strict=True))


@pytest.mark.parametrize(
    ("change", "reason"), [({"banks": {"a": 9}}, "9 is not known"), ({"new": [{"id": 1, "kind": "array"}]}, "known already")]
)
def test_banks_that_cannot_be_are_refused_and_change_nothing(change: dict[str, Any], reason: str) -> None:
    memory, item = Memory(1 << 30), {"dtype": "<f8", "shape": [1]}
    memory.things[1] = np.zeros(1)
    change = {**change, "arrays": [item] * len(change.get("new", ()))}
    message, arrays = parse([json.dumps({**PLAY, **change}).encode(), *[bytes(8)] * len(change["arrays"])])
    assert isinstance(message, Play)
    with pytest.raises(Unacceptable, match=reason):
        memory.update(message, arrays)
    assert list(memory.things) == [1]


def test_a_guardian_remembers_no_more_than_its_memory_holds() -> None:
    with pytest.raises(Unacceptable, match="more than 2000 banks and orders, or 100 bytes"):
        sent(Sent(), Memory(100), ShotTable({"a": np.zeros((1, 20))}))


@pytest.mark.parametrize("kind", [value for value in vars(errors).values() if isinstance(value, type)])
def test_every_error_of_labonn_comes_back_as_itself(kind: type[errors.LabonnError]) -> None:
    problem = kind("gain/ch0: 5 A\nand more")
    problem.add_note("beside that")
    back = error_of(json.loads(orjson.dumps(told(problem))))
    assert (type(back), str(back), back.__notes__) == (kind, str(problem), ["beside that"])


def test_an_error_of_a_kind_that_is_known_here_alone_comes_back_as_the_nearest_that_is_known_everywhere() -> None:
    class Own(errors.RefusedError):
        pass

    back = error_of(told(Own("no")))
    assert (type(back), str(back)) == (errors.RefusedError, "no")


def test_other_errors_come_back_as_the_root_and_no_name_calls_anything() -> None:
    assert type(error_of(told(ZeroDivisionError("x")))) is errors.LabonnError
    assert type(error_of({"type": "SystemExit", "text": "x"})) is errors.LabonnError
    assert type(error_of("nonsense")) is errors.LabonnError


def test_specs_come_through_and_one_number_for_all_channels_stays_one() -> None:
    one = ChannelSpec(NumberedNames("r", 100, 10), "V", np.asarray(-1.0), np.asarray(np.inf), np.asarray(0.1), np.asarray(0.0), 7)
    two = ChannelSpec(("a", "b"), "A", np.array([0.0, 1.0]), np.array([2.0, 3.0]), np.zeros(2), np.zeros(2), upper_rule=("x", "y"))
    for spec in (one, two):
        values = Values([], [])
        found = spec_of(json.loads(orjson.dumps(packed_spec(spec, values))), values.frames)
        assert (list(found.names), found.unit, found.depth, found.upper_rule) == (list(spec.names), spec.unit, spec.depth, spec.upper_rule)
        assert np.array_equal(found.lower, spec.lower)
        assert np.array_equal(found.upper, spec.upper)
        assert found.upper.strides == spec.upper.strides
