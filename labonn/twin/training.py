"""Training of the twin: mini-batches, validation, best epoch, test."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from labonn.channels import Floats
from labonn.errors import ProcedureError
from labonn.optimizers import BY_NAME
from labonn.shots import Ints
from labonn.twin.engine import Engine
from labonn.twin.networks import Network
from labonn.twin.pictures import Part, Pictures
from labonn.twin.recipe import Recipe
from labonn.twin.state import CURVES, State, begin, restore


@dataclass(frozen=True)
class Result:
    """What a training has reached.

    Attributes:
        network, recipe: of what. weights: (P,) of the best epoch (`Network.split`). best_epoch: from 1.
        test_accuracy: of the best epoch's weights on the test half. test_error: its binomial standard deviation. test_images: how many.
        curves: name (CURVES) -> (epochs,). seconds: of all epochs.
    """

    network: Network
    recipe: Recipe
    weights: Floats
    best_epoch: int
    test_accuracy: float
    test_error: float
    test_images: int
    curves: Mapping[str, Floats]
    seconds: float


Watcher = Callable[[State], None]


def train(
    network: Network,
    pictures: Pictures,
    recipe: Recipe,
    *,
    values: Mapping[str, Any] | None = None,
    on_epoch: Watcher | None = None,
    threads: int = 1,
    part: int | None = None,
    dtype: DTypeLike = np.float32,
) -> Result:
    """Train, pick the epoch of the best validation accuracy, test it.

    Same arguments, same result to the last bit on one kind of machine, whatever `threads`.

    Args:
        values: of labonn.twin.state.saved, to go on from. on_epoch: called after each epoch; what it is given is changed by the next.
        threads: that share the parts of a mini-batch; BLAS itself has one. part: images of a part (labonn.twin.engine).

    Raises:
        ProcedureError: images that do not fit the network, or a training whose loss is no longer a number.
    """
    from threadpoolctl import threadpool_limits  # a look at all loaded libraries, which only a training needs

    pictures.check(network)
    batch = min(recipe.batch, len(pictures.train.labels))
    with threadpool_limits(1, user_api="blas"), Engine(network, recipe.method, recipe.seed, batch, part, threads, dtype) as engine:
        state = begin(recipe, engine)
        if values is not None:
            restore(state, values)
        while state.epoch < recipe.epochs:
            train_epoch(engine, pictures, recipe, state)
            if on_epoch:
                on_epoch(state)
        accuracy = right(engine, state.best, pictures.test)
    error = math.sqrt(accuracy * (1 - accuracy) / len(pictures.test.labels))
    curves = {name: np.array(curve) for name, curve in state.curves.items()}
    count = len(pictures.test.labels)
    return Result(network, recipe, state.best.copy(), state.best_epoch, accuracy, error, count, curves, state.seconds)


def train_epoch(engine: Engine, pictures: Pictures, recipe: Recipe, state: State) -> None:
    """All training images once, in random order, then the validation images."""
    start = time.perf_counter()
    loss, hits = one_pass(engine, pictures.train, recipe, state, state.order.permutation(len(pictures.train.labels)))
    if not math.isfinite(loss):
        raise ProcedureError(f"epoch {state.epoch + 1}: the loss is {loss}; a smaller learning rate may help")
    accuracy = right(engine, state.weights, pictures.validation)
    if accuracy > max(state.curves["validation_accuracy"], default=-1.0):
        state.best_epoch = state.epoch + 1
        np.copyto(state.best, state.weights)
    for name, value in zip(CURVES, (loss, hits, accuracy), strict=True):
        state.curves[name].append(value)
    state.seconds += time.perf_counter() - start


def one_pass(engine: Engine, images: Part, recipe: Recipe, state: State, order: Ints) -> tuple[float, float]:
    """(mean loss, accuracy) of the images `order`, each measured before its mini-batch's step."""
    optimizer, params = BY_NAME[recipe.optimizer](recipe.learning_rate), [state.weights]
    weights, loss, hits = engine.network.split(state.weights), 0.0, 0
    for start in range(0, len(order), recipe.batch):
        found = engine.gradient(weights, images.images, images.labels, order[start : start + recipe.batch])
        params, state.optimizer = optimizer.update([found.flat], state.optimizer, params)
        loss, hits = loss + found.loss, hits + found.hits
    return loss / len(order), hits / len(order)


def right(engine: Engine, weights: Floats, images: Part) -> float:
    """Share of images whose largest output is that of their class."""
    outputs = engine.outputs(engine.network.split(weights), images.images)
    return float(np.mean(outputs.argmax(axis=1) == images.labels))
