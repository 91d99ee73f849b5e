"""The certificate of a newborn: how far its function is from its parent's on a calibration batch."""

from dataclasses import dataclass

import keras
import numpy as np

from nash_tf.keras_models.building import to_keras
from nash_tf.keras_models.compilation import compile_like
from nash_tf.keras_models.importing import from_keras
from nash_tf.keras_models.state import State, read_state, restoring, write_state

TOLERANCE = 1e-5  # of the largest output, for each morphism, in inference


class NotPreserved(ValueError):
    """A child does not compute what its parent does."""


@dataclass(frozen=True)
class Measured:
    """What a model computes on a batch, in inference and in training mode.

    Losses are those that Keras would report, regularisation included, and None without labels.
    """

    outputs: list[np.ndarray]
    loss: float | None
    training_outputs: list[np.ndarray]
    training_loss: float | None


def in_float32(model: keras.Model) -> keras.Model:
    """A copy of a model that computes in float32; the model itself where it does already."""
    if all(layer.compute_dtype in (None, "float32") for layer in model.layers):
        return model
    twin = to_keras(from_keras(model).in_float32())
    if getattr(model, "optimizer", None) is not None:
        compile_like(twin, model)
    write_state(twin, State(read_state(model).weights, {}))
    return twin


def measure(model: keras.Model, inputs, labels=None) -> Measured:
    """Runs a model on a batch in both modes, in float32, and leaves it as it was.

    Args:
        model: compiled, where labels are given.
        inputs: a batch of its inputs.
        labels: the same batch's targets, or None.
    """
    model = in_float32(model)
    inference, training = _pass(model, inputs, labels, False), _pass(model, inputs, labels, True)
    return Measured(*inference, *training)


def _pass(model: keras.Model, inputs, labels, training: bool) -> tuple[list[np.ndarray], float | None]:
    """Outputs and loss in one mode."""
    with restoring(model):
        for variable in model.variables:
            if "seed_generator_state" in variable.path:  # one draw of every dropout mask, for parent and child alike
                variable.assign(keras.ops.zeros_like(variable))
        outputs = model(inputs, training=training)
        loss = None
        if labels is not None:
            loss = float(model.compute_loss(x=inputs, y=labels, y_pred=outputs, training=training))
    return [np.asarray(keras.ops.cast(part, "float32")) for part in keras.tree.flatten(outputs)], loss


def certify(parent: Measured, child: Measured, morphisms: int, strict: bool = True) -> dict[str, float]:
    """Compares a child with its parent.

    Args:
        parent, child: measured on the same batch.
        morphisms: how many lie between them.
        strict: whether to raise beyond the bound.

    Returns:
        `max_difference` of the outputs in inference and the `bound` it keeps, `training_difference` of those in training
        mode, and, with labels, `loss_change` and `training_loss_change`, child minus parent: of the loss that training
        lowers, so that new kernels and copies show in it where weights are regularised.

    Raises:
        NotPreserved: the difference in inference passes the bound.
    """
    largest = max(float(np.max(np.abs(output))) for output in parent.outputs)
    bound = max(1, morphisms) * TOLERANCE * max(1.0, largest)
    found = {
        "max_difference": _difference(parent.outputs, child.outputs),
        "bound": bound,
        "training_difference": _difference(parent.training_outputs, child.training_outputs),
    }
    if strict and not found["max_difference"] <= bound:  # so that NaN is refused too
        raise NotPreserved(f"the outputs changed by {found['max_difference']:.3g}, more than {bound:.3g}")
    if parent.loss is not None and child.loss is not None:
        found["loss_change"] = child.loss - parent.loss
        found["training_loss_change"] = child.training_loss - parent.training_loss
    return found


def _difference(before: list[np.ndarray], after: list[np.ndarray]) -> float:
    return max(float(np.max(np.abs(new - old))) for old, new in zip(before, after, strict=True))
