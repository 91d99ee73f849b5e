"""A training of a search goes on where it was interrupted, to the same end."""

import shutil
from dataclasses import replace
from pathlib import Path

import keras
import keras_tuner
import pytest

import nash_tf
from nash_tf.keras_models import checkpoint
from nash_tf.keras_models.checkpoint import CheckpointError
from nash_tf.morphisms import registry
from nash_tf.morphisms.base import Move
from nash_tf.optimizers import Muon
from nash_tf.strategy.records import Assignment, TrainingKey
from nash_tf.strategy.schedules import Phase
from nash_tf.surgery.birth import inherit
from nash_tf.training import pace, resumable_training
from nash_tf.training.child_models import ChildModels
from nash_tf.training.errors import FailedTraining, OutOfTime
from nash_tf.training.fit_arguments import FitArguments
from nash_tf.training.trainer import Fit, Trainer
from nash_tf.training.watching import Limits
from nash_tf.tuning.trial_files import UNFINISHED
from tests.helpers.pipelines import CLASSES, EVERYTHING, SOON_TRACED, examples, pipeline

IMAGES, LABELS = examples(40)
FIRST = Assignment(TrainingKey(0, 0, 0), 5, None, (), None, 0, 3, (Phase(3.0),))


def classifier(_):
    """A network that is soon traced."""
    image = keras.Input(IMAGES.shape[1:])
    model = keras.Model(image, keras.layers.Dense(CLASSES)(keras.layers.Flatten()(image)))
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), loss, metrics=["accuracy"])
    return model


class Killed(BaseException):
    """The process ends here."""


def with_everything(_):
    """A network with all that is random in a training."""
    image = keras.Input(IMAGES.shape[1:])
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3, use_bias=False, name="conv")(image))
    x = keras.layers.Dropout(0.3)(keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x)))
    model = keras.Model(image, keras.layers.Dense(CLASSES)(x))
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(Muon(0.05, momentum=0.9, weight_decay=0.01), loss, metrics=["accuracy"])
    return model


def train(
    assignment,
    folder,
    source=None,
    goes_on=True,
    limits=None,
    build=classifier,
    callbacks=(),
    augmentation=SOON_TRACED,
):
    """An outcome, by a trainer that knows of no other training: as in a new process."""
    batches = pipeline(augmentation)

    def fit(model, *, initial_epoch, **named):
        passes = initial_epoch - assignment.initial_epoch
        train = batches.training(IMAGES, LABELS, assignment.seed, passes)
        return model.fit(train, initial_epoch=initial_epoch, shuffle=False, **named)

    models = ChildModels(build)
    models.calibration = IMAGES[:8].astype("float32")
    arguments = FitArguments((), {"validation_data": batches.evaluation(IMAGES, LABELS)})
    given = Fit(fit, arguments, callbacks, is_own=True)
    unfinished = Path(folder, UNFINISHED) if goes_on else None
    target = Path(folder, "checkpoint")
    return Trainer(models, "val_accuracy").train(assignment, given, source, target, 0.5, limits, unfinished)


save = resumable_training.saved_training.save


def die_when_saved(patch):
    """Has trainings saved after each epoch, and interrupted right after that."""

    def and_die(*given):
        save(*given)
        raise Killed

    patch.setattr(resumable_training, "SAVE_EVERY", 0.0)
    patch.setattr(resumable_training, "SAVING", 1e9)
    patch.setattr(resumable_training.saved_training, "save", and_die)


@pytest.fixture
def killed(monkeypatch):
    die_when_saved(monkeypatch)


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    """The directory of a training that was interrupted after its first epoch."""
    folder = tmp_path_factory.mktemp("cut")
    with pytest.MonkeyPatch.context() as patch:
        die_when_saved(patch)
        with pytest.raises(Killed):
            train(FIRST, folder)
    return folder


