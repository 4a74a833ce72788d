"""Snapshots: object graphs come back with every value, type, layout, and everything that is one thing still one thing."""

from __future__ import annotations

import json
import threading
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labonn.channels import ChannelSpec
from labonn.snapshots import Digests, Names, Snapshot, SnapshotError, restore, snapshot

NAMES = Names([__name__.partition(".")[0]])


class Box:
    """Anything."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    def shout(self) -> str:
        return f"{self.word}!"  # type: ignore[attr-defined]


class Slotted:
    __slots__ = ("one", "two")

    def __init__(self, one: int) -> None:
        self.one = one


@dataclass(frozen=True)
class Frozen:
    values: list[int]
    array: Any = field(default_factory=lambda: np.zeros(2))


class Leaves:
    """Does not save its cache."""

    unsaved = ("cache",)

    def __init__(self, value: int, cache: Any) -> None:
        self.value, self.cache = value, cache


def counting(start: int) -> Any:
    """A function with a state that only its closure has."""
    count = start

    def next_one() -> int:
        nonlocal count
        count += 1
        return count

    return next_one


def through_json(saved: Snapshot) -> Snapshot:
    tree = json.loads(json.dumps(saved.tree))
    return Snapshot(tree["roots"], tree["table"], [array.copy() for array in saved.arrays])


def again(value: Any, twin: Any, digests: Digests | None = None) -> Any:
    """`twin` as `value` was."""
    restore(through_json(snapshot({"it": value}, NAMES, digests=digests)), {"it": twin}, NAMES, digests=digests)
    return twin


VALUES: dict[str, Any] = {
    "none": None, "true": True, "whole": 3, "large": 2**200, "negative": -7, "real": 0.1, "infinite": -np.inf, "minus zero": -0.0,
    "text": "ä\n", "bytes": b"\0\xff", "complex": 1 - 2j, "tuple": (1, ("a", 2.5)), "empty": (), "range": range(2, 9, 3),
    "slice": slice(1, None), "list": [1, [2, {"three": 3}]], "dict": {1: "one", (2, "b"): [2], 3.5: None}, "set": {3, 1, 2},
    "frozen set": frozenset({"a"}), "ordered": OrderedDict([("b", 1), ("a", 2)]), "counter": Counter("aab"),
    "deque": deque([1, 2], maxlen=5), "byte array": bytearray(b"ab"), "default": defaultdict(list, {"a": [1]}), "path": Path("a/b"),
    "type": np.float32, "dtype": np.dtype("<i2"), "scalar": np.float32(0.1), "whole scalar": np.int64(-5),
    "exception": ValueError("what", 3),
}  # fmt: skip


@pytest.mark.parametrize("name", VALUES)
def test_every_value_comes_back_as_it_was_and_of_its_type(name: str) -> None:
    value = VALUES[name]
    back = again(Box(it=value), Box(it=None)).it
    assert type(back) is type(value)
    assert repr(back) == repr(value)
    assert again(Box(it=value), Box()).it.__class__ is type(value)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.arange(20.0)[::-3], np.zeros((0, 4), np.int16),
        np.array(2.5), np.broadcast_to(np.float32(3), (5, 4)), np.arange(24).reshape(2, 3, 4).transpose(2, 0, 1), np.array([np.nan, -0.0]),
        np.array([True, False]), np.array([1 + 2j]), np.arange(12.0).reshape(3, 4)[:, 1:3],
    ],
)  # fmt: skip
def test_arrays_come_back_bit_for_bit_in_the_same_layout(array: Any) -> None:
    back = again(Box(it=array), Box(it=None)).it
    assert (back.dtype, back.shape, back.strides) == (array.dtype, array.shape, array.strides)
    assert back.tobytes() == array.tobytes()
    assert back.flags.writeable == array.flags.writeable


def test_an_array_of_the_same_form_is_filled_so_that_all_who_hold_it_see_it() -> None:
    twin = Box(it=np.zeros(3))
    seen = twin.it
    again(Box(it=np.arange(3.0)), twin)
    assert twin.it is seen
    assert seen.tolist() == [0, 1, 2]


def test_a_read_only_array_is_replaced_and_not_written_to() -> None:
    twin = Box(it=np.zeros(3))
    old = twin.it
    old.flags.writeable = False
    again(Box(it=np.arange(3.0)), twin)
    assert twin.it.tolist() == [0, 1, 2]
    assert old.tolist() == [0, 0, 0]


def test_what_was_one_thing_is_one_thing_again_and_what_were_two_are_two() -> None:
    shared, equal = np.arange(3.0), np.arange(3.0)
    own: Any = Box(one=shared, same=shared, other=equal, list=[shared])
    own.itself = own
    alike = np.zeros(3)
    twin = again(own, Box(one=alike, same=np.zeros(3), other=alike, list=[]))
    assert twin.one is twin.same is twin.list[0]
    assert twin.one is not twin.other
    assert twin.itself is twin


def test_a_view_is_a_view_again() -> None:
    whole = np.arange(10.0)
    for twin in (Box(whole=None, part=None), Box(whole=np.zeros(10), part=np.zeros(3))):
        again(Box(whole=whole, part=whole[2:8:2]), twin)
        twin.whole[4] = 99
        assert twin.part.tolist() == [2, 99, 6]


@pytest.mark.parametrize("order", ["C", "F"])
def test_two_views_of_memory_that_is_not_saved_itself_share_it_again(order: Any) -> None:
    whole = np.array(np.arange(30.0).reshape(5, 6), order=order)
    twin = again(Box(a=whole[1:3], b=whole[2, :], c=np.zeros(2)), Box())
    twin.b[:] = -1
    assert twin.a[1].tolist() == [-1] * 6
    assert twin.a[0].tolist() == whole[1].tolist()


@pytest.mark.parametrize("kind", [np.random.PCG64, np.random.SFC64, np.random.MT19937, np.random.Philox])
def test_random_generators_go_on_where_they_were(kind: Any) -> None:
    own = np.random.Generator(kind(1))
    own.standard_normal(5, np.float32)
    box = Box(rng=own, bits=own.bit_generator)
    saved = through_json(snapshot({"it": box}, NAMES))
    wanted = own.standard_normal(100).tobytes()
    for twin in (Box(rng=np.random.Generator(kind(9)), bits=None), Box()):
        restore(saved, {"it": twin}, NAMES)
        assert twin.rng.bit_generator is twin.bits
        assert twin.rng.standard_normal(100).tobytes() == wanted


def test_closures_keep_their_place_and_get_their_contents() -> None:
    own, twin = Box(count=counting(10)), Box(count=counting(0))
    own.count()
    again(own, twin)
    assert twin.count() == 12
    assert own.count() == 12
    with pytest.raises(SnapshotError, match=r"counting\.<locals>\.next_one: is made at run time, and what was built here has none"):
        again(own, Box(count=None))


def test_methods_functions_and_partials_belong_to_the_new_objects() -> None:
    own = Box(word="saved")
    own.call, own.later, own.named = own.shout, partial(own.shout), again
    twin: Any = again(own, Box(word="fresh"))
    assert twin.call() == twin.later() == "saved!"
    twin.word = "changed"
    assert twin.call() == twin.later() == "changed!"
    assert twin.named is again


def test_frozen_dataclasses_are_made_anew_and_others_filled_in_place() -> None:
    held = Frozen([1])
    twin = Box(it=held, box=Box(a=1))
    box = twin.box
    again(Box(it=Frozen([2, 3]), box=Box(a=5)), twin)
    assert twin.it.values == [2, 3]
    assert held.array is not None
    assert twin.box is box
    assert box.a == 5


def test_what_only_the_twin_has_goes_and_what_it_lacks_comes() -> None:
    twin: Any = again(Box(a=1, new=Box(b=[2])), Box(a=0, old=3))
    assert not hasattr(twin, "old")
    assert twin.new.b == [2]
    slotted = Slotted(1)
    again(Box(s=slotted), Box(s=Slotted(9)))
    assert again(Box(s=slotted), Box()).s.one == 1


def test_what_a_class_leaves_out_stays_as_it_is() -> None:
    twin = Leaves(1, "own")
    again(Leaves(2, threading), twin)
    assert (twin.value, twin.cache) == (2, "own")


def test_locks_stay_and_a_new_object_gets_a_new_one() -> None:
    twin = Box(lock=threading.Lock(), a=1)
    lock = twin.lock
    again(Box(lock=threading.Lock(), a=2), twin)
    assert twin.lock is lock
    assert again(Box(inner=Box(lock=threading.Lock())), Box()).inner.lock.acquire(blocking=False)


UNKNOWN = {
    "generator": ((i for i in range(3)), r"it\.deep\[1\]: a .*generator cannot be saved"),
    "object": (np.array([object()]), r"it\.deep\[1\]: ndarray of object: arrays of numbers can be saved"),
    "foreign": (json.JSONDecoder(), r"it\.deep\[1\]: a json\.decoder:JSONDecoder cannot be saved"),
    "derived": (type("Words", (dict,), {"__module__": __name__})(), r"cannot be saved|cannot be found by its name"),
    "memory": (memoryview(b"ab"), r"memoryview cannot be saved"),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_cannot_be_saved_is_named_with_its_path(name: str) -> None:
    value, message = UNKNOWN[name]
    with pytest.raises(SnapshotError, match=message):
        snapshot({"it": Box(deep=[0, value])}, NAMES)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (["object", "os:system", {}], r"os:system: a snapshot may name what is in"),
        (["object", "labonn.errors:NoSuch", {}], r"this version has none"),
        (["object", "numpy:ndarray", {}], r"numpy:ndarray: a snapshot holds no such objects"),
        (["exception", "builtins:list", ["tuple", None]], r"builtins:list: is no exception"),
        (["list", [["@", 7]]], r"do not fit together"),
        (["array", ["<f8", [2], [8], True], 0], r"do not fit together"),
    ],
)
def test_a_snapshot_from_elsewhere_makes_nothing_but_the_projects_objects(table: Any, message: str) -> None:
    saved = Snapshot({"it": ["@", 0]}, [table], [])
    with pytest.raises(SnapshotError, match=message):
        restore(saved, {"it": Box()}, NAMES)


def test_a_root_of_another_kind_is_refused() -> None:
    with pytest.raises(SnapshotError, match="it: is of another kind than what was saved"):
        again(Box(), Slotted(1))
    with pytest.raises(SnapshotError, match="saved were it; here are other"):
        restore(snapshot({"it": Box()}, NAMES), {"other": Box()}, NAMES)


def test_given_things_are_not_followed_and_are_those_of_the_new_place() -> None:
    clock = Box(generator=(i for i in range(3)))
    saved = through_json(snapshot({"it": Box(clock=clock, shout=clock.shout)}, NAMES, {"clock": clock}))
    other = Box(word="other")
    twin = Box()
    restore(saved, {"it": twin}, NAMES, {"clock": other})
    assert twin.clock is other
    assert twin.shout() == "other!"


def test_large_constant_arrays_are_not_saved_where_the_twin_has_the_same() -> None:
    def images(first: float) -> Any:
        array = np.arange(20000.0)
        array[0] = first
        array.flags.writeable = False
        return array

    own, twin, other = (Box(one=images(n), two=images(n), rest=np.arange(3)) for n in (0, 0, 1))
    digests = Digests()
    digests.give(snapshot({"it": own}, NAMES, digests=digests).constants)
    saved = snapshot({"it": own}, NAMES, digests=digests)
    assert sum(array.nbytes for array in saved.arrays) < 100
    fresh = Digests()
    fresh.give(snapshot({"it": twin}, NAMES, digests=fresh).constants)
    kept = twin.one, twin.two
    restore(through_json(saved), {"it": twin}, NAMES, digests=fresh)
    assert twin.one is kept[0]
    assert twin.two is kept[1]
    wrong = Digests()
    wrong.give(snapshot({"it": other}, NAMES, digests=wrong).constants)
    with pytest.raises(SnapshotError, match=r"it\.one: was saved by its digest, and nothing built here is the same"):
        restore(through_json(saved), {"it": other}, NAMES, digests=wrong)


def test_an_array_that_may_still_be_written_to_is_always_saved() -> None:
    own = np.zeros(20000)
    view = own[:]
    view.flags.writeable = False
    digests = Digests()
    saved = snapshot({"it": Box(view=view)}, NAMES, digests=digests)
    assert saved.constants == []
    assert sum(array.nbytes for array in saved.arrays) == own.nbytes


def test_limits_of_many_channels_cost_nothing() -> None:
    spec = ChannelSpec([f"ch{i}" for i in range(3)], "V", *map(np.asarray, (0.0, 1.0, 0.1, 0.0)))
    twin = again(Box(spec=spec), Box()).spec
    assert twin.upper.strides == (0,)
    assert sum(array.nbytes for array in snapshot({"it": Box(spec=spec)}, NAMES).arrays) == 4 * 8


def test_the_same_graph_gives_the_same_snapshot() -> None:
    box = Box(a={"x", "y", "z"}, b=[np.arange(3), {"c": (1, 2)}])
    one, two = snapshot({"it": box}, NAMES), snapshot({"it": again(box, Box())}, NAMES)
    assert json.dumps(one.tree) == json.dumps(two.tree)
    assert all(np.array_equal(a, b) for a, b in zip(one.arrays, two.arrays, strict=True))
