"""Figures of a training: learning curves, the gradient, the test, the neurons; `no_…` says why not."""

from __future__ import annotations

from typing import Any

from labonn.errors import LabonnError
from labonn.plotting.confusion import counts_of, draw_confusion
from labonn.plotting.courses import axis_of, courses, scaled
from labonn.plotting.examples import Tested, chosen, draw_examples, draw_image, draw_outputs, tested
from labonn.plotting.learning import draw_courses, draw_gradient, words
from labonn.plotting.look import ink, whole_numbers
from labonn.plotting.neurons import Neurons, draw_neurons
from labonn.plotting.past import Past
from labonn.plotting.wanted import Wanted

NO_TEST = "it has no test.npz with outputs and labels; trainings write it when they finish"


def no_loss(past: Past) -> str:
    """Why not."""
    return "" if courses(past, "loss", "steps") else "no loss is on record"


def no_accuracy(past: Past) -> str:
    """Why not."""
    return "" if courses(past, "accuracy", "steps") else "no accuracy is on record"


def no_learning(past: Past) -> str:
    """Why not."""
    return no_loss(past) and no_accuracy(past) and "neither loss nor accuracy is on record"


def learning(figure: Any, past: Past, wanted: Wanted) -> None:
    """Loss over accuracy, or what there is of them."""
    if no_loss(past) or no_accuracy(past):
        (accuracy if no_loss(past) else loss)(figure, past, wanted)
        return
    above, below = figure.subplots(2, 1, sharex=True)
    _courses(above, past, wanted, "loss", labelled=False)
    _courses(below, past, wanted, "accuracy")


def loss(figure: Any, past: Past, wanted: Wanted) -> None:
    """Losses of steps and reports."""
    _courses(figure.subplots(), past, wanted, "loss")


def accuracy(figure: Any, past: Past, wanted: Wanted) -> None:
    """Accuracies of steps and reports."""
    _courses(figure.subplots(), past, wanted, "accuracy")


def _courses(axes: Any, past: Past, wanted: Wanted, ending: str, labelled: bool = True) -> None:
    found = courses(past, ending, wanted.against)
    if not found:
        raise LabonnError(f"{past.folder}: its {ending} is not known against {wanted.against}; try another --against")
    factor, label = scaled([one.x for one in found], axis_of(past, wanted.against).label)
    percent = ending == "accuracy"
    draw_courses(axes, found, factor, percent, wanted.log and not percent)
    only = f"{words(found[0].name)} {ending}" if len(found) == 1 and found[0].every == "report" else ending
    axes.set_ylabel(f"{only} (%)" if percent else only)
    if labelled:
        axes.set_xlabel(label)
        if label in ("step", "epoch"):
            whole_numbers(axes.xaxis)


def no_gradient(past: Past) -> str:
    """Why not."""
    return "" if courses(past, "gradient_rms", "steps") else "its gradient is not on record (only chips measure one with its error)"


def gradient(figure: Any, past: Past, wanted: Wanted) -> None:
    """Gradient and error; below the cosine where it is known."""
    found = {}
    for name in ("gradient_rms", "standard_error_rms", "gradient_cosine"):
        for one in courses(past, name, wanted.against)[:1]:
            found[name] = one
    factor, label = scaled([one.x for one in found.values()], axis_of(past, wanted.against).label)
    if "gradient_cosine" in found:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    else:
        above, below = figure.subplots(), None
    draw_gradient(above, below, found, factor)
    (below or above).set_xlabel(label)


def test_of(past: Past) -> Tested | None:
    """Its test, if it has one."""
    return tested(past.arrays("test"))


def no_test(past: Past) -> str:
    """Why not."""
    return "" if test_of(past) is not None else NO_TEST


def no_images(past: Past) -> str:
    """Why not."""
    test = test_of(past)
    return NO_TEST if test is None else "" if test.images is not None else "its test.npz has no images (of an older labonn)"


def confusion(figure: Any, past: Past, wanted: Wanted) -> None:
    """Of the test images."""
    test = _test(past)
    small = 0.62 * figure.get_size_inches()[0] * 72 / (2.6 * test.outputs.shape[1])
    draw_confusion(figure.subplots(), counts_of(test.outputs, test.labels), fontsize=min(8.0, max(4.0, small)))


def outputs(figure: Any, past: Past, wanted: Wanted) -> None:
    """Of one image, beside it."""
    test = _test(past)
    if not 0 <= wanted.image < len(test.labels):
        raise LabonnError(f"{past.folder}: --image {wanted.image}: its test has images 0 to {len(test.labels) - 1}")
    if test.images is None:
        right = figure.subplots()
    else:
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.6))
        draw_image(left, test.images[wanted.image])
    draw_outputs(right, test.outputs[wanted.image], int(test.labels[wanted.image]))


def examples(figure: Any, past: Past, wanted: Wanted) -> None:
    """Right ones above wrong ones."""
    test = _test(past)
    draw_examples(figure, test, [which for which in chosen(test) if len(which)])


def _test(past: Past) -> Tested:
    found = test_of(past)
    if found is None:
        raise LabonnError(f"{past.folder}: {NO_TEST}")
    return found


def no_neurons(past: Past) -> str:
    """Why not."""
    kept = Neurons.kept(past.arrays("test"))
    return "" if kept is not None else "no neuron inputs are kept (only by train_vapour_cell, when it finishes)"


def neurons(figure: Any, past: Past, wanted: Wanted) -> None:
    """As the test images gave them."""
    kept = Neurons.kept(past.arrays("test"))
    assert kept is not None
    draw_neurons(figure.subplots(), kept, ink(), lw=1.2)
