"""What the user's callbacks mean for a search: whether trainings go on after an interruption, or end early, and that it is said once."""

import keras_tuner
import pytest
from keras.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    ModelCheckpoint,
    TensorBoard,
    TerminateOnNaN,
)

from nash_tf.strategy import methods
from nash_tf.training import resumable_training
from nash_tf.tuning import private_api
from nash_tf.tuning.given_callbacks import warn_of_callbacks, with_state
from nash_tf.tuning.trial_files import UNFINISHED
from tests.helpers.tuners import CLASSES, IMAGES, classifier, in_two_parts, tuner_of


class Mine(TensorBoard):
    """May hold anything."""


class Line(Callback):
    """Holds nothing."""

    goes_on = True


@pytest.mark.parametrize(
    "callback, expected",
    [
        (CSVLogger("a.csv"), []),
        (TerminateOnNaN(), []),
        (TensorBoard("logs"), []),
        (ModelCheckpoint("a.keras"), []),
        (ModelCheckpoint("a.keras", save_best_only=True), ["ModelCheckpoint"]),
        (ModelCheckpoint("a.keras", save_freq=5), ["ModelCheckpoint"]),
        (EarlyStopping(), ["EarlyStopping"]),
        (LambdaCallback(), ["LambdaCallback"]),
        (Mine("logs"), ["Mine"]),
        (Line(), []),
    ],
)
def test_what_may_hold_something(callback, expected):
    assert with_state([callback]) == with_state([Line(), callback, callback]) == expected


def test_a_tuner_says_it_of_its_hooks():
    class Hooked(keras_tuner.Tuner):
        def on_epoch_end(self, trial, model, epoch, logs=None):
            pass

    tuner = Hooked.__new__(Hooked)
    assert with_state(private_api.callbacks_for_hooks(tuner, None)) == ["Hooked"]
    tuner.goes_on = True
    assert with_state(private_api.callbacks_for_hooks(tuner, None)) == []


@pytest.mark.parametrize(
    "method, goes_on, expected",
    [
        ("shr", False, []),
        ("grow", False, ["EarlyStopping: method 'grow'"]),
        ("shr", True, ["for EarlyStopping, Mine may hold"]),
        ("front", True, ["for EarlyStopping, Mine may hold", "EarlyStopping: method 'front'"]),
    ],
)
def test_what_is_said(method, goes_on, expected, recwarn):
    warn_of_callbacks([EarlyStopping(), TerminateOnNaN(), Mine("logs")], methods.registry[method], goes_on)
    said = [str(each.message) for each in recwarn]
    assert len(said) == len(expected) and all(part in each for part, each in zip(expected, said, strict=True))


class GoesOn(keras_tuner.HyperModel):
    """Trains as Keras does, from whatever epoch."""

    goes_on = True

    def build(self, hp):
        return classifier(hp)


@pytest.mark.parametrize(
    "given, is_saved", [([CSVLogger("log.csv"), TerminateOnNaN()], True), ([LambdaCallback()], False)]
)
def test_trainings_are_saved_beside_those_that_hold_nothing(given, is_saved, tmp_path, monkeypatch, recwarn):
    saved = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(resumable_training, "SAVE_EVERY", 0.0)
    monkeypatch.setattr(
        resumable_training.Saver, "_save", lambda self, epoch: saved.append((self._directory.name, epoch))
    )
    tuner = tuner_of(GoesOn(), tmp_path, steps=0, vanilla_epochs=3)
    monkeypatch.setattr(resumable_training, "SAVING", 1e9)
    tuner.search(IMAGES, CLASSES, validation_data=(IMAGES, CLASSES), batch_size=48, verbose=0, callbacks=given)
    assert saved == ([(UNFINISHED, 1), (UNFINISHED, 2)] if is_saved else [])
    said = [each for each in recwarn if "begin anew after an interruption, for LambdaCallback" in str(each.message)]
    assert len(said) == (0 if is_saved else 1) and all(each.filename == __file__ for each in said)


class Own(keras_tuner.HyperModel):
    """Stops early by callbacks of its own, and does not hand on those that it is given."""

    def build(self, hp):
        return classifier(hp)

    def fit(self, hp, model, *args, callbacks=(), **named):
        return model.fit(*args, callbacks=[stops()], **named)


def stops():
    return EarlyStopping("loss", min_delta=9.0, patience=0)


@pytest.mark.parametrize("is_own", [False, True])
def test_epochs_that_were_done_are_recorded_and_spent(is_own, tmp_path, recwarn, monkeypatch):
    in_two_parts(monkeypatch)
    tuner = tuner_of(Own() if is_own else classifier, tmp_path, method="grow", steps=1, budget_epochs=200)
    given = {} if is_own else {"callbacks": stops()}
    tuner.search(IMAGES, CLASSES, validation_data=(IMAGES, CLASSES), batch_size=48, verbose=0, **given)
    lineage, search = tuner.oracle.lineage(), tuner.oracle.search
    assert [record["epochs"] for record in lineage] == [len(record["history"]["loss"]) for record in lineage]
    assert {record["epochs"] for record in lineage[1:]} == {2}
    assert search.spent(search.outcomes.values()) < 150
    assert "2 of its 3 trainings ended before their last epoch" in tuner.oracle.end_reason()
    said = [each for each in recwarn if "EarlyStopping: method 'grow'" in str(each.message)]
    assert len(said) == (0 if is_own else 1)
    again = tuner_of(Own() if is_own else classifier, tmp_path, method="grow", steps=1, budget_epochs=200)
    assert again.oracle.lineage() == lineage and again.oracle.search.finished == search.finished
