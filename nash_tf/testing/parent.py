"""A network that operators are put to, and what it and its children compute."""

from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from nash_tf.architecture import Architecture
from nash_tf.keras_models.calibration import node_outputs, on_own_statistics
from nash_tf.keras_models.state import read_state, restoring
from nash_tf.morphisms.edit import Key


class Parent:
    """A network to put operators to, and what it computes. Made once, it serves any number of operators.

    Args:
        model: a functional `keras.Model` whose inputs all have one shape.
        batch: a batch of any one of its inputs; by default 8 normal images.
    """

    def __init__(self, model: keras.Model, batch: Any = None) -> None:
        self.architecture = Architecture.from_keras(model)
        shape = self.architecture[self.architecture.inputs[0]].shape
        if batch is None:
            batch = np.random.default_rng(0).normal(size=(8, *(8 if side is None else side for side in shape)))
        self.batch = np.asarray(batch, np.float32)
        self.model = model
        self.weights = read_state(model).weights

    @cached_property
    def outputs(self) -> list[np.ndarray]:
        return arrays(forward(self.model, self.architecture, self.batch))

    @cached_property
    def is_settled(self) -> bool:
        """Whether its weights are such as its constraints keep, as after any step."""
        settled = constrained(self.model, self.architecture, self.batch)
        return all(np.allclose(one, two, 1e-4, 1e-5) for one, two in zip(settled, self.outputs, strict=True))

    @cached_property
    def training_outputs(self) -> list[np.ndarray]:
        return arrays(forward(self.model, self.architecture, self.batch, training=True))

    @cached_property
    def targets(self) -> list[np.ndarray]:
        rng = np.random.default_rng(1)
        return [rng.normal(size=output.shape).astype(np.float32) for output in self.outputs]

    @cached_property
    def gradients(self) -> dict[Key, np.ndarray]:
        return gradients_of(self.model, self.architecture, self.batch, self.targets)[1]

    @cached_property
    def is_alive(self) -> bool:
        """Whether each of its own kernels has a gradient, more than rounding; behind a dead one a new part is dead too."""
        largest = max((float(np.max(np.abs(value))) for value in self.gradients.values()), default=0.0)
        kernels = [value for (_, name), value in self.gradients.items() if "kernel" in name]
        return all(np.max(np.abs(value)) > 1e-5 * largest for value in kernels)


def arrays(tensors) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(tensor) for tensor in tensors]


def forward(model, architecture: Architecture, batch, training: bool = False) -> list:
    """The outputs; in training mode batch normalisations use the batch's statistics, and noise stays off."""
    normalise = on_own_statistics if training else None
    with restoring(model):
        values = node_outputs(model, architecture, [batch] * len(architecture.inputs), normalise)
    return [values[name] for name in architecture.outputs]


def constrained(model, architecture: Architecture, batch) -> list[np.ndarray]:
    """The outputs after an optimiser's step at rate 0, which puts each weight through its constraint."""
    with restoring(model):
        for variable in trained_variables(model).values():
            if variable.constraint is not None:
                variable.assign(variable.constraint(variable))
        return arrays(forward(model, architecture, batch))


def trained_variables(model) -> dict[Key, keras.Variable]:
    return {(layer.name, variable.name): variable for layer in model.layers for variable in layer.trainable_variables}


def gradients_of(model, architecture, batch, targets, sign: float = 1.0):
    """Outputs, and by variable the gradient of a loss that is a fixed random mixture of them, plain and squared."""
    variables = trained_variables(model)
    with tf.GradientTape() as tape:
        outputs = forward(model, architecture, batch)
        losses = [tf.reduce_mean(target * out + 0.1 * out**2) for out, target in zip(outputs, targets, strict=True)]
        loss = sign * tf.add_n(losses)
    found = tape.gradient(loss, [variable.value for variable in variables.values()], unconnected_gradients="zero")
    return arrays(outputs), dict(zip(variables, arrays(found), strict=True))
