"""A search that goes on with other data, or a network compiled otherwise, says so."""

import re
from functools import partial

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf

import nash_tf
from nash_tf.training.child_models import ChildModels
from nash_tf.training.fit_arguments import FitArguments
from nash_tf.tuning import fit_fingerprint
from tests.helpers.tuners import CLASSES, IMAGES, Still, classifier, tuner_of
from tests.tuning.test_first_network import said

BEGAN = "goes on with something else than it began with"


def slower(hp):
    model = classifier(hp)
    model.compile("sgd", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """Of a search that has ended."""
    directory = tmp_path_factory.mktemp("searched")
    tuner_of(Still(), directory, steps=1).search(IMAGES, CLASSES, batch_size=8, verbose=0)
    return directory


def warning_of(directory, build=classifier, data=(IMAGES, CLASSES), **fit):
    """What is said of the data and the compiled network when the search goes on."""
    tuner = tuner_of(Still(build), directory, steps=1)
    _, found = said(tuner.search, *data, **({"batch_size": 8} | fit))
    return [text for text, _ in found if BEGAN in text]


def test_with_the_same_it_goes_on_silently(directory):
    assert warning_of(directory) == []
    assert warning_of(directory, data=(IMAGES.copy(), tf.constant(CLASSES)), verbose=2) == []


def test_other_data_are_named(directory):
    (fewer,) = warning_of(directory, data=(IMAGES[:-1], CLASSES[:-1]))
    assert (
        f"x was {IMAGES.dtype} {list(IMAGES.shape)}, is {IMAGES.dtype} {[len(IMAGES) - 1, *IMAGES.shape[1:]]}" in fewer
    )
    (others,) = warning_of(directory, data=(IMAGES + 1, CLASSES))
    assert "x has other values" in others and "y has" not in others
    (batches,) = warning_of(directory, batch_size=16, class_weight={0: 2.0})
    assert "batch_size was 8, is 16" in batches and "class_weight[0] was not given, is 2.0" in batches


def test_another_optimiser_or_loss_is_named(directory):
    (text,) = warning_of(directory, build=slower)
    assert "optimizer" in text and "loss was" in text and "x " not in text.split("it began with: ")[1]


@pytest.mark.parametrize("changed", [False, True])
def test_data_sets_are_known_by_what_they_say_of_themselves(tmp_path, changed):
    def data(size):
        return tf.data.Dataset.from_tensor_slices((IMAGES, CLASSES)).shuffle(100).batch(size)

    tuner_of(Still(), tmp_path, steps=1).search(data(8), verbose=0)
    found = warning_of(tmp_path, data=(data(4 if changed else 8),), batch_size=None)
    assert [("batches" in text) for text in found] == [True] * changed


def test_dicts_and_lists_of_arrays_are_looked_into(tmp_path):
    model = classifier(keras_tuner.HyperParameters())

    def said_of(last):
        x = {"a": IMAGES, "b": [CLASSES, last]}
        return said(fit_fingerprint.warn_of_others, tmp_path, model, FitArguments((x, CLASSES)))[1]

    assert said_of(np.ones((3, 2))) == said_of(np.ones((3, 2))) == []
    ((text, _),) = said_of(np.zeros((3, 2)))
    assert "x['b'][1] has other values" in text and "other values;" not in text


class OfNoRows:
    """Data that have a shape alone."""

    def __init__(self, *shape):
        self.shape = shape


def test_of_data_that_cannot_be_looked_into_the_shape_is_compared(tmp_path):
    model = classifier(keras_tuner.HyperParameters())
    for count, other in ((3, False), (3, False), (4, True)):
        found = said(fit_fingerprint.warn_of_others, tmp_path, model, FitArguments((OfNoRows(count, 2), CLASSES)))[1]
        assert [BEGAN in text for text, _ in found] == [True] * other


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.SGD(0.01, momentum=0.9, weight_decay=1e-4, use_ema=True),
        lambda: keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.1, 10)),
        lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.RMSprop(0.03)),
        lambda: nash_tf.optimizers.Muon(0.02),
    ],
)
def test_the_network_that_the_builder_gives_tells_as_much_as_a_model_made_of_it(optimizer):
    def build(hp):
        model = classifier(keras_tuner.HyperParameters())
        metrics = ("accuracy", keras.metrics.SparseTopKCategoricalAccuracy(2))
        model.compile(optimizer(), "sparse_categorical_crossentropy", 0.5, metrics=metrics, weighted_metrics=["mae"])
        return model

    models, given = ChildModels(build), FitArguments((IMAGES, CLASSES))
    told, made = (dict(fit_fingerprint._described(make({}), given)) for make in (models.compiled, models.build))
    assert told == made and "learning_rate" in str(told)


def test_a_damaged_file_is_written_anew(tmp_path):
    model, arguments = classifier(keras_tuner.HyperParameters()), FitArguments((IMAGES, CLASSES))
    (tmp_path / fit_fingerprint.FILE).write_text("{")
    for _ in range(2):
        assert said(fit_fingerprint.warn_of_others, tmp_path, model, arguments)[1] == []
    (text, _), *_ = said(fit_fingerprint.warn_of_others, tmp_path, model, FitArguments((IMAGES[:5], CLASSES[:5])))[1]
    assert BEGAN in text


def test_another_default_or_range_of_a_hyperparameter_is_named(tmp_path):
    def build(hp, default, most=64, other="a"):
        hp.Float("lr", 1e-4, 1e-1, default=default)
        hp.Int("units", 4, most)
        hp.Float(f"of {other}", 0.0, 1.0)  # as under an `if`
        hp.Float("given", 0.0, 1.0, default=0.1)
        return classifier(hp)

    def warned(**changed):
        given = keras_tuner.HyperParameters()
        given.Float("given", 0.0, 1.0, default=0.7)
        tuner = tuner_of(Still(partial(build, **changed)), tmp_path, steps=1, hyperparameters=given)
        return [text for text, _ in said(tuner.search, IMAGES, CLASSES, verbose=0)[1] if BEGAN in text]

    assert warned(default=1e-2) == warned(default=1e-2, other="b") == []
    (text,) = warned(default=1e-3, most=32)
    assert text.count("and the search goes on from the former") == 2 and "of a" not in text and "given was" not in text
    assert re.search("hyperparameter lr was Float.*default: 0.01.*, is Float.*default: 0.001", text)


def test_of_hyperparameters_that_an_earlier_version_has_not_written_down_nothing_is_said(tmp_path):
    model, arguments = classifier(keras_tuner.HyperParameters()), FitArguments((IMAGES, CLASSES))
    fit_fingerprint.warn_of_others(tmp_path, model, arguments)
    hp = keras_tuner.HyperParameters()
    classifier(hp)
    assert said(fit_fingerprint.warn_of_others, tmp_path, model, arguments, hp.space)[1] == []
