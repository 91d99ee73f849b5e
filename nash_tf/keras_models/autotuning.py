"""Data sets without tf.data's autotuning.

Its thread is joined when an iterator is dropped, asleep in a timer of seconds (TensorFlow 2.21): a training of a few seconds
often waits as long again. The batches are the same, to the bit, with and without it.
"""

import contextlib
import functools
import warnings

import tensorflow as tf

from nash_tf.keras_models import private_api


class AutotuningWarning(UserWarning):
    """A user's own data set is autotuned, which costs waiting time."""


def untuned(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The same data set without autotuning."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


@contextlib.contextmanager
def without_autotuning():
    """Has `fit`, `evaluate` and `predict` make their data sets of arrays, generators and `PyDataset`s without autotuning.

    A `tf.data.Dataset` that is given to them stays as it is; the first one that is autotuned is warned of.
    """

    def adapted(x, adapter):
        if not isinstance(x, tf.data.Dataset):
            return _Untuned(adapter)
        if x.options().autotune.enabled is not False:
            _warn_once()
        return adapter

    with private_api.adapters_as(adapted):
        yield


class _Untuned:
    """What Keras made to read arrays or a generator, but for its data set's options."""

    def __init__(self, adapter):
        self._adapter = adapter

    def __getattr__(self, name):
        return getattr(self._adapter, name)

    def get_tf_dataset(self) -> tf.data.Dataset:
        return untuned(self._adapter.get_tf_dataset())


@functools.cache
def _warn_once() -> None:
    warnings.warn(
        "this tf.data.Dataset is autotuned, and each of its iterators may wait for seconds as it ends: give "
        "dataset.with_options(options) with options = tf.data.Options(); options.autotune.enabled = False",
        AutotuningWarning,
        stacklevel=2,
    )
