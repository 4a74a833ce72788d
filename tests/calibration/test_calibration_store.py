"""What is kept is what was measured, for ever, whoever else keeps something at the same time; what is damaged is not used."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labonn.calibration import Calibration, Coefficient, Store
from labonn.calibration.calibration import LightBefore
from labonn.calibration.content import content
from labonn.calibration.index import Index
from labonn.cli import main
from labonn.errors import CalibrationError

Made = Callable[..., Calibration]


def test_what_comes_back_is_what_was_kept(tmp_path: Path, calibration_like: Made) -> None:
    kept = calibration_like()
    loaded = Store(tmp_path).load(Store(tmp_path).save(kept))
    assert loaded == kept
    assert loaded.id == kept.id
    for name, coefficient in kept.coefficients.items():
        np.testing.assert_array_equal(loaded.values(name), coefficient.values)
        assert loaded.coefficients[name].unit == coefficient.unit
    assert loaded.check is not None
    assert kept.check is not None
    np.testing.assert_array_equal(loaded.check.banks["modulators"], kept.check.banks["modulators"])
    for name in ("channels", "parameters", "excluded", "conditions", "instruments", "wiring", "time", "expires", "parents", "world"):
        assert getattr(loaded, name) == getattr(kept, name), name
    np.testing.assert_array_equal(loaded.errors("bias"), np.full(3, 1e-2))


def test_what_a_drift_check_reads_before_absorbers_is_kept_and_without_it_nothing_says_so(tmp_path: Path, calibration_like: Made) -> None:
    plain = calibration_like()
    assert plain.check is not None
    light = LightBefore("taps", np.ones((2, 3)), np.zeros(3), np.full((2, 3), 0.7), np.array([0, 0, 1]))
    store, following = Store(tmp_path), replace(plain, check=replace(plain.check, before=light))
    loaded = store.load(store.save(following))
    assert loaded == following
    assert loaded.check is not None
    assert isinstance(loaded.check.before, LightBefore)
    assert loaded.check.before.detector == "taps"
    np.testing.assert_array_equal(loaded.check.before.steep, light.steep)
    assert b"before" in content(following)[0]
    assert b"before" not in content(plain)[0], "so that the id of one that was kept earlier is what it was"


def test_a_file_is_read_by_numpy_and_json_alone_and_named_by_the_hash_of_its_content(tmp_path: Path, calibration_like: Made) -> None:
    id = Store(tmp_path).save(calibration_like())
    with zipfile.ZipFile(tmp_path / f"{id}.npz") as archive:
        text = archive.read("calibration.json")
    assert hashlib.sha256(text).hexdigest()[:12] == id
    assert json.loads(text)["coefficients"]["v_pi"]["unit"] == "V"
    with np.load(tmp_path / f"{id}.npz", allow_pickle=False) as arrays:
        np.testing.assert_allclose(arrays["coefficients.v_pi.values"], [3.6, 3.7, 3.8])


@pytest.mark.parametrize(
    "change",
    [
        {"v_pi": 3.5000000001}, {"time": "2026-03-01T12:00:01Z"}, {"world": "x"}, {"conditions": {}}, {"parents": ("aa",)},
        {"check": None}, {"excluded": {}}, {"covariance": None}, {"instruments": {"modulators": "DAC 1", "outputs": "ADC 8"}},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_any_difference_is_another_id(calibration_like: Made, change: dict[str, Any]) -> None:
    assert calibration_like(**change).id != calibration_like().id
    assert calibration_like(**change) != calibration_like()


def test_the_id_depends_on_values_and_not_on_how_arrays_lie_in_memory(calibration_like: Made) -> None:
    values = np.array([3.6, 3.7, 3.8])
    one = calibration_like(coefficients={"v_pi": Coefficient(values, "V")})
    for other in (np.repeat(values, 2)[::2], values.astype(">f8")):
        assert calibration_like(coefficients={"v_pi": Coefficient(other, "V")}).id == one.id


def test_every_flipped_byte_of_the_content_is_noticed(tmp_path: Path, calibration_like: Made) -> None:
    kept = calibration_like()
    store = Store(tmp_path)
    path = tmp_path / f"{store.save(kept)}.npz"
    whole = path.read_bytes()
    noticed = 0
    for place in range(0, len(whole), 61):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        try:
            assert store.load(kept.id) == kept, "what is loaded is never something else"
        except CalibrationError as problem:
            assert "not used" in str(problem)  # noqa: PT017
            noticed += 1
    assert noticed > 0.5 * len(whole) / 61
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CalibrationError, match="corrupt"):
        store.load(kept.id)


def test_a_calibration_under_another_name_is_refused(tmp_path: Path, calibration_like: Made) -> None:
    store = Store(tmp_path)
    id = store.save(calibration_like())
    (tmp_path / f"{id}.npz").rename(tmp_path / "0123456789ab.npz")
    with pytest.raises(CalibrationError, match=f"its content is that of {id}, not of 0123456789ab; it is not used"):
        store.load("0123")


def test_an_array_that_was_exchanged_is_noticed_although_the_archive_is_whole(tmp_path: Path, calibration_like: Made) -> None:
    store = Store(tmp_path)
    id = store.save(calibration_like())
    path = tmp_path / f"{id}.npz"
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["coefficients.v_pi.values.npy"] = parts["coefficients.bias.values.npy"]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    with pytest.raises(CalibrationError, match=r"the hash of coefficients\.v_pi\.values is another one"):
        store.load(id)


def test_what_is_kept_is_never_overwritten(tmp_path: Path, calibration_like: Made) -> None:
    store, kept = Store(tmp_path), calibration_like()
    path = tmp_path / f"{store.save(kept)}.npz"
    before = path.stat().st_mtime_ns, path.read_bytes()
    store.save(kept)
    assert (path.stat().st_mtime_ns, path.read_bytes()) == before
    path.write_bytes(b"damaged")
    with pytest.raises(CalibrationError, match="corrupt"):
        store.save(kept)
    assert path.read_bytes() == b"damaged"
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    "bad", [np.array([object()]), {"x": float("nan")}, {1, 2}, np.array(["text"])], ids=["objects", "nan", "set", "text"]
)
def test_what_cannot_be_kept_is_refused(calibration_like: Made, bad: Any) -> None:
    with pytest.raises(CalibrationError, match="cannot be kept"):
        _ = calibration_like(conditions={"odd": bad}).id


@pytest.mark.parametrize(
    ("change", "told"), [({"time": "yesterday"}, "no UTC time"), ({"instruments": {"outputs": "A"}}, "identity of the port")]
)
def test_a_calibration_that_makes_no_sense_cannot_be_made(calibration_like: Made, change: dict[str, Any], told: str) -> None:
    with pytest.raises(CalibrationError, match=told):
        calibration_like(**change)


def test_the_last_one_kept_is_current_and_rollback_goes_back_step_by_step(tmp_path: Path, calibration_like: Made) -> None:
    store = Store(tmp_path)
    first, second, third = (calibration_like(v_pi=v) for v in (3.4, 3.5, 3.6))
    for one in (first, second, third):
        store.save(one)
    store.save(calibration_like(serial="DAC 2"))
    key = "modulators", "modulators", "DAC 1", ""
    assert store.current()[key] == third.id
    store = Store(tmp_path)
    store.save(replace(third, parents=("x",)), use=False)
    assert store.current()[key] == third.id
    store.use(first.id[:6])
    assert store.current()[key] == first.id
    other = tmp_path / "alone"
    alone = Store(other)
    for one in (first, second, third):
        alone.save(one)
    assert alone.rollback("modulators", "modulators") == (second, third)
    assert alone.rollback("modulators", "modulators") == (first, second)
    with pytest.raises(CalibrationError, match="is the only modulators calibration"):
        alone.rollback("modulators", "modulators")
    assert [entry.action for entry in alone.history()] == ["save"] * 3 + ["rollback"] * 2
    with pytest.raises(CalibrationError, match="no heaters calibration of modulators"):
        alone.rollback("modulators", "heaters")


def test_a_line_that_a_crash_cut_off_never_happened_and_the_next_one_is_whole(tmp_path: Path, calibration_like: Made) -> None:
    store = Store(tmp_path)
    kept = calibration_like()
    store.save(kept)
    index = tmp_path / "index.jsonl"
    index.write_bytes(index.read_bytes() + b'{"time": "2026-0')
    assert [entry.id for entry in store.history()] == [kept.id]
    store.save(calibration_like(v_pi=3.6))
    assert len(store.history()) == 2
    index.write_text(index.read_text() + "nonsense\n")
    with pytest.raises(CalibrationError, match="line 3 is not an entry"):
        store.history()


def test_calibrations_are_found_by_as_many_digits_as_tell_them_apart(tmp_path: Path, calibration_like: Made) -> None:
    store = Store(tmp_path)
    with pytest.raises(CalibrationError, match="no calibration is 'ab'"):
        store.load("ab")
    ids = sorted(store.save(calibration_like(v_pi=3 + i / 100)) for i in range(20))
    twins = next(a for a, b in pairwise(ids) if a[0] == b[0])
    with pytest.raises(CalibrationError, match="which calibration"):
        store.load(twins[0])
    assert store.load(twins[:11]).id == twins
    for wild in ("*", "../x", ""):
        with pytest.raises(CalibrationError):
            store.load(wild)


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from conftest import made
from labonn.calibration import Store
store = Store(Path(sys.argv[1]))
for i in range(20):
    store.save(made(v_pi=3.0 + i / 100))
    store.save(made(v_pi=4.0 + i / 100 + int(sys.argv[2])))
"""


