"""How a training went, for a report: learning curves, metrics, the test, what was trained."""

from __future__ import annotations

from typing import Any

import numpy as np

from labonn.plotting import hardware_kinds, parameter_kinds, training_kinds
from labonn.plotting import parameters as drawn
from labonn.plotting.confusion import counts_of, draw_confusion
from labonn.plotting.examples import Tested, chosen
from labonn.plotting.history import History
from labonn.plotting.past import Past, number
from labonn.plotting.wanted import Wanted
from labonn.report.head import accuracy_words
from labonn.report.markup import Html, joined, paragraph, section, table, tag
from labonn.report.pictures import Pictures, bars, digit
from labonn.report.words import UNITS, label, value_of
from labonn.report.words import counts_of as counts_in

MOST_ROWS, MOST_PORTS = 16, 8
WIDE_MM = 190.0


def learned(past: Past, pictures: Pictures) -> Html:
    """Curves, and rows of metrics."""
    if training_kinds.no_learning(past):
        return Html("")
    figures = [pictures.figure("learning curves over the steps", lambda f: training_kinds.learning(f, past, Wanted()), 0.95)]
    against = "evaluations"
    figures.append(
        pictures.figure(f"the same against hardware {against}", lambda f: training_kinds.learning(f, past, Wanted(against)), 0.95)
    )
    if not training_kinds.no_gradient(past):
        figures.append(pictures.figure("the measured gradient and its error", lambda f: training_kinds.gradient(f, past, Wanted()), 0.85))
    if not training_kinds.no_neurons(past):
        caption = "neuron inputs of the test images on the absorber's curve"
        figures.append(pictures.figure(caption, lambda f: training_kinds.neurons(f, past, Wanted())))
    return section("How it learned", tag("div", joined(figures), class_="figures"), _metrics(past))


def _metrics(past: Past) -> Html:
    rows = past.rows
    if not rows:
        return Html("")
    names = list(dict.fromkeys(name for row in rows for name in row))
    places = np.unique(np.round(np.linspace(0, len(rows) - 1, MOST_ROWS)).astype(int))
    cells = [[_cell(name, rows[int(place)].get(name)) for name in names] for place in places]
    note = paragraph(f"{len(places)} of {len(rows):,} rows; all are in metrics.csv.", kind="soft") if len(places) < len(rows) else Html("")
    return joined((tag("h3", "Metrics"), table([_head(name) for name in names], cells, range(len(names))), note))


def _head(name: str) -> str:
    return f"{label(name)} (s)" if name.endswith("_s") else f"{label(name)} (%)" if name.endswith("accuracy") else label(name)


def _cell(name: str, value: Any) -> str:
    if isinstance(value, float) and name.endswith("accuracy"):
        return f"{100 * value:.1f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else "-" if value is None else str(value)


def result(past: Past) -> Html:
    """Everything that the procedure returned."""
    counts = counts_in(past.result.get("data"))
    test = training_kinds.test_of(past)
    if test is not None:
        counts["test"] = len(test.labels) + test.left_out
    plain = [[label(name), value_of(name, value, counts)] for name, value in past.result.items() if not isinstance(value, dict)]
    tables = [_nested(name, value) for name, value in past.result.items() if isinstance(value, dict)]
    return section("Result", table(("", ""), plain), *tables) if plain or tables else Html("")


def _nested(name: str, value: dict[str, Any]) -> Html:
    """A table of things with the same numbers each, or of names and values."""
    if value and all(isinstance(one, dict) for one in value.values()):
        names = list(dict.fromkeys(key for one in value.values() for key in one))
        rows = [[key, *(value_of("", one.get(inner), {}) for inner in names)] for key, one in value.items()]
        heads = [f"{label(inner)} ({UNITS[inner]})" if inner in UNITS else label(inner) for inner in names]
        return joined((tag("h3", label(name)), table(("", *heads), rows, range(1, len(names) + 1))))
    return joined((tag("h3", label(name)), table(("", ""), [[key, value_of(key, one, {})] for key, one in value.items()])))


def tested(past: Past, pictures: Pictures) -> Html:
    """Confusion matrix, and digits that were read right and wrong."""
    test = training_kinds.test_of(past)
    if test is None:
        there = training_kinds.no_learning(past) == ""
        return section("Test", paragraph(f"There is no test: {training_kinds.NO_TEST}.", kind="soft")) if there else Html("")
    counts = counts_of(test.outputs, test.labels)
    figure = pictures.figure("confusion matrix of the test images", lambda f: draw_confusion(f.subplots(), counts, 6.5), 0.82)
    right = int(np.trace(counts))
    total = len(test.labels) + test.left_out
    words = [f"{right:,} of {total:,} test images were read right: {accuracy_words(past)} (one standard error, binomial)."]
    words += [f"Outputs of {test.left_out} of them were no numbers."] if test.left_out else []
    told = number(past.result.get("test_accuracy"))
    if np.isfinite(told) and abs(told - test.accuracy) > 1e-6:
        words.append(f"The result says {100 * told:.1f} %, which test.npz does not.")
    return section("Test", paragraph(" ".join(words)), tag("div", figure, _worst(counts), class_="figures"), _digits(test))


