"""Errors of a training that are the system's, and those that are its child's own."""

import errno

import numpy as np
import pytest
import tensorflow as tf

from nash_tf.training.disturbances import is_disturbance


def raised(function):
    with pytest.raises(Exception) as info:
        function()
    return info.value


def caused():
    try:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "x.npy")
    except OSError as error:
        raise RuntimeError("the data are gone") from error


def mapped(error):
    """Examples of a `tf.data` pipeline that Python reads."""

    def read(number):
        raise error

    return lambda: list(tf.data.Dataset.range(1).map(lambda number: tf.numpy_function(read, [number], tf.float32)))


SYSTEM = {
    "full disk": lambda: tf.io.write_file("/dev/full", "x" * 100_000),
    "lost records": lambda: list(tf.data.TFRecordDataset("/nope")),
    "damaged records": lambda: list(tf.data.TFRecordDataset(__file__)),
    "read by Python": mapped(OSError(errno.EIO, "Input/output error", "x")),
    "cause": caused,
}
OWN = {
    "memory": lambda: np.empty(1 << 60),
    "memory of the system": lambda: raised_by(OSError(errno.ENOMEM, "Cannot allocate memory")),
    "memory in a pipeline": mapped(OSError(errno.ENOMEM, "Cannot allocate memory")),
    "memory of a device": lambda: raised_by(tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")),
    "no algorithm": lambda: raised_by(tf.errors.NotFoundError(None, None, "No algorithm worked!")),
    "value": mapped(ValueError("x; y")),
}


def raised_by(error):
    raise error


@pytest.mark.parametrize("kind", SYSTEM)
def test_of_the_system(kind):
    assert is_disturbance(raised(SYSTEM[kind]))


@pytest.mark.parametrize("kind", OWN)
def test_of_the_child(kind):
    assert not is_disturbance(raised(OWN[kind]))
