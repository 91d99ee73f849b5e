"""A HyperModel's own `fit`, which may train with other data than the search is given, and not hand on what it is given."""

import contextlib
import random
import warnings

import keras
import keras_tuner
import numpy as np
import pytest
from keras import layers

from nash_tf.keras_models.calibration import is_same_batch
from tests.helpers.tuners import (
    BORN,
    CLASSES,
    IMAGES,
    Ended,
    OwnFit,
    Still,
    classifier,
    ended_after,
    plainest,
    records,
    tuner_of,
)
from tests.tuning.test_tuner_scores import RESTORES, EndsElsewhere, OwnLoop, averaged

LOSS = keras_tuner.Objective("val_loss", "min")
LARGE = 50 * IMAGES
# Inserts a convolution with a batch normalisation, in a network that has none before it.
GROWS = {**BORN, "objective": LOSS}


class Scaled(keras_tuner.HyperModel):
    """Trains with images that it has made small, in whatever form `give` makes of them; its rate is such that nothing is learnt."""

    def __init__(self, build=None, give=lambda x, y: {"x": x, "y": y}, **more):
        super().__init__()
        self._build, self.give, self.more = build or self.plain, give, more

    def build(self, hp):
        return self._build(hp)

    @staticmethod
    def plain(hp):
        image = keras.Input((8, 8, 3))
        x = layers.ReLU()(layers.Conv2D(4, 3, padding="same", kernel_initializer="ones")(image))
        x = layers.ReLU()(layers.Conv2D(4, 3, padding="same")(x))
        model = keras.Model(image, layers.Dense(3, "softmax")(layers.GlobalAveragePooling2D()(x)))
        model.compile(keras.optimizers.SGD(1e-9), "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    def fit(self, hp, model, x, y, validation_data=None, **named):
        if validation_data is not None:
            named["validation_data"] = validation_data[0] / 50, validation_data[1]
        return model.fit(**self.give(x / 50, y), **{**named, **self.more})


class Batches(keras.utils.PyDataset):
    """Draws noise as it is read."""

    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def __len__(self):
        return 3

    def __getitem__(self, index):
        rows = slice(16 * index, 16 * index + 16)
        return self.x[rows] + np.random.normal(0, 1e-6, self.x[rows].shape), self.y[rows]


def endless(x, y):
    while True:
        yield x, y


def said(call, *args, **named):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with contextlib.suppress(Ended):
            call(*args, **named)
    return [str(each.message) for each in caught]


def grown(hypermodel, tmp_path, **changed):
    """What a search with large images says, and its records."""
    tuner = tuner_of(hypermodel, tmp_path, **{**GROWS, **changed})
    told = said(tuner.search, LARGE, CLASSES, validation_data=(LARGE, CLASSES), verbose=0)
    found = tuner.oracle.lineage()
    assert any("insert_conv" in str(record["morphisms"]) for record in found)
    return told, found


class Drawing(Scaled):
    """Draws from the generators of NumPy and Python after each training."""

    def __init__(self):
        super().__init__()
        self.drawn = []

    def fit(self, hp, model, *args, **named):
        returned = super().fit(hp, model, *args, **named)
        self.drawn.append((np.random.rand(), random.random()))
        return returned


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """What `grown` returns of a search with arrays, and what its `fit` draws."""
    hypermodel = Drawing()
    return *grown(hypermodel, tmp_path_factory.mktemp("plain")), hypermodel.drawn


FORMS = {
    "arrays": {},
    "generator": {"give": lambda x, y: {"x": endless(x, y)}, "steps_per_epoch": 2},
    "drawn": {"give": lambda x, y: {"x": Batches(x, y)}},
}


@pytest.mark.parametrize("form", FORMS)
def test_newborns_are_calibrated_and_certified_on_what_they_are_trained_with(form, plain, tmp_path):
    told, (first, *children) = grown(Scaled(**FORMS[form]), tmp_path) if FORMS[form] else plain[:2]
    for child in children:
        assert child["loss"] == pytest.approx(first["loss"], rel=0.1)  # by the statistics of small batches
        assert child["certificate"]["training_difference"] < 1e-4
        assert child["certificate"]["val_loss_change"] == pytest.approx(0, abs=1e-4)
    assert not [each for each in told if "calibrat" in each]


def test_a_calibration_that_is_given_is_taken_and_what_fit_draws_does_not_depend_on_it(plain, tmp_path):
    _, (first, *children) = grown(Scaled(), tmp_path / "a", calibration=LARGE)
    assert any(child["loss"] > 1.5 * first["loss"] for child in children)
    given = Drawing()
    _, (first, *children) = grown(given, tmp_path / "b", calibration=IMAGES)
    assert all(child["loss"] == pytest.approx(first["loss"], rel=0.02) for child in children)
    assert given.drawn == plain[2] and len(set(given.drawn)) == 3


def test_each_newborn_is_calibrated_so_in_whatever_process(plain, tmp_path):
    for trainings in (1, 2, 3):
        tuner = tuner_of(Scaled(), tmp_path, **GROWS, on_trained=ended_after(trainings))
        with pytest.raises(Ended):
            tuner.search(LARGE, CLASSES, validation_data=(LARGE, CLASSES), verbose=0)
    losses = [[record["loss"] for record in each] for each in (tuner.oracle.lineage(), plain[1])]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("build", [averaged, classifier])
def test_weights_that_changed_after_the_last_validation_are_scored_on_the_data_of_that(build, tmp_path):
    tuner = tuner_of(Scaled(build), tmp_path, LOSS, steps=0, vanilla_epochs=3)
    callbacks = [EndsElsewhere()] if build is classifier else []
    tuner.search(LARGE, CLASSES, validation_data=(LARGE, CLASSES), callbacks=callbacks, batch_size=12, verbose=0)
    (record,) = tuner.oracle.lineage()
    found = tuner.first_model().evaluate(IMAGES, CLASSES, verbose=0)
    assert record["val_loss"] == pytest.approx(found[0], rel=1e-5)


def test_where_model_fit_is_not_called_as_in_keras_tuner_s_guide_what_is_not_known_is_said(tmp_path):
    loop = OwnLoop()
    tuner = tuner_of(loop, tmp_path / "a", max_hours=1, **BORN)
    told = said(tuner.search, IMAGES, CLASSES, verbose=0)
    for words in (
        "since it does not call model.fit, which would tell",
        "no limit on time ends a training",
        "the learning rate is not annealed",
    ):
        assert sum(words in each for each in told) == 1
    assert len(records(tuner, 3)) == 3 and len(set(loop.rates)) == 1
    loop = OwnLoop(whole=True)
    tuner = tuner_of(loop, tmp_path / "b", calibration=IMAGES, max_hours=1, **BORN)
    told = said(tuner.search, IMAGES, CLASSES, validation_data=(LARGE, CLASSES), verbose=0)
    assert not [each for each in told if "calibrat" in each or "no limit" in each or "not annealed" in each]
    assert not any("val_accuracy_change" in (record["certificate"] or {}) for record in records(tuner, 3))
    first = loop.rates[:3]
    assert first == sorted(first, reverse=True) and first[-1] < 0.5 * first[0]


class KeepsForItself(keras_tuner.HyperModel):
    """Hands on none of the callbacks that it is given."""

    def build(self, hp):
        return classifier(hp)

    def fit(self, hp, model, x, y, callbacks, **named):
        return model.fit(x, y, callbacks=RESTORES, **named)


def test_a_fit_that_hands_on_no_callbacks_is_watched_all_the_same(tmp_path):
    tuner = tuner_of(KeepsForItself(), tmp_path, LOSS, steps=0, vanilla_epochs=3)
    told = said(tuner.search, IMAGES, CLASSES, validation_data=(IMAGES, CLASSES), batch_size=12, verbose=0)
    (record,) = tuner.oracle.lineage()
    found = tuner.first_model().evaluate(IMAGES, CLASSES, verbose=0)
    assert record["val_loss"] == pytest.approx(found[0], rel=1e-5) != record["history"]["val_loss"][-1]
    assert any("the learning rate is not annealed" in each for each in told)


def test_limits_reach_into_it(tmp_path):
    tuner = tuner_of(KeepsForItself(), tmp_path, LOSS, steps=0, vanilla_epochs=100_000, max_hours=1e-3)
    tuner.search(IMAGES, CLASSES, validation_data=(IMAGES, CLASSES), batch_size=12, verbose=0)
    (first,) = tuner.oracle.lineage()
    assert first["is_shortened"] and 0 < first["epochs"] < 100_000


class Interrupts(keras.callbacks.Callback):
    """Stands for a kill in the second epoch of the first child."""

    left = 5

    def on_epoch_end(self, epoch, logs=None):
        Interrupts.left -= 1
        if not Interrupts.left:
            raise KeyboardInterrupt


class BacksUp(keras_tuner.HyperModel):
    """Tells which epochs it trains; with a folder it backs them up, each training's apart."""

    def __init__(self, folder=None):
        super().__init__()
        self.folder, self.epochs = folder, []

    def build(self, hp):
        return classifier(hp)

    def fit(self, hp, model, x, y, callbacks, **named):
        place = "-".join(str(hp.values[name]) for name in ("step", "child", "rung"))
        backup = [keras.callbacks.BackupAndRestore(self.folder / place)] if self.folder else []
        trained = model.fit(x, y, validation_data=(x, y), callbacks=[*backup, *callbacks], **named)
        self.epochs.append(trained.epoch)
        return trained


@pytest.mark.parametrize("is_own", [False, True])
def test_what_a_backup_has_restored_ends_with_its_training(is_own, tmp_path, monkeypatch):
    monkeypatch.setattr(Interrupts, "left", 5)
    hypermodel = BacksUp(tmp_path / "backups" if is_own else None)
    given = [] if is_own else [keras.callbacks.BackupAndRestore(tmp_path / "backup")]
    changed = {"epochs_per_step": 12, "vanilla_epochs": 3}
    with pytest.raises(KeyboardInterrupt):
        tuner_of(hypermodel, tmp_path, **changed).search(IMAGES, CLASSES, callbacks=[*given, Interrupts()], verbose=0)
    tuner = tuner_of(hypermodel, tmp_path, **changed)
    told = said(tuner.search, IMAGES, CLASSES, callbacks=given, verbose=0)
    assert hypermodel.epochs == [[0, 1, 2], [2] if is_own else [0, 1, 2], [0, 1, 2], [3, 4, 5, 6, 7, 8]]
    assert sum("BackupAndRestore is left out" in each for each in told) == (not is_own)
    if not is_own:
        whole = tuner_of(BacksUp(), tmp_path / "whole", **changed)
        whole.search(IMAGES, CLASSES, verbose=0)
        assert [each["history"] for each in records(tuner)] == [each["history"] for each in records(whole)]


class OfItself(OwnFit):
    def build(self, hp):
        return plainest(hp)


class OfFour(OfItself):
    def fit(self, hp, model, x, y, **named):
        return model.fit(x, y, validation_data=(x, y), **{"batch_size": 4, **named})


@pytest.mark.parametrize(
    ("hypermodel", "search", "given", "words"),
    [
        (
            OfFour(),
            {},
            {},
            "counts by batch_size=32, as its data have it, and HyperModel.fit trains with batch_size=4:",
        ),
        (OfFour(), {"batch_size": 4}, {}, None),
        (OfFour(), {}, {"batch_size": 8}, None),
        (OfItself(), {}, {}, None),
        (Still(plainest), {}, {}, "examples=48, batch_size=32"),
        (Still(plainest), {"batch_size": 4, "examples": 48}, {}, None),
    ],
)
def test_a_batch_size_that_fit_sets_itself_is_told_once(hypermodel, search, given, words, tmp_path):
    settings = {"method": "fixed", "budget_epochs": 6, "on_trained": ended_after(2), **search}
    tuner = tuner_of(hypermodel, tmp_path, **settings)
    told = said(tuner.search, IMAGES, CLASSES, verbose=0, **given)
    assert len(tuner.oracle.lineage()) == 2
    assert [words in each for each in told if "the search counts by" in each] == [True] * (words is not None)


def test_batches_are_compared_by_what_they_hold():
    assert is_same_batch((IMAGES, CLASSES), (IMAGES.copy(), CLASSES))
    assert not is_same_batch((IMAGES, CLASSES), (IMAGES, None))
    assert not is_same_batch((IMAGES, CLASSES), (LARGE, CLASSES))
    assert not is_same_batch(IMAGES, (IMAGES, CLASSES))


class TrainsAnother(OfItself):
    """Trains a model of its own in place of the one that it is given, or beside it, and hands on what it is given."""

    def __init__(self, make, is_beside=False):
        super().__init__()
        self.make, self.is_beside = make, is_beside

    def fit(self, hp, model, x, y, **named):
        if self.is_beside:
            model.fit(x, y, validation_data=(x, y), **named)
        made = self.make(self, hp, model)
        made.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return made.fit(x, y, validation_data=(x, y), **named)


def built(hypermodel, hp, model):
    return hypermodel.build(hp)


def cloned(hypermodel, hp, model):
    return keras.models.clone_model(model)


def test_a_fit_that_trains_the_first_network_in_place_of_what_it_is_given_ends_the_search(tmp_path):
    hypermodel = TrainsAnother(built)
    tuner = tuner_of(hypermodel, tmp_path, **BORN, calibration=IMAGES)
    with pytest.raises(ValueError, match="did not train the model .* but one of its own build.* in a run_trial of"):
        tuner.search(IMAGES, CLASSES, verbose=0)
    assert not tuner.oracle.end_order and hypermodel.build(keras_tuner.HyperParameters()).built


@pytest.mark.parametrize(("make", "is_beside", "times"), [(cloned, False, 1), (cloned, True, 0), (built, True, 0)])
def test_one_that_trains_a_copy_is_told_so_once_and_one_that_trains_beside_is_not(make, is_beside, times, tmp_path):
    tuner = tuner_of(TrainsAnother(make, is_beside), tmp_path, calibration=IMAGES, on_trained=ended_after(2))
    told = said(tuner.search, IMAGES, CLASSES, verbose=0)
    assert sum("did not train the model that it was given" in each for each in told) == times
