"""An error as a line."""

import traceback

import keras
import numpy as np
import pytest
import tensorflow as tf

from nash_tf.terminal.errors import cause


class Wrong(keras.layers.Layer):
    """Computes what cannot be, as a user's layer may."""

    def call(self, x):
        return tf.matmul(x, tf.zeros((7, 7)))

    def compute_output_spec(self, x):
        return keras.KerasTensor((None, 7))


def of_a_wrong_shape():
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3)])
    model(np.zeros((1, 8, 8, 2), np.float32))


def of_a_layer_in_training():
    image = keras.Input((3,))
    model = keras.Model(image, Wrong()(image))
    model.compile("sgd", "mse")
    model.fit(np.zeros((2, 3)), np.zeros((2, 7)), verbose=0)


def of_several_lines():
    raise ValueError("Data cardinality is ambiguous:\n'x' sizes: 9\n  • 'y' sizes: 5\n")


def of_another():
    try:
        of_several_lines()
    except ValueError as error:
        raise RuntimeError("could not begin") from error


def without_end():
    return without_end()


def without_words():
    raise KeyboardInterrupt


def long():
    raise ValueError(f"begin {'x' * 999} end")


ERRORS = {
    of_a_wrong_shape: "expected axis -1 of input shape to have value 3",
    of_a_layer_in_training: "Dimensions must be equal, but are 3 and 7",
    of_several_lines: "Data cardinality is ambiguous: 'x' sizes: 9 • 'y' sizes: 5",
    of_another: "could not begin",
    without_end: "maximum recursion depth exceeded",
    without_words: "KeyboardInterrupt",
    long: " end",
}


@pytest.mark.parametrize("function", ERRORS, ids=lambda function: function.__name__)
def test_what_went_wrong_is_told_whether_an_error_is_given_or_its_traceback(function):
    try:
        function()
    except BaseException as error:
        given, told, name = error, traceback.format_exc(), type(error).__name__
    for line in (cause(given), cause(told)):
        assert ERRORS[function] in line and len(line) <= 300
        assert not any(noise in line for noise in ("\n", "\x1b", "Arguments received", "kwargs=", "File "))
    assert cause(told).startswith(name)


def test_where_nothing_is_said_that_is_said():
    assert cause("") == cause(" \n") == "no reason given" and cause(OSError()) == "OSError"


def test_an_error_in_a_user_s_function_that_tensorflow_has_rewritten():
    text = (
        'Traceback (most recent call last):\n  File "a.py", line 3, in <module>\n    fit()\nValueError: in user code:\n\n'
        '    File "b.py", line 9, in call  *\n        return x + y\n\n    TypeError: x and y differ:\n    3 and 4\n'
    )
    assert cause(text) == "TypeError: x and y differ: 3 and 4"


def test_of_what_a_process_has_said_without_a_traceback_the_end_is_there():
    assert cause("\n".join([*("I0000 a note" for _ in range(99)), "Killed: out of memory"])).endswith("out of memory")


@pytest.mark.parametrize("name", ["keras_tuner.src.errors.FailedTrialError", "nash_tf.training.errors.FailedTraining"])
def test_that_a_training_has_failed_is_not_said_beside_why(name):
    assert cause(f"{name}: val_loss=nan") == "val_loss=nan" and cause(f"a.{name}: x") == f"a.{name}: x"