@pytest.fixture
def once_killed(cut, tmp_path):
    """Such a directory of a test's own."""
    return shutil.copytree(cut, tmp_path / "once killed")


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
    return folder, train(FIRST, folder, build=with_everything, augmentation=EVERYTHING)


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
            train(FIRST, tmp_path, build=with_everything, augmentation=EVERYTHING)
    again = train(FIRST, tmp_path, build=with_everything, augmentation=EVERYTHING)
    assert plain(again) == plain(whole) and weights(tmp_path) == weights(folder)
    assert len(again.history["val_accuracy"]) == 3


def test_so_does_a_child_with_the_certificate_of_its_birth(first, tmp_path, killed):
    child, source = born(first), first[0] / "checkpoint"
    for parent in (source, tmp_path / "not there"):  # which is not asked for again
        with pytest.raises(Killed):
            train(child, tmp_path / "cut", parent, build=with_everything)
    again = train(child, tmp_path / "cut", tmp_path / "not there", build=with_everything)
    whole = train(child, tmp_path / "whole", source, goes_on=False, build=with_everything)
    assert plain(again) == plain(whole) and weights(tmp_path / "cut") == weights(tmp_path / "whole")
    assert again.certificate["max_difference"] <= again.certificate["bound"]


def test_its_times_are_those_of_all_its_parts(once_killed, killed):
    folder = once_killed / UNFINISHED
    saved = resumable_training.saved_training.values(folder)
    assert saved["cpu_seconds"] > 0 and saved["wall_seconds"] > 0
    save(folder, {**saved, "cpu_seconds": 2e3, "wall_seconds": 1e3}, *resumable_training.saved_training.model(folder))
    with pytest.raises(Killed):
        train(FIRST, once_killed)
    outcome = train(FIRST, once_killed)
    assert 2e3 < outcome.cpu_seconds < 2.1e3 and 1e3 < outcome.wall_seconds < 1.1e3


def test_what_is_saved_of_another_training_is_not_taken(first, tmp_path, killed):
    with pytest.raises(Killed):
        train(replace(FIRST, seed=6), tmp_path)
    with pytest.warns(UserWarning, match="begins anew, for what was saved is of another one"), pytest.raises(Killed):
        train(FIRST, tmp_path)
    assert resumable_training.load(tmp_path / UNFINISHED, FIRST)[0].epoch == 1


@pytest.mark.parametrize("name", ["training.json", "checkpoint/state.npz"])
def test_where_what_is_saved_is_damaged_the_training_begins_anew(name, once_killed, killed):
    path = once_killed / UNFINISHED / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.warns(UserWarning, match=f"begins anew.*{name}"), pytest.raises(Killed):
        train(FIRST, once_killed)


