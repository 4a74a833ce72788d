"""Bench files: every mistake is told with file, key, value and what is allowed; all of them at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from drivers.stream_adc import StreamAdc
from labonn.benchfile import dataclass_from, parse, read
from labonn.errors import BenchFileError
from procedures.benches import vapour_cell

ADC = '[ports.out]\ndriver = "stream_adc"\nlink = "zmq://127.0.0.1:5570"\nrole = "trigger"\nchannels = 4\n'
DAC = '[ports.input]\ndriver = "stream_dac"\nlink = "zmq://127.0.0.1:5571"\nchannels = 8\n'


def problems(text: str) -> list[str]:
    with pytest.raises(BenchFileError) as caught:
        parse(text, "lab.toml")
    return str(caught.value).splitlines()


def test_a_good_file_is_ports_with_drivers_links_limits_and_options() -> None:
    text = ADC + DAC + 'upper = "4.0 V"\nlower = [0, 0, 0, 0, 0, 0, 0, "-100 mV"]\n'
    text += '[nominal]\ncell = "eq4"\n[simulation]\nbench = "vapour_cell"\n'
    file = parse(text, "lab.toml")
    assert (file.name, file.text, list(file.ports)) == ("lab.toml", text, ["out", "input"])
    out, dac = file.ports["out"], file.ports["input"]
    assert (out.driver, out.driver_name, out.role, out.links) == (StreamAdc, "stream_adc", "trigger", ("zmq://127.0.0.1:5570",))
    assert (out.options.channels, out.options.bits) == (4, 16)
    assert dac.limits("V", 8, "lab.toml") == ([0, 0, 0, 0, 0, 0, 0, -0.1], [4.0] * 8)
    assert out.limits("V", 4, "lab.toml") == (None, None)
    assert file.nominal == {"cell": "eq4"}
    assert file.simulation == {"bench": "vapour_cell"}


def test_a_port_may_have_a_list_of_links() -> None:
    file = parse(ADC + DAC.replace('"zmq://127.0.0.1:5571"', '["zmq://127.0.0.1:1", "zmq://127.0.0.1:2"]'), "lab.toml")
    assert file.ports["input"].links == ("zmq://127.0.0.1:1", "zmq://127.0.0.1:2")


def test_a_whole_number_will_do_for_a_float() -> None:
    assert parse(ADC + "full_scale_v = 5\n", "lab.toml").ports["out"].options.full_scale_v == 5.0


@pytest.mark.parametrize("sizes", [[784, 128, 128, 10], [49, 10], [20, 8, 6, 4]])
def test_the_bench_files_that_are_shipped_and_made_are_good(sizes: list[int]) -> None:
    assert "weights1" in parse(vapour_cell(sizes), "made.toml").ports


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (ADC + "chanels = 8\n", "lab.toml: ports.out.chanels = 8: unknown key; did you mean 'channels'?"),
        (ADC + "colour = 3\n", "lab.toml: ports.out.colour = 3: unknown key; allowed are driver, link, lower, upper, role, reconnect, "
         "slew, channels, bits, full_scale_v, depth"),
        (ADC + "[simulations]\nseed = 3\n", "lab.toml: simulations = {'seed': 3}: unknown key; did you mean 'simulation'?"),
        (ADC + "[zzz]\n", "lab.toml: zzz = {}: unknown key; allowed are bench, ports, nominal, simulation, limits, interlocks, guardian"),
        (ADC.replace("= 4", '= "4"'), "lab.toml: ports.out.channels = '4': Input should be a valid integer"),
        (ADC.replace("= 4", "= true"), "lab.toml: ports.out.channels = True: Input should be a valid integer"),
        (ADC.replace("= 4", "= 4.0"), "lab.toml: ports.out.channels = 4.0: Input should be a valid integer"),
        (ADC.replace("= 4", "= [4]"), "lab.toml: ports.out.channels = [4]: Input should be a valid integer"),
        (ADC.replace("= 4", "= 2024-01-01"), "lab.toml: ports.out.channels = '2024-01-01': Input should be a valid integer"),
        (ADC.replace("channels = 4", ""), "lab.toml: ports.out.channels: Field required"),
        (ADC.replace("= 4", "= 0"), "lab.toml: ports.out: channels = 0: at least 1"),
        (ADC + "bits = 3\n", "lab.toml: ports.out: bits = 3: 4 to 16, or 32 or 64 for floats"),
        (ADC + "full_scale_v = nan\n", "lab.toml: ports.out: full_scale_v = nan, depth = 1048576: must be positive, and finite"),
        (ADC + "full_scale_v = inf\n", "lab.toml: ports.out: full_scale_v = inf, depth = 1048576: must be positive, and finite"),
        (ADC + 'full_scale_v = "5 V"\n', "lab.toml: ports.out.full_scale_v = '5 V': Input should be a valid number"),
        (ADC + DAC + "settle_s = -1.0\n", "lab.toml: ports.input: settle_s = -1: must not be negative, and finite"),
        (ADC + DAC + "settle_s = inf\n", "lab.toml: ports.input: settle_s = inf: must not be negative, and finite"),
        (ADC + "[ports.x]\nlink = 'a://b'\n", "lab.toml: ports.x.driver: the name of a driver is wanted (labonn.drivers entry point), "
         "not None"),
        (ADC + "[ports.x]\ndriver = 3\n", "lab.toml: ports.x.driver: the name of a driver is wanted (labonn.drivers entry point), not 3"),
        (ADC.replace("stream_adc", "stream_adcc"), "lab.toml: ports.out.driver: no driver is called 'stream_adcc'; did you mean "
         "'stream_adc' or 'stream_dac'?"),
        (ADC.replace("5570", "5570/").replace("zmq://", ""), "lab.toml: ports.out.link: one URL or a list of them is wanted, such as "
         "\"serial:///dev/ttyUSB0\", not '127.0.0.1:5570/'"),
        (ADC.replace('"zmq://127.0.0.1:5570"', "[]"), "lab.toml: ports.out.link: one URL or a list of them is wanted, such as "
         '"serial:///dev/ttyUSB0", not []'),
        (ADC.replace('"trigger"', '"triger"') + ADC.replace("ports.out", "ports.tap"),
         "lab.toml: ports.out.role: 'triger' is not \"trigger\", the only role there is"),
        (ADC + ADC.replace("ports.out", "ports.tap"), "lab.toml: exactly one port must have role = \"trigger\", not 2 ['out', 'tap']"),
        (ADC.replace('role = "trigger"\n', ""), 'lab.toml: exactly one port must have role = "trigger", not 0; these can: out'),
        (ADC + "upper = true\n", 'lab.toml: ports.out.upper = True: a quantity such as "4.0 V" or a number is wanted, or one a channel'),
        (ADC + "lower = [1, {}]\n", 'lab.toml: ports.out.lower = [1, {}]: a quantity such as "4.0 V" or a number is wanted, '
         "or one a channel"),
        ("", "lab.toml: ports: a bench needs at least one [ports.NAME] table"),
        ("[ports]\n", "lab.toml: ports: a bench needs at least one [ports.NAME] table"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_file_key_value_and_what_is_allowed(text: str, line: str) -> None:
    assert problems(text) == [line]


@pytest.mark.parametrize("text", [ADC + "ports.x = = 3", ADC + "channels = 5", ADC + '"open'])
def test_what_is_not_toml_is_told_with_its_line(text: str) -> None:
    with pytest.raises(BenchFileError, match=r"lab\.toml: not TOML: .* \(at (line 6, column|end of document)"):
        parse(text, "lab.toml")


def test_all_mistakes_are_told_at_once_one_a_line() -> None:
    text = (
        'bnech = 3\n[ports.out]\ndriver = "stream_adc"\nlink = 7\nrole = "triggr"\nchanels = 4\nbits = "many"\nupper = {}\n'
        '[ports.input]\ndriver = "no_such"\n[ports.tap]\ndriver = "stream_adc"\nlink = "zmq://h:1"\n'
    )
    assert problems(text) == [
        "lab.toml: bnech = 3: unknown key; did you mean 'bench'?",
        "lab.toml: ports.out.chanels = 4: unknown key; did you mean 'channels'?",
        'lab.toml: ports.out.link: one URL or a list of them is wanted, such as "serial:///dev/ttyUSB0", not 7',
        "lab.toml: ports.out.role: 'triggr' is not \"trigger\", the only role there is",
        'lab.toml: ports.out.upper = {}: a quantity such as "4.0 V" or a number is wanted, or one a channel',
        "lab.toml: ports.out.bits = 'many': Input should be a valid integer",
        problems('[ports.input]\ndriver = "no_such"\n' + ADC)[0],
        "lab.toml: ports.tap.channels: Field required",
        'lab.toml: exactly one port must have role = "trigger", not 0',
    ]


def test_an_unknown_driver_without_a_near_one_is_answered_with_all() -> None:
    (line,) = problems(ADC.replace("stream_adc", "zzz"))
    assert line.startswith("lab.toml: ports.out.driver: no driver is called 'zzz'; registered are: ")
    assert "qontrol" in line
    assert "stream_adc" in line


@pytest.mark.parametrize("key", ["bench", "ports", "nominal", "simulation"])
def test_a_value_where_a_table_is_wanted_is_told(key: str) -> None:
    assert f"lab.toml: {key}: a table is wanted, not 3" in problems(f"{key} = 3\n" + ("" if key == "ports" else ADC))


def test_a_port_that_is_no_table_is_told() -> None:
    assert "lab.toml: ports.x: a table is wanted, not 3" in problems("[ports]\nx = 3\n")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ('"4 A"', r"lab\.toml: ports\.input\.upper: '4 A' is in 'A', not in V"),
        ('"four"', r"ports\.input\.upper: 'four' is not a number with a unit; write for instance \"1\.5 V\""),
        ("nan", r"ports\.input\.upper: nan is not finite"),
        ("[1.0, 2.0]", r"ports\.input\.upper: 2 values for 8 channels; give one, or one a channel"),
    ],
)
def test_a_limit_that_is_no_quantity_of_the_ports_unit_is_told(value: str, words: str) -> None:
    port = parse(ADC + DAC + f"upper = {value}\n", "lab.toml").ports["input"]
    with pytest.raises(BenchFileError, match=words):
        port.limits("V", 8, "lab.toml")


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(BenchFileError, match=r"none\.toml: no such bench file"):
        read(tmp_path / "none.toml")
    with pytest.raises(BenchFileError, match=r"cannot be read: .*Is a directory"):
        read(tmp_path)
    (tmp_path / "latin.toml").write_bytes('comment = "µ"'.encode("latin-1"))
    with pytest.raises(BenchFileError, match=r"latin\.toml: cannot be read: 'utf-8' codec"):
        read(tmp_path / "latin.toml")


def test_a_file_is_named_in_messages_without_its_folder(tmp_path: Path) -> None:
    (tmp_path / "lab.toml").write_text("x = 3\n" + ADC)
    with pytest.raises(BenchFileError, match=r"^lab\.toml: x = 3: unknown key"):
        read(tmp_path / "lab.toml")


@dataclass(frozen=True)
class Cell:
    """A settings table."""

    depth: float
    shape: tuple[int, int] = (1, 2)
    name: str | None = None

    def __post_init__(self) -> None:
        if self.depth < 0:
            raise ValueError(f"depth = {self.depth:g}: not negative")


def test_a_settings_table_becomes_its_dataclass() -> None:
    assert dataclass_from(Cell, {"depth": 3, "shape": [4, 5]}, "lab.toml: simulation.cell") == Cell(3.0, (4, 5))


@pytest.mark.parametrize(
    ("table", "lines"),
    [
        ({"depht": 3}, ["lab.toml: simulation.cell.depht = 3: unknown key; did you mean 'depth'?"]),
        ({"depth": -1}, ["lab.toml: simulation.cell: depth = -1: not negative"]),
        ({"depth": "3"}, ["lab.toml: simulation.cell.depth = '3': Input should be a valid number"]),
        ({}, ["lab.toml: simulation.cell.depth: Field required"]),
        (
            {"depth": [1], "shape": [4, 5.5], "name": 3, "width": 9},
            [
                "lab.toml: simulation.cell.width = 9: unknown key; did you mean 'depth'?",
                "lab.toml: simulation.cell.depth = [1]: Input should be a valid number",
                "lab.toml: simulation.cell.shape.1 = 5.5: Input should be a valid integer",
                "lab.toml: simulation.cell.name = 3: Input should be a valid string",
            ],
        ),
    ],
)
def test_a_wrong_settings_table_is_told_line_by_line(table: dict[str, Any], lines: list[str]) -> None:
    with pytest.raises(BenchFileError) as caught:
        dataclass_from(Cell, table, "lab.toml: simulation.cell")
    assert str(caught.value).splitlines() == lines
