"""Switches off the autotuning of tf.data, which costs seconds at the end of each training.

When an iterator is deleted, TensorFlow 2.21 waits for the autotuning thread, which sleeps for seconds at a time. A
training of a few seconds often takes twice as long for it. The batches are the same, to the bit, with and without
autotuning.
"""

import contextlib
import functools
import warnings

import tensorflow as tf

from nash_tf.keras_models import private_api


class AutotuningWarning(UserWarning):
    """A user's own data set is autotuned, so that each training waits at its end."""


def untuned(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The same data set without autotuning."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


@contextlib.contextmanager
def without_autotuning():
    """Context in which `fit`, `evaluate` and `predict` read arrays, generators and `PyDataset`s without autotuning.

    A `tf.data.Dataset` of the user's is not changed. The first one that is autotuned causes an `AutotuningWarning`.
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
    """A data adapter of Keras whose data set is not autotuned."""

    def __init__(self, adapter):
        self._adapter = adapter

    def __getattr__(self, name):
        return getattr(self._adapter, name)

    def get_tf_dataset(self) -> tf.data.Dataset:
        return untuned(self._adapter.get_tf_dataset())


@functools.cache
def _warn_once() -> None:
    warnings.warn(
        "training may be slower than it need be, with the same results: this tf.data.Dataset is autotuned, and each of its "
        "iterators may wait for seconds as it ends; give "
        "dataset.with_options(options) with options = tf.data.Options(); options.autotune.enabled = False",
        AutotuningWarning,
        stacklevel=2,
    )
