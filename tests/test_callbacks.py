import copy
import math
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from nash_tf.callbacks import SGDR, CosineAnnealing, rate_setters, watched

STEPS = 3


class Recorder(keras.callbacks.Callback):
    """Rates that the batches were trained with."""

    def __init__(self):
        super().__init__()
        self.rates = []

    def on_train_batch_end(self, batch, logs=None):
        self.rates.append(float(self.model.optimizer.learning_rate))


def rates(callback, epochs, initial_epoch=0):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.7, momentum=0.9), "mse", run_eagerly=True)
    recorder = Recorder()
    model.fit(
        np.ones((STEPS * 4, 2)),
        np.ones((STEPS * 4, 1)),
        batch_size=4,
        epochs=epochs,
        initial_epoch=initial_epoch,
        callbacks=[callback, recorder],
        verbose=0,
    )
    return recorder.rates


def cosine(step, total, rate=0.1):
    return rate * 0.5 * (1 + math.cos(math.pi * step / total))


def test_one_cosine():
    found = rates(CosineAnnealing(0.1, 4), 4)
    assert found == pytest.approx([cosine(step, 12) for step in range(12)], rel=1e-6)


def test_restarts():
    with pytest.warns(UserWarning, match="the learning rate is 0 from here on, for it is annealed until epoch 3;"):
        found = rates(SGDR(0.1, [1, 2]), 4)
    expected = [cosine(step, 3) for step in range(3)] + [cosine(step, 6) for step in range(6)] + [0.0] * 3
    assert found == pytest.approx(expected, rel=1e-6)


def test_the_end_is_warned_of_once(recwarn):
    def warned():
        return len([warning for warning in recwarn if "annealed until epoch 2.5;" in str(warning.message)])

    callback = CosineAnnealing(0.1, 1.5, first_epoch=1)
    rates(callback, 2)
    assert warned() == 0
    rates(callback, 5, initial_epoch=2)
    assert warned() == 1


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: CosineAnnealing(0.1, 0), "epochs must be a number above 0, received 0"),
        (lambda: CosineAnnealing(0.1, -2), "epochs must be a number above 0, received -2"),
        (lambda: CosineAnnealing(0.1, (1, 2)), r"epochs must be a number above 0, received \(1, 2\)"),
        (lambda: CosineAnnealing("x", 3), "initial_rate must be a number above 0, received 'x'"),
        (lambda: SGDR(math.nan, (3,)), "initial_rate must be a number above 0, received nan"),
        (lambda: SGDR(0.1, ()), r"periods must be numbers above 0, one or more, received \(\)"),
        (lambda: SGDR(0.1, 3), "periods must be numbers above 0, one or more, received 3"),
        (lambda: SGDR(0.1, [2, 0]), r"periods must be numbers above 0, one or more, received \[2, 0\]"),
    ],
)
def test_what_is_no_annealing_is_refused(made, message):
    with pytest.raises(ValueError, match=message):
        made()


def test_goes_on_at_the_initial_epoch():
    whole = [cosine(step, 12) for step in range(12)]
    callback = CosineAnnealing(0.1, 4)
    assert rates(callback, 2) == pytest.approx(whole[:6], rel=1e-6)
    assert rates(copy.deepcopy(callback), 4, initial_epoch=2) == pytest.approx(whole[6:], rel=1e-6)


def test_another_model_is_no_other_callback():
    callback = CosineAnnealing(0.1, 4)
    rates(callback, 2)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", category=UserWarning)
        rates(callback, 2)


@pytest.mark.parametrize("callback", [CosineAnnealing(0.1, 2, first_epoch=1), SGDR(0.1, (2,), first_epoch=1)])
def test_starts_at_the_first_epoch(callback):
    expected = [0.1] * 3 + [cosine(step, 6) for step in range(6)]
    assert rates(copy.deepcopy(callback), 3) == pytest.approx(expected, rel=1e-6)


def test_needs_the_number_of_batches():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    batches = tf.data.Dataset.from_generator(
        lambda: iter([(np.ones((4, 2)), np.ones((4, 1)))] * 2),
        output_signature=(tf.TensorSpec((4, 2)), tf.TensorSpec((4, 1))),
    )
    with pytest.raises(ValueError, match="steps_per_epoch"):
        model.fit(batches, callbacks=[CosineAnnealing(0.1, 1)], verbose=0)


class Sets(keras.callbacks.Callback):
    """Sets the rate at one event."""

    def __init__(self, event):
        super().__init__()
        setattr(self, event, lambda *_, **__: setattr(self.model.optimizer, "learning_rate", 0.03))


def train(callbacks):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.7), "mse", run_eagerly=True)
    model.fit(np.ones((12, 2)), np.ones((12, 1)), batch_size=4, epochs=2, callbacks=callbacks, verbose=0)


@pytest.mark.parametrize("event", ["on_epoch_begin", "on_epoch_end", "on_train_batch_begin", "on_train_batch_end"])
def test_a_callback_that_sets_an_annealed_rate_is_reported(event):
    with pytest.warns(UserWarning, match="will be overwritten"):
        train([*watched([Sets(event)]), SGDR(0.1, (2,))])


@pytest.mark.parametrize("event", ["on_epoch_begin", "on_epoch_end"])
def test_so_is_one_that_a_fit_adds_behind(event):
    with pytest.warns(UserWarning, match="will be overwritten"):
        train([SGDR(0.1, (2,)), Sets(event)])


def test_others_are_not(recwarn):
    train([*watched([Recorder()]), SGDR(0.1, (1, 1))])
    assert not [warning for warning in recwarn if "overwritten" in str(warning.message)]
    stop = keras.callbacks.EarlyStopping("loss")
    assert watched([stop]) == [stop] and rate_setters([stop, keras.callbacks.ReduceLROnPlateau()]) == [
        "ReduceLROnPlateau"
    ]
