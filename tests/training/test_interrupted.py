"""A training of a search goes on where it was interrupted, to the same end."""

from dataclasses import replace
from pathlib import Path

import keras
import keras_tuner
import pytest

import nash_tf
from nash_tf.keras_models import checkpoint
from nash_tf.morphisms import registry
from nash_tf.morphisms.base import Move
from nash_tf.optimizers import Muon
from nash_tf.strategy.records import Assignment, TrainingKey
from nash_tf.strategy.schedules import Phase
from nash_tf.surgery.birth import inherit
from nash_tf.training import interrupted
from nash_tf.training.child_models import ChildModels
from nash_tf.training.fit_arguments import FitArguments
from nash_tf.training.trainer import UNFINISHED, Fit, Trainer
from tests.helpers.pipelines import CLASSES, examples, pipeline

IMAGES, LABELS = examples(40)
FIRST = Assignment(TrainingKey(0, 0, 0), 5, None, (), None, 0, 3, (Phase(3.0),))


class Killed(BaseException):
    """The process ends here."""


def classifier(_):
    """A network with all that is random in a training."""
    image = keras.Input(IMAGES.shape[1:])
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3, use_bias=False, name="conv")(image))
    x = keras.layers.Dropout(0.3)(keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x)))
    model = keras.Model(image, keras.layers.Dense(CLASSES)(x))
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(Muon(0.05, momentum=0.9, weight_decay=0.01), loss, metrics=["accuracy"])
    return model


def train(assignment, folder, source=None, goes_on=True):
    """An outcome, by a trainer that knows of no other training: as in a new process."""
    batches = pipeline()

    def fit(model, *, initial_epoch, **named):
        passes = initial_epoch - assignment.initial_epoch
        train = batches.training(IMAGES, LABELS, assignment.seed, passes)
        return model.fit(train, initial_epoch=initial_epoch, shuffle=False, **named)

    models = ChildModels(classifier)
    models.calibration = IMAGES[:8].astype("float32")
    arguments = FitArguments((), {"validation_data": batches.evaluation(IMAGES, LABELS)})
    given = Fit(fit, arguments, is_own=True, goes_on=goes_on)
    return Trainer(models, "val_accuracy").train(assignment, given, source, Path(folder, "checkpoint"), 0.5)


@pytest.fixture
def save():
    """The real one."""
    return interrupted.saved_training.save


@pytest.fixture
def killed(save, monkeypatch):
    """Has trainings saved after each epoch, and interrupted right after that."""

    def and_die(*given):
        save(*given)
        raise Killed

    monkeypatch.setattr(interrupted, "SAVE_EVERY", 0.0)
    monkeypatch.setattr(interrupted, "SAVING", 1e9)
    monkeypatch.setattr(interrupted.saved_training, "save", and_die)


def weights(folder):
    state = checkpoint.load(Path(folder, "checkpoint"))[1]
    return {
        sort: {key: array.tobytes() for key, array in arrays.items()}
        for sort, arrays in {"weights": state.weights, **state.slots}.items()
    }


def plain(outcome):
    return replace(outcome, cpu_seconds=0.0, wall_seconds=0.0, architecture=None), outcome.architecture.digest


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    folder = tmp_path_factory.mktemp("first")
    return folder, train(FIRST, folder)


def born(first):
    """A child, which begins with its parent's momentum, and whose certificate was drawn up before the interruption."""
    parent = checkpoint.load(first[0] / "checkpoint")
    widening, *_ = registry["alter_channels"].sites(parent[0])
    moves = (Move("alter_channels", widening, 3),)
    architecture = inherit(*parent, moves).architecture
    key, phases = TrainingKey(1, 0, 1), (Phase(3.0), Phase(3.0))
    return replace(
        FIRST,
        key=key,
        source=FIRST.key,
        moves=moves,
        architecture=architecture,
        initial_epoch=3,
        epochs=6,
        phases=phases,
    )


def test_killed_after_each_epoch_it_comes_to_the_same_end(first, tmp_path, killed):
    folder, whole = first
    for _ in range(2):
        with pytest.raises(Killed):
            train(FIRST, tmp_path)
    again = train(FIRST, tmp_path)
    assert plain(again) == plain(whole) and weights(tmp_path) == weights(folder)
    assert len(again.history["val_accuracy"]) == 3 and not (tmp_path / UNFINISHED).exists()