def _worst(counts: Any) -> Html:
    """Classes by share, and what they are taken for."""
    rows = []
    for k, row in enumerate(counts):
        if row.sum():
            others = np.where(np.arange(len(row)) == k, 0, row)
            taken = f"{int(others.argmax())} ({int(others.max())})" if others.max() else "-"
            rows.append([k, f"{int(row.sum()):,}", f"{100 * row[k] / row.sum():.1f}", taken])
    return tag("div", table(("class", "images", "right (%)", "most often taken for"), rows, (0, 1, 2)))


def _digits(test: Tested) -> Html:
    if test.images is None:
        return paragraph("The test images are not in the folder (a run of an older labonn).", kind="soft")
    right, wrong = chosen(test)
    leads = test.leads
    middle = f"{float(np.median(leads)):.3g}"
    groups = [joined((tag("h3", title), tag("div", joined(_digit(test, int(one), leads) for one in which), class_="digits")))
              for title, which in (("Read right", right), ("Read wrong", wrong)) if len(which)]  # fmt: skip
    note = f"From the surest to the least sure; sure is by how much the largest output leads the next (median of all images: {middle})."
    return joined((*groups, paragraph(note, kind="soft")))


def _digit(test: Tested, one: int, leads: Any) -> Html:
    assert test.images is not None
    is_, read = int(test.labels[one]), int(test.read[one])
    words = f"{is_} read as {read}"
    top = f"{read}: {test.outputs[one, read]:.3g}" + ("" if read == is_ else f", {is_}: {test.outputs[one, is_]:.3g}")
    shown = (digit(test.images[one], f"test image {one}, {words}"), bars(test.outputs[one], is_, read))
    return tag("div", *shown, tag("b", words), tag("span", top), tag("span", f"lead {leads[one]:.3g}"))


def trained(past: Past, pictures: Pictures) -> Html:
    """Weights as images, or theta over the chip, with histograms."""
    figures = list[Html]()
    for name in parameter_kinds.newest_maps(past):
        wanted = Wanted(part=name)
        caption = f"{name} over the chip, last on record: a coupler is on both of its ports, light comes from the left"
        figures.append(pictures.figure(caption, lambda f, w=wanted: parameter_kinds.chip_map(f, past, w), 0.5, WIDE_MM))  # type: ignore[misc]
    layers = drawn.layers_of(past.arrays("weights"))
    test = training_kinds.test_of(past)
    shape = None if test is None or test.images is None else test.images.shape[1:]
    if layers and shape is not None and layers[0].shape[1] == shape[0] * shape[1]:
        caption = "weights of the first layer, neuron by neuron, as the image sees them; those with the largest first"
        figures.append(pictures.figure(caption, lambda f: drawn.draw_neurons_weights(f.subplots(), layers[0], shape), 0.22, WIDE_MM))
    if layers:
        figures.append(pictures.figure("weights of the layers, best epoch", lambda f: parameter_kinds.weights(f, past, Wanted()), 0.6))
    if not parameter_kinds.no_parameters(past):
        figures.append(
            pictures.figure("histogram of what was trained; limits dotted", lambda f: parameter_kinds.parameters(f, past, Wanted()), 0.6)
        )
    return section("What was trained", tag("div", joined(figures), class_="figures")) if any(figures) else Html("")


def driven(past: Past, pictures: Pictures, found: dict[str, History], margins: Html) -> Html:
    """What ports did over the run."""
    figures = list[Html]()
    moved = {name: one for name, one in found.items() if not one.detector and len(one.steps) > 1}
    if moved:
        shown = dict(list(moved.items())[:MOST_PORTS])
        aspect = 0.2 * len(shown) + 0.2
        caption = "what actuators were set to (band: all channels, line: mean), limits dotted"
        figures.append(pictures.figure(caption, lambda f: hardware_kinds.draw_ports(f, past, shown, past.hardware, Wanted()), aspect))
    if not hardware_kinds.no_histograms(past):
        aspect = 0.28 * hardware_kinds.detector_rows(past, Wanted()) + 0.25
        caption = "newest readings of the detectors; orange: at the end of the range"
        figures.append(pictures.figure(caption, lambda f: hardware_kinds.detectors(f, past, Wanted()), aspect))
    if not hardware_kinds.no_temperatures(past):
        figures.append(pictures.figure("temperatures at every report", lambda f: hardware_kinds.temperatures(f, past, Wanted()), 0.55))
    content = tag("div", joined(figures), class_="figures") if any(figures) else Html("")
    return section("What the hardware did", margins, content)
