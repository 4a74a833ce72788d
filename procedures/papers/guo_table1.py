"""Table 1: training with noise, uneven modes and few bits, 784-128-10, alpha0 = 10."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labonn.plotting.files import new_figure
from labonn.plotting.look import Look
from labonn.reproduce import Choices, Row
from labonn.reproduce.experiment import Found
from labonn.sweeps import Job
from procedures.papers import guo, guo_fig3
from procedures.papers.guo_points import draw_lines, legend_over, told
from procedures.papers.guo_reading import accuracies
from procedures.papers.guo_trainings import TWIN, few, in_twin, mnist, off, on_bench, reached

SOURCE = f"{guo.PAPER}, Table 1"
NETWORK, DEPTH = "784-128-10", 10.0
FIXED = (0.5, 2.0, 1.0)  # full scales of weights, activations and errors where they are fixed


@dataclass(frozen=True)
class Line:
    """A line of the table: what it is called, its imperfections, the paper's accuracy with its error."""

    told: str
    paper: tuple[float, float]
    noise: float = 0.0
    deviation: float = 0.0
    bits: int | None = None


LINES = {
    "ideal": Line("no imperfection", (97.3, 0.1)),
    "noise5": Line("noise 5 %", (96.7, 0.2), noise=0.05),
    "noise10": Line("noise 10 %", (95.8, 0.3), noise=0.10),
    "deviation5": Line("deviation 5 %", (97.1, 0.3), deviation=0.05),
    "deviation10": Line("deviation 10 %", (97.1, 0.1), deviation=0.10),
    "deviation20": Line("deviation 20 %", (97.1, 0.3), deviation=0.20),
    "bits8": Line("8 bits", (96.0, 0.4), bits=8),
    "bits6": Line("6 bits", (93.5, 0.8), bits=6),
    "all": Line("noise 5 %, deviation 10 %, 8 bits", (96.1, 0.2), 0.05, 0.10, 8),
}
SMALL: dict[str, Any] = {"start": "normal", "spread": guo_fig3.SMALL}
GROUPS = {"bench": "drivers", "twin": "twin", "small": "twin, small start", "fixed": "twin, fixed full scales"}
QUICK = ("ideal", "noise10", "bits6", "all")


def lines(choices: Choices) -> dict[str, Line]:
    """Those that are done."""
    return {case: line for case, line in LINES.items() if not choices.quick or case in QUICK}


def cases(choices: Choices) -> dict[str, list[Job]]:
    """Through the drivers; in the twin; in the twin from the small start of guo-fig3; in the twin, few bits with fixed full scales too."""
    found = {f"bench {case}": _bench(choices, line) for case, line in lines(choices).items()}
    found |= {f"twin {case}": _twin(choices, line) for case, line in lines(choices).items()}
    if not choices.quick:
        found |= {f"twin {case} small": _twin(choices, line, **SMALL) for case, line in lines(choices).items()}
    return found | {f"twin {case} fixed": _twin(choices, line, FIXED) for case, line in lines(choices).items() if line.bits}


def _twin(choices: Choices, line: Line, full_scale: tuple[float, ...] | None = None, **start: Any) -> list[Job]:
    images = mnist(choices)
    flaws: dict[str, Any] = {name: getattr(line, name) for name in ("noise", "deviation", "bits") if getattr(line, name)}
    if full_scale is not None:
        flaws["full_scale"] = list(full_scale)
    title = f"{SOURCE}: {line.told}{', fixed full scales' if full_scale else ''}{', small start' if start else ''}"
    more: dict[str, Any] = {**start, **({"imperfections": flaws} if flaws else {})}
    return in_twin(images, title, NETWORK, ["absorber", DEPTH], choices.numbers, guo.epochs(choices), **more)


def _bench(choices: Choices, line: Line) -> list[Job]:
    """Without imperfections they are the jobs of Fig. 3."""
    flaws = [f"modes.{name}={getattr(line, name):g}" for name in ("noise", "deviation") if getattr(line, name)]
    more = {**({"simulate": flaws} if flaws else {}), **({} if line.bits is None else {"bits": line.bits})}
    seeds = few(choices, "bench_seeds") if more else choices.numbers
    images, epochs = mnist(choices), guo.epochs(choices)
    title = f"{SOURCE}: {line.told}, drivers"
    return on_bench(images, title, [128], seeds, epochs, epoch_s=4.5, optical_depth=DEPTH, derivative="optical", **more)


def rows(choices: Choices, found: Found) -> list[Row]:
    """Lines of the table through the drivers, then in the twin."""
    images, epochs, table = mnist(choices), guo.epochs(choices), list[Row]()
    for group, words in GROUPS.items():
        for case, line in lines(choices).items():
            if (group == "fixed" and not line.bits) or (group == "small" and choices.quick):
                continue
            outcomes = found.get(_case(group, case), ())
            by = f"drivers, ideal bench{'' if case == 'ideal' else ' with these imperfections'}" if group == "bench" else TWIN
            remark = f"full scales fixed: weights {FIXED[0]:g}, fields {FIXED[1]:g}, errors {FIXED[2]:g}" if group == "fixed" else ""
            table.append(
                reached(f"{line.told}, {words}", outcomes, images, epochs, by, paper=line.paper[0], paper_sd=line.paper[1], remark=remark)
            )
    return table


def _case(group: str, case: str) -> str:
    return f"twin {case} {group}" if group in ("fixed", "small") else f"{group} {case}"


def notes(choices: Choices, found: Found) -> list[str]:
    """What each imperfection costs against the same network without; what the paper leaves open."""
    said = []
    for group in ("bench", "twin", "small"):
        ideal = found.get(_case(group, "ideal"), ())
        lost = {line.told: off(found.get(_case(group, case), ()), ideal) for case, line in lines(choices).items() if case != "ideal"}
        words = "; ".join(f"{what} {told(points)}" for what, points in lost.items() if points)
        if words:
            said.append(f"Points of accuracy against the same seeds without imperfections, {GROUPS[group]}: {words}.")
    if not choices.quick:
        said.append(
            "From the start that App. A.4 states the network without imperfections is below the paper's already (guo-fig3); small start: "
            f"N(0, {guo_fig3.SMALL:g})."
        )
    said.append(
        "Noise and deviation act on activations and errors as App. D says; in validation and test, activations have them too. Few bits: "
        "the paper does not say of which range. The twin rounds to each layer's largest magnitude at that moment, as with gains that "
        f"follow the signal, or to fixed full scales (weights {FIXED[0]:g}, fields {FIXED[1]:g}, errors {FIXED[2]:g}). On the bench, SLMs "
        "show weights as parts of a path gain that follows them, and detectors have ranges that follow the light."
    )
    return said


def figure(choices: Choices, found: Found, look: Look) -> Any:
    """The table as lines: drivers, twin, twin from the small start, twin with fixed full scales, paper."""
    made = new_figure(look, 0.65)
    axes = made.subplots()
    some = lines(choices)
    drawn = {group: words for group, words in GROUPS.items() if not (choices.quick and group == "small")}
    groups = {words: [accuracies(found.get(_case(group, case), ())) for case in some] for group, words in drawn.items()}
    draw_lines(axes, [line.told for line in some.values()], groups, () if choices.quick else [line.paper for line in some.values()])
    axes.set(xlabel="test accuracy (%)")
    legend_over(axes, 5)
    return made
