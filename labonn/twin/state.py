"""The state of a training of the twin, which it goes on from, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from labonn.channels import Floats
from labonn.errors import ProcedureError
from labonn.optimizers import BY_NAME, AdamState
from labonn.twin.engine import Engine
from labonn.twin.recipe import Recipe
from labonn.twin.starts import start_weights

CURVES = ("train_loss", "train_accuracy", "validation_accuracy")


@dataclass
class State:
    """All that an epoch changes.

    Attributes:
        weights: (P,) now. optimizer: its state. best: (P,) of the best epoch, the first of equals. best_epoch: from 1; 0: none yet.
        curves: name (CURVES) -> one number an epoch. order, noise: random numbers of the images' order, and of imperfections and dropout.
        seconds: spent on epochs.
    """

    weights: Floats
    optimizer: Any
    best: Floats
    order: np.random.Generator
    noise: list[np.random.Generator]
    best_epoch: int = 0
    curves: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in CURVES})
    seconds: float = 0.0

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.curves["train_loss"])


def begin(recipe: Recipe, engine: Engine) -> State:
    """Before the first epoch."""
    weights = start_weights(engine.network, recipe.seed, recipe.start, engine.dtype, recipe.spread, recipe.centre)
    optimizer = BY_NAME[recipe.optimizer](recipe.learning_rate)
    return State(weights, optimizer.init([weights]), weights.copy(), np.random.default_rng([recipe.seed, 1]), engine.generators())


def saved(state: State) -> dict[str, Any]:
    """A state as plain values: arrays, numbers, lists and dictionaries of them; later epochs do not change them."""
    optimizer: Any = state.optimizer
    if isinstance(optimizer, AdamState):
        optimizer = {"step": optimizer.step, "first": optimizer.first[0].copy(), "second": optimizer.second[0].copy()}
    return {
        "weights": state.weights.copy(),
        "optimizer": optimizer,
        "best": state.best.copy(),
        "best_epoch": state.best_epoch,
        "curves": {name: list(curve) for name, curve in state.curves.items()},
        "order": state.order.bit_generator.state,
        "noise": [rng.bit_generator.state for rng in state.noise],
        "seconds": state.seconds,
    }


def restore(state: State, values: Mapping[str, Any]) -> None:
    """Put a state of the same network and recipe back to what was `saved`.

    Raises:
        ProcedureError: of another network or recipe.
    """
    was, optimizer = values["weights"], values["optimizer"]
    same = was.shape == state.weights.shape and was.dtype == state.weights.dtype and len(values["noise"]) == len(state.noise)
    if not same or isinstance(optimizer, Mapping) != isinstance(state.optimizer, AdamState):
        raise ProcedureError(f"the saved training has {was.shape} {was.dtype} weights and is not one of this network and recipe")
    np.copyto(state.weights, was)
    np.copyto(state.best, values["best"])
    if isinstance(state.optimizer, AdamState):
        for name, array in (("first", state.optimizer.first[0]), ("second", state.optimizer.second[0])):
            np.copyto(array, optimizer[name])
        state.optimizer = AdamState(optimizer["step"], state.optimizer.first, state.optimizer.second)
    else:
        state.optimizer = optimizer
    state.order.bit_generator.state = values["order"]
    for rng, kept in zip(state.noise, values["noise"], strict=True):
        rng.bit_generator.state = kept
    state.best_epoch, state.seconds = values["best_epoch"], values["seconds"]
    state.curves = {name: list(values["curves"][name]) for name in CURVES}
