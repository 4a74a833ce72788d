"""The twin: networks of believed optics trained without instruments, with the absorbers and optimizers of a bench's training."""

from labonn.twin.engine import Engine
from labonn.twin.imperfections import Imperfections
from labonn.twin.layers import Absorber, Convolution, Dense, Dropout, MaxPool, MeanPool, Relu, Sigmoid, Tanh
from labonn.twin.networks import CNN, Network, network
from labonn.twin.pictures import Part, Pictures
from labonn.twin.recipe import Method, Recipe
from labonn.twin.starts import start_weights
from labonn.twin.state import State, saved
from labonn.twin.training import Result, train

__all__ = [
    "CNN",
    "Absorber",
    "Convolution",
    "Dense",
    "Dropout",
    "Engine",
    "Imperfections",
    "MaxPool",
    "MeanPool",
    "Method",
    "Network",
    "Part",
    "Pictures",
    "Recipe",
    "Relu",
    "Result",
    "Sigmoid",
    "State",
    "Tanh",
    "network",
    "saved",
    "start_weights",
    "train",
]
