"""The loss of a model on labels."""

import textwrap
from typing import Any

import keras
import tensorflow as tf

from nash_tf.keras_models import private_api


def loss_of(model: keras.Model, inputs: Any, labels: Any, outputs: Any, training: bool) -> Any:
    """The loss as Keras reports it, with regularisation.

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
        return model.compute_loss(x=inputs, y=labels, y_pred=outputs, **mode)
    except (tf.errors.InvalidArgumentError, TypeError, ValueError) as error:  # and not what memory cannot hold
        # TensorFlow puts names of its operations around the reason.
        reason = textwrap.shorten(str(error).split("}} ", 1)[-1].split(" [Op:")[0], 200, placeholder=" ...")
        raise ValueError(f"the loss cannot be measured on these labels: {reason}") from error
