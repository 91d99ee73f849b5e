"""The random generators that a search has in common with the program that calls it."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from nash_tf.seeds import drawing_apart


@contextlib.contextmanager
def left_to_the_caller() -> Iterator[None]:
    """Context within which seeds may be set: after it the caller's generators go on, and draw something else each time. Those of Python and
    NumPy, by which Keras seeds too, as if nothing had been drawn; TensorFlow's from a seed that it would have drawn, or without one."""
    try:
        following = tf.compat.v1.get_seed(None)[1]
    except RuntimeError:  # where operations are deterministic nothing is drawn before a seed is set
        following = None
    with drawing_apart():
        try:
            yield
        finally:
            tf.random.set_seed(following)
