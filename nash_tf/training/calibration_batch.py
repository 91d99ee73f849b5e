"""The batch that newborns are calibrated and compared with their parents on, as the networks of a search take it."""

from collections.abc import Callable
from typing import Any

import keras

from nash_tf.architecture import Architecture
from nash_tf.keras_models import private_api
from nash_tf.keras_models.calibration import is_same_batch, misplaced, parts_of
from nash_tf.training.errors import Unsearchable
from nash_tf.training.fit_arguments import FitArguments

NOT_CALIBRATED = (
    "new batch normalisations are calibrated on the first of what search was given as x, and wrong where HyperModel.fit changes that before "
    "it trains: give calibration, a batch as it trains with, since it "
)


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


def other_batch(received: FitArguments, given: FitArguments, taken: Any, say: Callable[[str], None]) -> Any:
    """The first batch that `model.fit` is to train with, where it is another than the one that was taken from what search was given.

    Args:
        received: what `model.fit` is given.
        given: what search was.
        taken: the first batch of that.
        say: warns, where what `model.fit` is given can be read only once.
    """
    if all(received.by_name().get(name) is given.by_name().get(name) for name in ("x", "y")):
        return None
    try:
        batch = received.first_batch()
    except Unsearchable:
        say(f"{NOT_CALIBRATED}has model.fit read what can be read only once")
        return None
    return None if is_same_batch(batch, taken) else batch
