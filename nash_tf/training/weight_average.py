"""The mean of a network's weights over the end of its training.

What a training step moves the weights by is half noise of its batch, the more the higher the rate; a mean over many steps leaves that out
(Polyak and Juditsky 1992; Izmailov et al. 2018, arXiv 1803.05407).
"""

from collections.abc import Mapping

import keras
import numpy as np

from nash_tf.keras_models.state import copy_of, real_weights
from nash_tf.morphisms.weight_transfer import Key

STATES = 500


class WeightAverage(keras.callbacks.Callback):
    """Leaves a model with the mean of its weights after the training steps from an epoch on, moving statistics of normalisations among
    them; of many steps, after some STATES of them, evenly spaced, since a large model is read slowly. Steps that are done in one call
    count as one. It is assigned before the validation of the last epoch, so that scores, and what other callbacks see then, are
    the mean's; at the end of the training where there is none. Where the training ends before its last epoch, nothing is changed.
    A trained weight with a constraint gets what that makes of the mean: a mean of kernels of norm 1 is shorter.

    Args:
        first_epoch: from which on.
        last_epoch: the one before which training ends.
        mean, count: of a training that goes on after an interruption, the mean so far and of how many states it is.

    Attributes:
        mean, count: the same now.
    """

    def __init__(self, first_epoch: int, last_epoch: int, mean: Mapping[Key, np.ndarray] | None = None, count: int = 0):
        super().__init__()
        self.first_epoch, self.last_epoch, self.mean, self.count = first_epoch, last_epoch, dict(mean or {}), count
        self._variables: dict[Key, keras.Variable] = {}
        self._epoch, self._is_assigned = 0, False

    def on_train_begin(self, logs=None):
        self._variables = real_weights(self.model)

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if not self._is_taken(batch):
            return
        self.count += 1
        for key, variable in self._variables.items():
            value = copy_of(variable)
            if key in self.mean:
                self.mean[key] += ((value - self.mean[key]) / self.count).astype(self.mean[key].dtype)
            else:
                self.mean[key] = value.astype(max(value.dtype, np.dtype(np.float32), key=lambda dtype: dtype.itemsize))

    def _is_taken(self, batch: int) -> bool:
        """Whether the weights after a batch are among the states."""
        if self._epoch < self.first_epoch:
            return False
        steps, together = self.params.get("steps") or 1, self.model.steps_per_execution
        calls = steps // together if isinstance(together, int) else 1
        every = max(1, (self.last_epoch - self.first_epoch) * calls // STATES)
        return (self._epoch * steps + batch) * calls // steps % every == 0

    def on_test_begin(self, logs=None):
        if self._epoch + 1 >= self.last_epoch:
            self.assign()

    def on_train_end(self, logs=None):
        if self._epoch + 1 >= self.last_epoch:
            self.assign()

    def assign(self) -> None:
        """Gives the model the mean, once; within the constraints, which an optimiser applies to what it trains, and to nothing else."""
        trained = set(map(id, self.model.trainable_variables))
        for key, value in self.mean.items() if not self._is_assigned else ():
            variable = self._variables[key]
            variable.assign(value)
            if id(variable) in trained and variable.constraint is not None:
                variable.assign(variable.constraint(variable))
        self._is_assigned = True
