"""A schedule of the user's that has come to its end before the search has."""

import re

import keras
import pytest
from keras.optimizers import schedules

from nash_tf.training.rate_and_end import run_down
from tests.helpers.tuners import CLASSES, IMAGES, classifier, tuner_of


def decayed(steps, **more):
    return schedules.CosineDecay(0.1, steps, **more)


@pytest.mark.parametrize(
    ("rate", "steps", "expected"),
    [
        (decayed(6), 6, r"CosineDecay has come to a learning rate of 0 in the 6 steps .* lasts as long, or a number"),
        (decayed(6), 60, "of 0 in the 60 steps"),
        (decayed(1, warmup_target=0.1, warmup_steps=5), 6, "of 0 in the 6"),
        (schedules.ExponentialDecay(0.1, 1, 0.5), 8, "of 0.000391 in the 8"),
        (decayed(6), 5, None),
        (decayed(6), 0, None),
        (schedules.CosineDecay(0.0, 6, warmup_target=0.1, warmup_steps=6), 0, None),
        (decayed(6, alpha=0.1), 60, None),
        (schedules.CosineDecayRestarts(0.1, 6), 7, None),
        (1e-9, 60, None),
        (lambda: 0.0, 60, None),
    ],
)
@pytest.mark.parametrize("is_scaled", [False, True], ids=["", "scaled"])
def test_it_is_said(rate, steps, expected, is_scaled):
    optimizer = keras.optimizers.SGD(rate)
    optimizer.iterations.assign(steps)
    said = run_down(keras.optimizers.LossScaleOptimizer(optimizer) if is_scaled else optimizer)
    assert said is None if expected is None else re.search(expected, said), said


def test_a_search_says_it_once(tmp_path):
    def build(hp):
        model = classifier(hp)
        model.compile(keras.optimizers.SGD(decayed(3)), model.loss, metrics=["accuracy"])
        return model

    tuner = tuner_of(build, tmp_path)
    with pytest.warns(UserWarning, match="CosineDecay has come to a learning rate of 0 in the 3 steps") as caught:
        tuner.search(IMAGES, CLASSES, validation_data=(IMAGES, CLASSES), batch_size=16, verbose=0)
    assert sum("has come to" in str(each.message) for each in caught) == 1
