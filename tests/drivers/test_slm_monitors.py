"""The right monitor: outputs told by xrandr and by the kernel, joined with SDL's monitors, chosen by index, name or EDID."""

from __future__ import annotations

import importlib.util
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from drivers import sdl, slm_monitors
from drivers.sdl import Monitor
from drivers.slm_edid import parse_edid
from drivers.slm_monitors import Output, attached, check_native, chosen, monitors, outputs_of_drm, outputs_of_xrandr
from labonn.errors import ConnectError

_spec = importlib.util.spec_from_file_location("edids", Path(__file__).with_name("test_slm_edid.py"))
edids = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(edids)

PLUTO = parse_edid(edids.edid())
TWIN = replace(PLUTO, serial="6010-0043", number=5013)
DESK = Monitor(0, 'DELL ST2320L 23"', (1080, 1920), (0, 0), "DP-1", parse_edid(edids.DELL))
SLM = Monitor(1, "HOLOEYE PLUTO", (1080, 1920), (1920, 0), "HDMI-1", PLUTO)
SLM2 = Monitor(2, "HOLOEYE PLUTO", (1080, 1920), (3840, 0), "HDMI-2", TWIN)
ALL = [DESK, SLM, SLM2]


def hexed(data):
    text = data.hex()
    return "\tEDID: \n" + "".join(f"\t\t{text[i : i + 32]}\n" for i in range(0, len(text), 32))


XRANDR = (
    "Screen 0: minimum 320 x 200, current 3840 x 1080, maximum 16384 x 16384\n"
    "DP-1 connected primary 1920x1080+0+0 (normal left inverted right x axis y axis) 509mm x 286mm\n"
    + hexed(edids.DELL)
    + "\tBroadcast RGB: Automatic \n\t\tsupported: Automatic, Full\n"
    + "   1920x1080     60.00*+  50.00\n   1280x1024     75.02\n"
    + "VGA-1 disconnected (normal left inverted right x axis y axis)\n"
    + "DP-2 connected (normal left inverted right x axis y axis)\n"
    + hexed(edids.edid(number=1))
    + "HDMI-1 connected 1920x1080+1920+0 (normal left inverted right x axis y axis) 15mm x 8mm\n"
    + "\tnon-desktop: 0\n"
    + hexed(edids.edid() + bytes(128))
    + "   1920x1080     60.00*+\n"
)


def test_xrandr_tells_connectors_in_use_with_place_and_edid():
    dell, pluto = outputs_of_xrandr(XRANDR)
    assert dell == Output("DP-1", parse_edid(edids.DELL), (1080, 1920), (0, 0))
    assert pluto == Output("HDMI-1", PLUTO, (1080, 1920), (1920, 0))


def test_an_output_without_an_edid_or_with_a_damaged_one_is_still_an_output():
    text = "HDMI-1 connected 800x600+0+0\n\tEDID: \n\t\t00ffff\nHDMI-2 connected 800x600+800+-5\n"
    assert outputs_of_xrandr(text) == [Output("HDMI-1", None, (600, 800), (0, 0)), Output("HDMI-2", None, (600, 800), (800, -5))]


@pytest.mark.parametrize("text", ["", "\n\n", "\tEDID: \n\t\t00ff\n", "usage: xrandr [options]\n"])
def test_nothing_useful_is_no_output(text):
    assert outputs_of_xrandr(text) == []


def test_the_kernel_tells_connectors_in_use_with_their_edid(tmp_path):
    connectors = {"card0-HDMI-A-1": ("connected", edids.edid()), "card0-DP-1": ("disconnected", b""), "card1-DP-2": ("connected", b"")}
    for name, (status, edid) in connectors.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "status").write_text(status + "\n")
        (tmp_path / name / "edid").write_bytes(edid)
    (tmp_path / "card0-eDP-1").mkdir()
    (tmp_path / "card0-eDP-1" / "status").write_text("connected\n")
    assert outputs_of_drm(tmp_path) == [Output("HDMI-A-1", PLUTO), Output("DP-2", None)]
    assert outputs_of_drm(tmp_path / "none") == []


def bare(monitor):
    return replace(monitor, connector="", edid=None)


def test_monitors_and_outputs_meet_by_their_place_on_the_desktop():
    assert attached([bare(DESK), bare(SLM)], outputs_of_xrandr(XRANDR)) == [DESK, SLM]


def test_without_places_they_meet_by_connector_or_by_the_name_in_the_edid():
    by_name = replace(bare(SLM), name="HDMI-1")
    assert attached([by_name], [Output("HDMI-A-1", PLUTO)]) == [replace(by_name, connector="HDMI-A-1", edid=PLUTO)]
    assert attached([bare(DESK)], [Output("DP-1", DESK.edid)]) == [DESK]


