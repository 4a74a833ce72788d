"""A training of the twin from plain settings."""

from __future__ import annotations

from typing import Any

from labonn.data import load, picked
from labonn.errors import ProcedureError
from labonn.runs import Run
from labonn.sweeps import Task
from labonn.twin import Absorber, Imperfections, MaxPool, MeanPool, Method, Pictures, Recipe, Relu, Sigmoid, State, Tanh, network, train
from labonn.twin.derivatives import random_curve
from labonn.twin.layers import Layer
from labonn.twin.pictures import Part

METHOD = ("loss", "error", "white")
OTHERS = ("data", "network", "activation", "pool", "derivative", "imperfections", "limit", "pixels")
DIGITAL: dict[str, type[Layer]] = {"relu": Relu, "tanh": Tanh, "sigmoid": Sigmoid}
POOLS: dict[str | None, Layer | None] = {None: None, "mean": MeanPool(), "max": MaxPool()}


def trained(task: Task, run: Run) -> tuple[dict[str, Any], dict[str, Any]]:
    """(result, arrays of the best weights by layer); each epoch is a row of the run's metrics."""
    settings, seed = dict(task.job.settings), task.job.seed
    net = network(settings["network"], activation(settings["activation"]), POOLS[settings.get("pool")])
    data = load(task.job.places["data"])
    pictures = Pictures.of(picked(data, settings["pixels"]) if "pixels" in settings else data, seed)
    if settings.get("limit"):
        limit = settings["limit"]
        pictures = Pictures(Part(pictures.train.images[:limit], pictures.train.labels[:limit]), pictures.validation, pictures.test)
    recipe = Recipe(method=method(settings), seed=seed, **{k: v for k, v in settings.items() if k not in (*METHOD, *OTHERS)})

    def told(state: State) -> None:
        row = {name: values[-1] for name, values in state.curves.items()}
        run.metrics({"epoch": state.epoch, **row})
        task.tell(state.epoch / recipe.epochs, f"epoch {state.epoch} of {recipe.epochs}, {row['validation_accuracy']:.1%}")

    found = train(net, pictures, recipe, on_epoch=told)
    counts = {name: len(getattr(pictures, name).labels) for name in ("train", "validation", "test")}
    best = float(found.curves["validation_accuracy"][found.best_epoch - 1])
    result = {"test_accuracy": found.test_accuracy, "validation_accuracy": best, "best_epoch": found.best_epoch, "images": counts}
    weights = {f"weights{i}": w for i, w in enumerate((w for w in net.split(found.weights) if w is not None), start=1)}
    return result, weights


def activation(words: list[Any]) -> Layer:
    """Of ["absorber", depth, cell], ["relu"], ["tanh"] or ["sigmoid"].

    Raises:
        ProcedureError: it is none of these.
    """
    name, *numbers = words
    if name == "absorber":
        return Absorber(*numbers)
    if name not in DIGITAL or numbers:
        raise ProcedureError(f"activation {words}: absorber with its depth, {', '.join(DIGITAL)}")
    return DIGITAL[name]()


def method(settings: dict[str, Any]) -> Method:
    """How gradients are made."""
    chosen = settings.get("derivative", "optical")
    derivative = chosen if isinstance(chosen, str) else random_curve(int(chosen[1]))
    flaws = Imperfections(**settings.get("imperfections", {}))
    return Method(derivative, imperfections=flaws, **{name: settings[name] for name in METHOD if name in settings})