def test_so_does_a_child_with_the_certificate_of_its_birth(first, tmp_path, killed):
    child, source = born(first), first[0] / "checkpoint"
    for parent in (source, tmp_path / "not there"):  # which is not asked for again
        with pytest.raises(Killed):
            train(child, tmp_path / "cut", parent)
    again = train(child, tmp_path / "cut", tmp_path / "not there")
    whole = train(child, tmp_path / "whole", source, goes_on=False)
    assert plain(again) == plain(whole) and weights(tmp_path / "cut") == weights(tmp_path / "whole")
    assert again.certificate["max_difference"] <= again.certificate["bound"]


def test_its_times_are_those_of_all_its_parts(tmp_path, killed, save):
    with pytest.raises(Killed):
        train(FIRST, tmp_path)
    folder = tmp_path / UNFINISHED
    saved = interrupted.saved_training.values(folder)
    assert saved["cpu_seconds"] > 0 and saved["wall_seconds"] > 0
    save(folder, {**saved, "cpu_seconds": 2e3, "wall_seconds": 1e3}, *interrupted.saved_training.model(folder))
    with pytest.raises(Killed):
        train(FIRST, tmp_path)
    outcome = train(FIRST, tmp_path)
    assert 2e3 < outcome.cpu_seconds < 2.1e3 and 1e3 < outcome.wall_seconds < 1.1e3


def test_what_is_saved_of_another_training_is_not_taken(first, tmp_path, killed):
    with pytest.raises(Killed):
        train(replace(FIRST, seed=6), tmp_path)
    with pytest.raises(Killed):
        train(FIRST, tmp_path)
    assert interrupted.load(tmp_path / UNFINISHED, FIRST.digest)[0].epoch == 1


@pytest.mark.parametrize("name", ["training.json", "checkpoint/state.npz"])
def test_where_what_is_saved_is_damaged_the_training_begins_anew(name, first, tmp_path, killed):
    with pytest.raises(Killed):
        train(FIRST, tmp_path)
    path = tmp_path / UNFINISHED / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.warns(UserWarning, match=f"begins anew.*{name}"), pytest.raises(Killed):
        train(FIRST, tmp_path)


def test_nothing_is_saved_within_a_minute_nor_where_going_on_would_differ(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(interrupted.saved_training, "save", lambda *given: saved.append(given))
    train(FIRST, tmp_path / "a")
    monkeypatch.setattr(interrupted, "SAVE_EVERY", 0.0)
    monkeypatch.setattr(interrupted, "SAVING", 1e9)
    train(FIRST, tmp_path / "b", goes_on=False)
    assert not saved
    train(FIRST, tmp_path / "c")
    assert len(saved) == 2  # not after the last epoch


def test_a_hypermodel_says_that_it_goes_on(tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr("nash_tf.tuning.trial_training.Fit", lambda *values: given.append(values[-1]) or Fit(*values))

    class GoesOn(keras_tuner.HyperModel):
        goes_on = True

        def build(self, hp):
            return classifier(hp)

        def fit(self, hp, model, *args, callbacks, **named):
            return {"val_accuracy": 0.5, "loss": 1.0}

    def search(hypermodel, name, callbacks):
        settings = {
            "method": "nash",
            "steps": 1,
            "children": 2,
            "mutations": 1,
            "epochs_per_step": 2,
            "vanilla_epochs": 1,
        }
        tuner = nash_tf.HillClimbing(hypermodel, "val_accuracy", directory=tmp_path, project_name=name, **settings)
        tuner.search(IMAGES, LABELS, validation_data=(IMAGES, LABELS), verbose=0, callbacks=callbacks)
        told = set(given)
        given.clear()
        return told

    assert search(GoesOn(), "a", []) == {True}
    assert search(GoesOn(), "b", [keras.callbacks.TensorBoard(str(tmp_path / "logs"))]) == {True}
    assert search(GoesOn(), "c", [keras.callbacks.EarlyStopping()]) == {False}
    monkeypatch.setattr(GoesOn, "goes_on", False)
    assert search(GoesOn(), "d", []) == {False}
