"""Data that last longer than a training, and that draw: that it begins them anew, and is judged by others each time, is said; after an
interruption it reads on."""

import re
import warnings
from pathlib import Path

import keras
import keras_tuner
import pytest
import tensorflow as tf

from nash_tf.keras_models import data_stages
from nash_tf.training.child_models import ChildModels
from nash_tf.training.fit_arguments import FitArguments
from nash_tf.training.parts_of_data import only_beginning
from nash_tf.training.trainer import Fit, Trainer
from nash_tf.tuning.trial_files import UNFINISHED
from tests.helpers.tuners import CLASSES, IMAGES, classifier, tuner_of
from tests.training.test_resumable_training import FIRST, Killed, die_when_saved, plain, weights

NUMBERS = tf.data.Dataset.range(48)
ROWS = tf.data.Dataset.from_tensor_slices((IMAGES, CLASSES))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (NUMBERS.batch(8), 6),
        (NUMBERS.cache().shuffle(4).batch(8).map(lambda x: x + 1).repeat().prefetch(2), 6),
        (NUMBERS.map(lambda x: x + 1, num_parallel_calls=2).repeat().batch(7, num_parallel_calls=2), 7),
        (NUMBERS.batch(8).repeat().unbatch(), None),
        (NUMBERS.filter(lambda x: x > 3).batch(8), None),
        (NUMBERS.filter(lambda x: x > 3).batch(8).repeat(), None),
        (tf.data.Dataset.zip(NUMBERS.repeat(), NUMBERS.repeat()), None),
    ],
)
def test_batches_of_one_pass(data, expected):
    assert data_stages.pass_of(data) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (NUMBERS.shuffle(48).batch(8), True),
        (NUMBERS.shuffle(47).batch(8), False),
        (NUMBERS.repeat().shuffle(48).batch(8), True),
        (NUMBERS.batch(8).shuffle(6).prefetch(1), True),
        (NUMBERS.shuffle(tf.data.UNKNOWN_CARDINALITY).map(lambda x: x + 1), True),
        (NUMBERS.shuffle(48, reshuffle_each_iteration=False).batch(8), False),
        (NUMBERS.filter(lambda x: x > 3).shuffle(9).batch(8), True),  # it cannot be told
        (tf.data.Dataset.zip(NUMBERS, NUMBERS.shuffle(48)), True),
        (NUMBERS.batch(8), False),
    ],
)
def test_whether_all_are_shuffled_anew(data, expected):
    assert data_stages.is_shuffled_whole(data) is expected
    firsts = {str(next(iter(data.as_numpy_iterator()))) for _ in range(8)}
    assert len(firsts) > 1 or not expected


class Batches(keras.utils.PyDataset):
    def __init__(self, count):
        super().__init__()
        self.count = count

    @property
    def num_batches(self):
        return self.count

    def __getitem__(self, index):
        return IMAGES[:8], CLASSES[:8]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"x": ROWS.batch(8), "steps_per_epoch": 2},
            "alone, 4 of 6 in 2 x 2 steps; .* a buffer .* out steps_per_epoch$",
        ),
        ({"x": ROWS.batch(8).repeat(), "steps_per_epoch": 2}, "alone, 4 of 6 in 2 x 2 steps; .* for all of them$"),
        (
            {"x": ROWS.filter(lambda *_: True).batch(8), "steps_per_epoch": 2},
            "4 in 2 x 2 steps, unless it draws them or has no more; shuf",
        ),
        ({"x": Batches(6), "steps_per_epoch": 2, "shuffle": False}, "alone, 4 of 6 .* draw batches, or leave out"),
        ({"x": Batches(None), "steps_per_epoch": 2}, "alone, 4 in 2 x 2 steps, unless it draws them .* draw batches$"),
        ({"x": Batches(6), "steps_per_epoch": 2}, None),  # Keras draws
        ({"x": ROWS.batch(8).repeat(), "steps_per_epoch": 3}, None),  # all are read
        ({"x": ROWS.shuffle(48).batch(8), "steps_per_epoch": 2}, None),
        ({"x": ROWS.batch(8)}, None),
        ({"x": IMAGES, "y": CLASSES, "steps_per_epoch": 1}, None),
    ],
)
def test_what_is_said_of_a_training_that_reads_the_beginning_alone(given, expected):
    said = only_beginning(FitArguments((), given), 2)
    if expected is None:
        assert said is None
    else:
        assert re.search(expected, said), said


def test_a_search_says_it_once(tmp_path):
    tuner = tuner_of(classifier, tmp_path)
    with pytest.warns(UserWarning, match="each training begins x anew .* 1 of 6 in 1 x 1") as caught:
        tuner.search(ROWS.batch(8).repeat(), steps_per_epoch=1, validation_data=(IMAGES, CLASSES), verbose=0)
    assert sum("begins x anew" in str(each.message) for each in caught) == 1


@pytest.mark.parametrize("data", [ROWS.batch(8).repeat(), ROWS.batch(8)], ids=["endless", "longer"])
def test_an_interrupted_training_reads_on(data, tmp_path, monkeypatch):
    arguments = FitArguments((data,), {"steps_per_epoch": 2, "validation_data": (IMAGES, CLASSES)})

    def trained(folder):
        models = ChildModels(lambda _: classifier(keras_tuner.HyperParameters()))
        fit = Fit(lambda model, *given, **named: model.fit(*given, **named), arguments)
        target = Path(tmp_path, folder, "checkpoint")
        return Trainer(models, "val_accuracy").train(
            FIRST, fit, None, target, unfinished=Path(tmp_path, folder, UNFINISHED)
        )

    whole = trained("whole")
    with monkeypatch.context() as patch:
        die_when_saved(patch)
        for _ in range(2):
            with pytest.raises(Killed):
                trained("cut")
    assert plain(trained("cut")) == plain(whole)
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")


def with_decay(hp):
    """A network whose added weights cost something."""
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", kernel_regularizer=keras.regularizers.L2(1.0), activation="relu")(
        image
    )
    model = keras.Model(image, keras.layers.Dense(3, "softmax")(keras.layers.GlobalAveragePooling2D()(x)))
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.mark.parametrize(
    ("build", "validation", "is_said"),
    [
        (classifier, ROWS.shuffle(48, seed=1).take(16).batch(16), True),
        (classifier, ROWS.shuffle(48, seed=1).batch(16), False),
        (with_decay, (IMAGES, CLASSES), False),
    ],
    ids=["drawn", "all", "decay"],
)
def test_validation_data_that_draw_anew_are_said_once(build, validation, is_said, tmp_path):
    tuner = tuner_of(build, tmp_path, keras_tuner.Objective("val_loss", "min"), method="nash")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tuner.search(IMAGES, CLASSES, validation_data=validation, batch_size=16, verbose=0)
    told = [str(each.message) for each in caught if "from evaluation to evaluation" in str(each.message)]
    assert len(told) == is_said
    assert not told or re.search(
        r"the same weights have a val_loss of \d\.\d+ and of \d\.\d+, .* Give data that stay", told[0]
    )