@pytest.mark.slow
def test_processes_that_keep_the_same_and_others_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    here = str(Path(__file__).parent)
    running = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), str(i), here]) for i in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    store = Store(tmp_path)
    assert len(store.ids()) == 20 + 3 * 20
    assert len(store.history()) == 3 * 40
    for id in store.ids():
        store.load(id)
    assert not list(tmp_path.glob(".*"))


def test_who_holds_the_index_keeps_others_waiting(tmp_path: Path, calibration_like: Made) -> None:
    store = Store(tmp_path)
    store.save(calibration_like())
    code = "import sys; from pathlib import Path; from labonn.calibration.index import Index\n"
    code += "Index(Path(sys.argv[1])).append(('a', 'b', 'c', ''), 'x', 'use')"
    with Index(tmp_path).locked():
        waiting = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(1.0)
        assert len(store.history()) == 1
    assert waiting.wait(30) == 0
    assert len(store.history()) == 2


def told(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert main(["calibrations", *arguments]) == code
    seen = capsys.readouterr()
    assert (seen.err == "") == (code == 0)
    return seen.out if code == 0 else seen.err


def test_the_command_lists_shows_compares_and_chooses(tmp_path: Path, calibration_like: Made, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ("--calibrations", str(tmp_path / "cal"))
    assert "there are no calibrations" in " ".join(told(capsys, "list", *folder).split())
    store = Store(tmp_path / "cal")
    one, two = store.save(calibration_like()), store.save(calibration_like(v_pi=3.6, time="2026-03-02T12:00:00Z", expires=None))
    lines = told(capsys, "list", *folder).splitlines()
    assert lines[0].startswith(f"  {one}  2026-03-01T12:00:00Z  modulators modulators")
    assert lines[2].startswith(f"* {two}")
    shown = told(capsys, "show", one, *folder)
    for words in ("3.6 V to 3.8 V, median 3.7 V +- 10 mV", "left out b", "dead: blocked", "wavelength_nm", "5 fresh points", "DAC 1"):
        assert words in shown
    different = told(capsys, "diff", one, two, *folder)
    assert "expires: 2026-04-01T12:00:00Z -> None" in different
    assert "v_pi: rms 100 mV, largest 100 mV; rms 7.1 standard errors" in different
    assert "bias: rms 0 V" in different
    assert "they are the same" in told(capsys, "diff", one, one, *folder)
    assert one in told(capsys, "use", one[:8], *folder)
    assert [entry["current"] for entry in json.loads(told(capsys, "list", "--json", *folder))["calibrations"]] == [True, False]
    assert json.loads(told(capsys, "rollback", "modulators", "modulators", "--json", *folder))["instead_of"] == one
    values = json.loads(told(capsys, "show", two, "--json", *folder))
    assert values["coefficients"]["bias"] == {"values": [0.1, None, -0.2], "unit": "V", "errors": [0.01, 0.01, 0.01]}
    assert len(json.loads(told(capsys, "diff", one, two, "--json", *folder))["coefficients"]["v_pi"]) == 3
    missing = f"labonn: error: {tmp_path / 'cal'}: no calibration is 'zz'? see `labonn calibrations list`\n"
    assert told(capsys, "show", "zz", *folder, code=2) == missing


def test_a_damaged_one_is_listed_as_such_and_the_others_are_listed(tmp_path: Path, calibration_like: Made, capsys: Any) -> None:
    store = Store(tmp_path)
    one, two = store.save(calibration_like()), store.save(calibration_like(v_pi=3.6))
    (tmp_path / f"{one}.npz").write_bytes(b"PK")
    listed = told(capsys, "list", "--calibrations", str(tmp_path))
    assert f"* {two}" in listed
    assert f"! {tmp_path / one}.npz: corrupt" in " ".join(listed.split())
