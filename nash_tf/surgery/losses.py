"""The loss of a model on labels."""

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from nash_tf.keras_models import private_api


def loss_of(model: keras.Model, inputs: Any, labels: Any, outputs: Any, training: bool) -> Any:
    """The loss as Keras reports it, but without the penalties on weights: what these come to says nothing of how well the data are met.

    What layers add by `add_loss` is in it; so are penalties on activities, unless the outputs were computed within `activity_apart`.

    Args:
        model: the model, compiled.
        inputs: a batch of its inputs.
        labels: the targets of the same batch.
        outputs: what it gave for the inputs.
        training: whether in training mode.

    Raises:
        ValueError: the labels do not fit the loss: classes out of range, another shape or another kind of numbers.
    """
    mode = {"training": training} if private_api.has_training_loss(model) else {}  # a user's own may not have it
    try:
        with _without_penalties(model):
            return model.compute_loss(x=inputs, y=labels, y_pred=outputs, **mode)
    except (tf.errors.InvalidArgumentError, TypeError, ValueError) as error:  # and not what memory cannot hold
        # TensorFlow puts names of its operations around the reason.
        reason = textwrap.shorten(str(error).split("}} ", 1)[-1].split(" [Op:")[0], 200, placeholder=" ...")
        raise ValueError(f"the loss cannot be measured on these labels: {reason}") from error


def penalty_of(model: keras.Model) -> float:
    """What the regularisers of a model's weights add to its loss; those of frozen weights add nothing."""
    return float(sum(float(each.regularizer(each)) for each in model.trainable_weights if each.regularizer is not None))


@contextmanager
def activity_apart(model: keras.Model) -> Iterator[list[Any]]:
    """Context in which activity regularisers add nothing to the loss of what a model computes. What they would add, as tensors, is appended
    to the list that it gives, but for what is traced."""
    found: list[Any] = []

    def apart(regularizer):
        def nothing(output):
            penalty = regularizer(output)
            if hasattr(penalty, "numpy"):
                found.append(penalty / output.shape[0] if output.shape.rank else penalty)  # as Keras does
            return keras.ops.zeros((), penalty.dtype)

        return nothing

    regularizers = [(each, each.activity_regularizer) for each in private_api.parts(model)]
    regularizers = [(each, regularizer) for each, regularizer in regularizers if regularizer is not None]
    try:
        for layer, regularizer in regularizers:
            vars(layer)["activity_regularizer"] = apart(regularizer)
        yield found
    finally:
        for layer, regularizer in regularizers:
            vars(layer)["activity_regularizer"] = regularizer


@contextmanager
def _without_penalties(model: keras.Model) -> Iterator[None]:
    """A model whose weights have no regularisers meanwhile."""
    regularizers = [(each, each.regularizer) for each in model.trainable_weights]
    try:
        for variable, _ in regularizers:
            variable.regularizer = None
        yield
    finally:
        for variable, regularizer in regularizers:
            variable.regularizer = regularizer
