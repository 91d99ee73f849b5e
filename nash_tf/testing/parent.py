"""A parent for the checks of operators, and measurements of it and its children."""

from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from nash_tf.architecture import Architecture
from nash_tf.keras_models.calibration import (
    in_inference,
    inside_on_own_statistics,
    node_outputs,
    on_own_statistics,
)
from nash_tf.keras_models.graph_calls import operations
from nash_tf.keras_models.state import read_state, restoring
from nash_tf.keras_models.variables import variables as named_variables
from nash_tf.morphisms.weight_transfer import Key
from nash_tf.surgery.certificate import moved_by_rounding


class Parent:
    """A network on which operators are checked. What it computes is measured once and used for all operators.

    Args:
        model: a functional `keras.Model` whose inputs all have one shape.
        batch: a batch that every input gets; by default 8 images of normal noise.

    Raises:
        ValueError: the model cannot be represented as an architecture, or the batch is not one array that fits its inputs.
    """

    def __init__(self, model: keras.Model, batch: Any = None) -> None:
        self.architecture = Architecture.from_keras(model)
        shape = self.architecture[self.architecture.inputs[0]].shape
        if batch is None:
            batch = np.random.default_rng(0).normal(size=(8, *(8 if side is None else side for side in shape)))
        self.batch = _checked(batch, shape)
        self.model = model
        self.weights = read_state(model).weights

    @cached_property
    def outputs(self) -> list[np.ndarray]:
        """Outputs in inference."""
        return arrays(forward(self.model, self.architecture, self.batch))

    @cached_property
    def rounding(self) -> float:
        """How far rounding alone moves its outputs; see `nash_tf.certificate.rounding`."""
        return moved_by_rounding(self.model, lambda: arrays(forward(self.model, self.architecture, self.batch)))

    @cached_property
    def is_settled(self) -> bool:
        """Whether its constraints leave its weights unchanged, as after any optimiser step."""
        settled = constrained(self.model, self.architecture, self.batch)
        return all(np.allclose(one, two, 1e-4, 1e-5) for one, two in zip(settled, self.outputs, strict=True))

    @cached_property
    def training_outputs(self) -> list[np.ndarray]:
        """Outputs in training mode."""
        return arrays(forward(self.model, self.architecture, self.batch, training=True))

    @cached_property
    def targets(self) -> list[np.ndarray]:
        """Random targets of the outputs, for the loss of `gradients_of`."""
        rng = np.random.default_rng(1)
        return [rng.normal(size=output.shape).astype(np.float32) for output in self.outputs]

    @cached_property
    def gradients(self) -> dict[Key, np.ndarray]:
        """The gradient of each trained variable; see `gradients_of`."""
        return gradients_of(self.model, self.architecture, self.batch, self.targets)[1]

    @cached_property
    def is_alive(self) -> bool:
        """Whether each of its kernels has a gradient above rounding; behind a dead kernel new parts are dead too."""
        largest = max((float(np.max(np.abs(value))) for value in self.gradients.values()), default=0.0)
        kernels = [value for (_, name), value in self.gradients.items() if "kernel" in name]
        return all(np.max(np.abs(value)) > 1e-5 * largest for value in kernels)


def _checked(batch: Any, shape: tuple[int | None, ...]) -> np.ndarray:
    """A calibration batch as an array; an error where it does not fit inputs of this shape."""
    try:
        array = np.asarray(batch, np.float32)
    except (TypeError, ValueError):  # of several shapes, or not of numbers
        received = type(batch).__name__
    else:
        sizes = array.shape[1:]
        if array.ndim == len(shape) + 1 and all(map(_fits, shape, sizes)) and len(array):
            return array
        received = f"{type(batch).__name__} of shape {array.shape}"
    wanted = ("batch", *shape)
    raise ValueError(
        f"calibration must be one batch of inputs, without labels, of shape {wanted}; received a {received}"
    )


def _fits(wanted: int | None, size: int) -> bool:
    return wanted in (None, size)


def arrays(tensors) -> list[np.ndarray]:
    """Tensors as NumPy arrays."""
    return [keras.ops.convert_to_numpy(tensor) for tensor in tensors]


def forward(model, architecture: Architecture, batch, training: bool = False) -> list:
    """Outputs of a model; with `training`, batch normalisations use the batch's statistics, those inside other layers too, but noise stays
    off."""
    run = on_own_statistics if training else in_inference
    with restoring(model), inside_on_own_statistics(operations(model).values() if training else ()):
        values = node_outputs(model, architecture, [batch] * len(architecture.inputs), run)
    return [values[name] for name in architecture.outputs]


def constrained(model, architecture: Architecture, batch) -> list[np.ndarray]:
    """Outputs of a model after an optimiser step with learning rate 0, which applies the constraint of each weight."""
    with restoring(model):
        for variable in trained_variables(model).values():
            if variable.constraint is not None:
                variable.assign(variable.constraint(variable))
        return arrays(forward(model, architecture, batch))


def trained_variables(model) -> dict[Key, keras.Variable]:
    """The trained variables of a model by layer and name."""
    trained = {id(variable) for variable in model.trainable_variables}
    return {
        (layer.name, name): variable
        for layer in model.layers
        for name, variable in named_variables(layer).items()
        if id(variable) in trained
    }


def check_shapes(outputs, before, mode: str) -> None:
    """Checks that outputs are shaped as before, without which they could not be compared; AssertionError where they are not."""
    for one, two in zip(outputs, before, strict=True):
        if tuple(one.shape) != tuple(two.shape):
            raise AssertionError(f"{mode} an output has the shape {tuple(one.shape)}, it had {tuple(two.shape)}")


def gradients_of(model, architecture, batch, targets, sign: float = 1.0):
    """Outputs of a model, and by variable the gradient of a loss.

    The loss is `sign` times the sum over all outputs of mean(target * output + 0.1 * output ** 2).
    """
    variables = trained_variables(model)
    with tf.GradientTape() as tape:
        outputs = forward(model, architecture, batch)
        check_shapes(outputs, targets, "in inference")
        losses = [tf.reduce_mean(target * out + 0.1 * out**2) for out, target in zip(outputs, targets, strict=True)]
        loss = sign * tf.add_n(losses)
    gradients = tape.gradient(loss, [variable.value for variable in variables.values()], unconnected_gradients="zero")
    return arrays(outputs), dict(zip(variables, arrays(gradients), strict=True))
