"""The batch that newborns are calibrated and compared with their parents on, as the networks of a search take it."""

from typing import Any

import keras

from nash_tf.architecture import Architecture
from nash_tf.keras_models import private_api
from nash_tf.keras_models.calibration import misplaced, parts_of
from nash_tf.training.errors import Unsearchable


def as_taken(batch: Any, model: keras.Model, architecture: Architecture, is_sure: bool = True) -> Any:
    """A batch, cut to as many examples as the layers of a model keep states for.

    Args:
        batch: inputs, or (inputs, labels).
        model, architecture: a network of the search.
        is_sure: whether it is what the network trains on; a `fit` of the user's own may make that anew.

    Raises:
        Unsearchable: it has fewer, or Keras would take other inputs of it than the network's own.
    """
    inputs, _ = parts_of(batch)
    if is_sure and (fault := misplaced(architecture, inputs)):
        raise Unsearchable(f"x is such that {fault}")
    size = architecture[architecture.inputs[0]].config.get("batch_size")
    stateful = [layer.name for layer in private_api.parts(model) if getattr(layer, "stateful", False)]
    given = len(keras.tree.flatten(inputs)[0])
    if not stateful or size is None or given == size:
        return batch
    if is_sure and given < size:
        raise Unsearchable(
            f"{stateful[0]} keeps states for {size} examples, and the first batch has {given}: give calibration, a batch of {size}"
        )
    return keras.tree.map_structure(lambda part: part if part is None else part[:size], batch)
