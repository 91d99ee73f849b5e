"""The random generators of a model's layers, e.g. of dropout: else a model that is trained on would differ from one loaded anew."""

import warnings
from collections.abc import Sequence

import keras
import numpy as np

from nash_tf.seeds import derive


def seed_layers(model: keras.Model, seed: int) -> None:
    """Sets the generators by a seed."""
    for number, generator in enumerate(_generators(model)):
        generator.assign([derive(seed, number), 0])


def read_layers(model: keras.Model) -> list[list[int]]:
    """The states of the generators, two numbers each."""
    return [np.asarray(state).tolist() for state in _generators(model)]


def write_layers(model: keras.Model, states: Sequence[Sequence[int]]) -> None:
    """The inverse. Where there are other generators, as in another version of Keras, none is set."""
    generators = _generators(model)
    if len(states) != len(generators):
        warnings.warn(
            f"expected the states of {len(generators)} random generators, received {len(states)}", stacklevel=2
        )
        return
    for generator, state in zip(generators, states, strict=True):
        generator.assign(state)


def _generators(model: keras.Model) -> list[keras.Variable]:
    return [variable for variable in model.variables if variable.name == "seed_generator_state"]