def test_nothing_is_saved_within_a_minute_nor_where_going_on_would_differ(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(resumable_training.saved_training, "save", lambda *given: saved.append(given))
    train(FIRST, tmp_path / "a")
    monkeypatch.setattr(resumable_training, "SAVE_EVERY", 0.0)
    monkeypatch.setattr(resumable_training, "SAVING", 1e9)
    train(FIRST, tmp_path / "b", goes_on=False)
    assert not saved


def test_a_limit_on_cpu_time_counts_what_was_spent_before_the_interruption(once_killed, killed):
    folder = once_killed / UNFINISHED
    values = {**resumable_training.saved_training.values(folder), "cpu_seconds": 900.0}
    save(folder, values, *resumable_training.saved_training.model(folder))
    assert resumable_training.seconds(folder, FIRST) == (
        pytest.approx(2 * values["wall_seconds"]),
        pytest.approx(2700.0),
    )
    with pytest.raises(OutOfTime):
        train(FIRST, once_killed, limits=Limits(cpu_seconds=901.0 - 3.0))


def test_limits_count_from_before_the_network_is_made_as_its_outcome_does(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(pace, "now", lambda: (now[0], now[0]))

    def slow(values):
        now[0] += 100.0
        return classifier(values)

    found = train(FIRST, tmp_path, goes_on=False, limits=Limits(seconds=1000.0, cpu_seconds=1000.0), build=slow)
    assert found.wall_seconds == found.cpu_seconds == now[0]
    for limit in ("seconds", "cpu_seconds"):
        with pytest.raises(OutOfTime):
            train(FIRST, tmp_path, goes_on=False, limits=Limits(**{limit: 50.0}), build=slow)


def test_the_time_of_a_search_is_written_when_a_training_is_saved(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(resumable_training, "SAVE_EVERY", 0.0)
    monkeypatch.setattr(resumable_training, "SAVING", 1e9)
    train(
        FIRST,
        tmp_path,
        limits=Limits(saved=lambda: calls.append(resumable_training.state(tmp_path / UNFINISHED).epoch)),
    )
    assert calls == [1, 2]  # not after the last epoch


def test_a_training_goes_on_where_it_cannot_be_saved(tmp_path, monkeypatch):
    def full(*_):
        raise CheckpointError("no space left")

    monkeypatch.setattr(resumable_training, "SAVE_EVERY", 0.0)
    monkeypatch.setattr(resumable_training, "SAVING", 1e9)
    monkeypatch.setattr(resumable_training.saved_training, "save", full)
    with pytest.warns(UserWarning, match="no space left") as warned:
        assert train(FIRST, tmp_path).status == "completed"
    assert sum("no space left" in str(each.message) for each in warned) == 1


class Spoils(keras.callbacks.Callback):
    """Makes a weight NaN at the end of the first epoch."""

    def on_epoch_end(self, epoch, logs=None):
        if not epoch:
            weight = self.model.trainable_variables[0]
            weight.assign(weight * float("nan"))


def adafactor(hyperparameters):
    model = classifier(hyperparameters)
    model.compile(keras.optimizers.Adafactor(0.01), "categorical_crossentropy", metrics=["accuracy"])
    return model


def test_no_weights_are_saved_that_are_not_finite_nor_an_optimiser_whose_state_cannot_be_carried(tmp_path, killed):
    with pytest.raises(FailedTraining):
        train(FIRST, tmp_path / "nan", callbacks=[Spoils()])
    train(FIRST, tmp_path / "adafactor", build=adafactor)
    assert not list(tmp_path.rglob(UNFINISHED))


def test_what_a_process_left_that_died_while_it_saved_is_taken(once_killed):
    (once_killed / UNFINISHED).rename(once_killed / f".{UNFINISHED}.0123abcd.old")  # between two renames
    assert resumable_training.load(once_killed / UNFINISHED, FIRST)[0].epoch == 1


def test_another_process_may_save_it_while_it_is_read(once_killed, monkeypatch):
    folder, read = once_killed / UNFINISHED, resumable_training.saved_training.model
    values, model, left = resumable_training.saved_training.values(folder), read(folder), [1]

    def late(directory):
        if left:
            left.pop()
            save(folder, {**values, "epoch": 2}, *model)
        return read(directory)

    monkeypatch.setattr(resumable_training.saved_training, "model", late)
    assert resumable_training.load(folder, FIRST)[0].epoch == 2


def test_a_hypermodel_says_that_it_goes_on(tmp_path, monkeypatch):
    given = []

    class GoesOn(keras_tuner.HyperModel):
        goes_on = True

        def build(self, hp):
            return classifier(hp)

        def fit(self, hp, model, *args, callbacks, **named):
            given.append([each for each in callbacks if isinstance(each, resumable_training.Saver)])
            return {"val_accuracy": 0.5, "loss": 1.0}

    def is_saved(hypermodel, name, callbacks):
        settings = {"method": "nash", "steps": 0, "vanilla_epochs": 2}
        tuner = nash_tf.HillClimbing(hypermodel, "val_accuracy", directory=tmp_path, project_name=name, **settings)
        tuner.search(IMAGES, LABELS, validation_data=(IMAGES, LABELS), verbose=0, callbacks=callbacks)
        return bool(given.pop())

    assert is_saved(GoesOn(), "a", [])
    assert is_saved(GoesOn(), "b", [keras.callbacks.TensorBoard(str(tmp_path / "logs"))])
    assert is_saved(GoesOn(), "b2", [keras.callbacks.BackupAndRestore(str(tmp_path / "backup"))])
    assert not is_saved(GoesOn(), "c", [keras.callbacks.EarlyStopping()])
    monkeypatch.setattr(GoesOn, "goes_on", False)
    assert not is_saved(GoesOn(), "d", [])