def test_twins_that_cannot_be_told_apart_get_no_edid_at_all():
    twins = [bare(SLM), bare(SLM2)]
    assert attached(twins, [Output("HDMI-A-1", PLUTO), Output("HDMI-A-2", TWIN)]) == twins
    assert attached(twins, [Output("HDMI-A-1", PLUTO)]) == twins


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("2", SLM2), ("HDMI-1", SLM), ("hdmi-1", SLM), ("HDMI-A-2", SLM2), ('DELL ST2320L 23"', DESK), ("DELL ST2320L", DESK),
        ("edid:DELL", DESK), ("edid:pluto,6010-0043", SLM2), ("edid:HOL,5012", SLM), ("edid: holoeye , 6010-0042", SLM),
    ],
)  # fmt: skip
def test_a_monitor_is_chosen_by_index_name_connector_or_edid(wanted, found):
    assert chosen(ALL, wanted) is found


def test_on_a_system_that_tells_no_edid_its_words_are_looked_for_in_the_name():
    windows = [Monitor(0, "DELL ST2320L", (1080, 1920), (0, 0)), Monitor(1, "HOLOEYE", (1080, 1920), (1920, 0))]
    assert chosen(windows, "edid:holoeye") is windows[1]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("edid:HOLOEYE", "monitor://edid:HOLOEYE: more than one monitor has an EDID with 'HOLOEYE'"),
        ("HOLOEYE PLUTO", "more than one monitor is called 'HOLOEYE PLUTO'"),
        ("edid:Hamamatsu", "no monitor has an EDID with 'Hamamatsu'"),
        ("edid:", "no monitor has an EDID with ''"),
        ("edid:HOLOEYE,", "no monitor has"),
        ("7", "no monitor is called '7'"),
        ("-1", "no monitor is called '-1'"),
    ],
)
def test_none_or_several_are_refused_with_all_that_there_are(wanted, words):
    with pytest.raises(ConnectError) as caught:
        chosen(ALL, wanted)
    assert words in str(caught.value)
    for m in ALL:
        assert f'{m.index}: "{m.name}" on {m.connector} 1080 x 1920 at {m.position}, EDID {m.edid}' in str(caught.value)


def test_a_monitor_that_mirrors_another_is_refused():
    mirror = replace(SLM, position=(1000, 500))
    with pytest.raises(ConnectError, match="show the same part of the desktop"):
        chosen([DESK, mirror], "HDMI-1")
    assert chosen([DESK, SLM], "HDMI-1") is SLM


def test_a_monitor_at_another_than_its_native_size_is_refused_with_both():
    check_native(SLM)
    check_native(bare(SLM))
    check_native(replace(SLM, edid=replace(PLUTO, size=None)))
    with pytest.raises(ConnectError, match="has 1080 x 1920 pixels of its own by its EDID, but the desktop gives it 768 x 1024; set"):
        check_native(replace(SLM, size=(768, 1024)))


def test_on_x11_xrandr_is_asked_without_probing_and_the_kernel_if_it_is_absent(monkeypatch, mocker, tmp_path):
    monkeypatch.setattr(sdl, "monitors", lambda: [bare(DESK), bare(SLM)])
    monkeypatch.setattr(sdl, "video_driver", lambda: "x11")
    run = mocker.patch.object(slm_monitors.subprocess, "run", return_value=mocker.Mock(stdout=XRANDR))
    assert monitors() == [DESK, SLM]
    assert run.call_args.args[0] == ["xrandr", "--current", "--props"]
    assert run.call_args.kwargs["timeout"] <= 5
    (tmp_path / "card0-DP-1").mkdir()
    (tmp_path / "card0-DP-1" / "status").write_text("connected")
    (tmp_path / "card0-DP-1" / "edid").write_bytes(edids.DELL)
    monkeypatch.setattr(slm_monitors, "DRM", tmp_path)
    for problem in (FileNotFoundError("xrandr"), subprocess.TimeoutExpired("xrandr", 5), subprocess.CalledProcessError(1, "xrandr")):
        run.side_effect = problem
        assert monitors() == [DESK, bare(SLM)]


def test_elsewhere_nothing_is_asked(monkeypatch, mocker):
    monkeypatch.setattr(sdl, "monitors", lambda: [bare(DESK)])
    monkeypatch.setattr(sdl, "video_driver", lambda: "windows")
    run = mocker.patch.object(slm_monitors.subprocess, "run")
    assert monitors() == [bare(DESK)]
    run.assert_not_called()
