"""labonn plot: files of the right size, with fonts in them, the same for the same run; and what it refuses."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from small_runs import small_run

from labonn.cli import main
from labonn.plotting.kinds import KINDS

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return small_run(tmp_path / "runs")


def plot(*arguments: object) -> int:
    return main(["plot", *map(str, arguments)])


def test_a_pdf_has_the_wanted_size_and_its_fonts_in_it_as_outlines_that_stay_text(run: Path) -> None:
    assert plot("latest", "--what", "learning", "--width", "85mm", "--height", "6cm", "-o", "f.pdf") == 0
    pdf = Path("f.pdf").read_bytes()
    box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", pdf)
    assert box is not None
    assert [float(side) / 72 * 25.4 for side in box.groups()] == pytest.approx([85, 60], abs=0.01)
    assert b"/FontFile2" in pdf
    assert b"/Subtype /CIDFontType2" in pdf
    assert b"/Type3" not in pdf
    assert b"/CreationDate" not in pdf


def test_text_of_an_svg_is_text(run: Path) -> None:
    assert plot(run, "--what", "confusion", "-o", "f.svg") == 0
    words = {"".join(text.itertext()) for text in ET.parse("f.svg").getroot().iter(f"{SVG}text")}
    assert {"read as", "class", "% of the class"} <= words


@pytest.mark.parametrize("form", ["pdf", "svg", "png"])
def test_the_same_run_gives_the_same_bytes(run: Path, form: str) -> None:
    for name in "ab":
        assert plot(run, "--what", "accuracy", "-o", f"{name}.{form}") == 0
    assert Path(f"a.{form}").read_bytes() == Path(f"b.{form}").read_bytes()


def test_it_gives_the_same_bytes_in_another_process_at_another_place(run: Path) -> None:
    assert plot(run, "--what", "accuracy", "-o", "a.pdf") == 0
    command = [sys.executable, "-m", "labonn.cli", "plot", str(run), "--what", "accuracy", "-o", "b.pdf"]
    subprocess.run(command, check=True, env={"PYTHONHASHSEED": "12345", "TZ": "Asia/Tokyo"}, timeout=60)
    assert Path("a.pdf").read_bytes() == Path("b.pdf").read_bytes()


def test_a_png_has_as_many_pixels_as_its_width_and_dpi_say(run: Path) -> None:
    assert plot(run, "--what", "accuracy", "--width", "double", "--dpi", "100", "--style", "slide", "-o", "f.png") == 0
    head = Path("f.png").read_bytes()[:24]
    assert int.from_bytes(head[16:20], "big") == int(178 / 25.4 * 100)


def test_means_over_seeds_and_runs_side_by_side_are_drawn(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = small_run(run.parent, "20260101T120001Z-train_vapour_cell", seed=1)
    assert plot(run, other, "--mean", "-o", "mean.svg") == 0
    assert plot(run, other, "--what", "loss", "--log", "--against", "epochs", "--style", "gray", "-o", "both.svg") == 0
    assert plot(run, other, "--what", "confusion", "-o", "none.svg") == 2
    assert "confusion is a figure of one run, 2 are given" in capsys.readouterr().err
    assert "mean of 2 runs" in Path("mean.svg").read_text(encoding="utf-8")
    assert "seed 1" in Path("both.svg").read_text(encoding="utf-8")


def test_the_list_tells_every_kind_and_what_a_run_lacks(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert plot("--what", "list") == 0
    everything = capsys.readouterr().out
    assert plot("latest", "--what", "list") == 0
    ours = capsys.readouterr().out.splitlines()
    assert all(re.search(rf"^  {name} ", everything, re.MULTILINE) for name in KINDS)
    assert any(line.startswith("* confusion") for line in ours)
    assert any(line.startswith("- map") for line in ours)
    assert any("only trainings of chips keep one" in line for line in ours)
    assert max(map(len, ours)) <= 100


def test_a_name_with_dollars_markup_and_letters_no_font_has_is_text(run: Path) -> None:
    other = small_run(run.parent, "20260101T120001Z-x", options={"data": "$x^2$ <script>alert(1)</script> \U00012345 %"})
    assert plot(run, other, "-o", "f.svg") == 0
    assert plot(run, other, "-o", "f.pdf") == 0
    words = " ".join("".join(text.itertext()) for text in ET.parse("f.svg").getroot().iter(f"{SVG}text"))
    assert "$x^2$ <script>alert(1)</script>" in words
    assert not list(ET.parse("f.svg").getroot().iter(f"{SVG}script"))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["latest", "--what", "confusoin"], "no figure is called so; did you mean confusion?"),
        (["latest", "--what", "map"], "no map of a chip is on record"),
        (["latest", "-o", "f.jpg"], "ends in .pdf, .svg or .png"),
        (["latest", "-o", "nowhere/f.pdf"], "nowhere/f.pdf: cannot be written: No such file or directory"),
        (["nothing"], "no run is called so"),
        ([], "a figure of which run?"),
        (["latest", "--width", "wide"], "is no length; single"),
        (["latest", "--height", "2mm"], "2 mm is outside 20 to 1000 mm"),
        (["latest", "--width", "20mm", "--height", "20mm", "--font-size", "30"], "too small for its labels"),
        (["latest", "--font-size", "200"], "--font-size 200: is outside 4 to 40"),
        (["latest", "--dpi", "0"], "--dpi 0: is outside 30 to 2400"),
        (["latest", "--against", "bench-time"], "is not known against bench-time; try another --against"),
        (["latest", "latest"], "this run is given twice; it would count twice"),
        (["latest", "--what", "outputs", "--image", "99"], "its test has images 0 to 9"),
        (["latest", "--stile", "gray"], "did you mean --style?"),
    ],
)
def test_what_cannot_be_drawn_is_told_in_one_line_and_leaves_no_file(
    run: Path, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = set(run.parent.parent.rglob("*"))
    assert plot(*arguments) == 2
    message = capsys.readouterr().err
    assert told in message
    assert message.count("\n") == 1
    assert set(run.parent.parent.rglob("*")) == before
