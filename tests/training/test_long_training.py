"""A long training: gone on with exactly, at its end in time, never left on weights that are not finite."""

import dataclasses
import io
import itertools
import json

import keras
import numpy as np
import pytest

from nash_tf.architecture import Architecture
from nash_tf.keras_models import fast_training
from nash_tf.keras_models.building import to_keras
from nash_tf.keras_models.checkpoint import CheckpointError
from nash_tf.keras_models.state import read_state, write_state
from nash_tf.strategy.schedules import Timeline, annealings
from nash_tf.terminal.progress import Progress
from nash_tf.training import long_training, pace, saved_long_training
from nash_tf.training.long_training import Job
from nash_tf.training.saved_long_training import CUT, DONE, NOT_FINITE
from nash_tf.training.watching import digest
from tests.helpers.pipelines import CLASSES, EVERYTHING, SOON_TRACED, examples, pipeline

IMAGES, LABELS = examples(40)


@pytest.fixture(scope="module")
def first():
    """An architecture with all that is random in a training, and its weights."""
    keras.utils.set_random_seed(0)
    image = keras.Input(IMAGES.shape[1:])
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3, use_bias=False)(image))
    x = keras.layers.Dropout(0.3)(keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x)))
    model = keras.Model(image, keras.layers.Dense(CLASSES)(x))
    return Architecture.from_keras(model), read_state(model)


@pytest.fixture
def make(first):
    def made():
        model = to_keras(first[0])
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss, metrics=["accuracy"], jit_compile=False)
        fast_training.prepare(model)
        write_state(model, first[1])
        return model

    return made


def job(**changed):
    given = {"name": "long", "identity": {"of": "first"}, "images": IMAGES, "labels": LABELS}
    return Job(**{**given, "seed": 5, "rate": 0.1, "epochs": 4, **changed})


def train(made, directory, on_epoch=lambda: None, augmentation=SOON_TRACED, **changed):
    batches = pipeline(augmentation)
    return long_training.train(job(**changed), made, batches, directory, Progress(io.StringIO()), on_epoch)


class Killed(BaseException):
    """The process ends here."""


def killed_after(epochs):
    """Ends a training when so many of its epochs are saved."""
    left = [epochs]

    def on_epoch():
        left[0] -= 1
        if not left[0]:
            raise Killed

    return on_epoch


def test_interrupted_it_comes_to_the_same_end(make, tmp_path):
    model, training = train(make, tmp_path / "whole", augmentation=EVERYTHING)
    assert (training.epoch, training.ended, training.cooldown) == (4, DONE, Timeline(0.0, annealings([4.0])))
    for epochs in (1, 2):  # saved by one process after the other
        with pytest.raises(Killed):
            train(make, tmp_path / "cut", killed_after(epochs), augmentation=EVERYTHING)
    again, training = train(make, tmp_path / "cut", augmentation=EVERYTHING)
    assert digest(again) == digest(model) and (training.epoch, training.ended) == (4, DONE)
    assert training.cpu_seconds > 0 and not list(tmp_path.rglob(".*"))


def test_what_is_done_is_not_done_again_and_another_job_replaces_it(make, tmp_path):
    model, _ = train(make, tmp_path / "run")
    calls = []
    assert digest(train(make, tmp_path / "run", lambda: calls.append(1))[0]) == digest(model) and not calls
    _, training = train(make, tmp_path / "run", lambda: calls.append(1), identity={"of": "another"}, epochs=2)
    assert training.epoch == len(calls) == 2


@pytest.fixture
def rates(monkeypatch):
    """The rate at the end of each epoch."""
    seen, ends = [], long_training.PhasedRate.on_epoch_end

    def record(self, epoch, logs=None):
        ends(self, epoch, logs)
        seen.append(float(self.model.optimizer.learning_rate))

    monkeypatch.setattr(long_training.PhasedRate, "on_epoch_end", record)
    return seen


def test_where_time_is_short_it_has_the_epochs_that_fit_with_one_whole_cooldown(make, tmp_path, monkeypatch, rates):
    monkeypatch.setattr(long_training, "replanned", lambda epoch, wanted, last, *_: last if epoch < 2 else 6)
    _, training = train(make, tmp_path / "run", epochs=50, limit=0.1)
    assert (training.epoch, training.wanted, training.ended) == (6, 50, CUT)
    assert rates[1] > 0.099 and rates == sorted(rates, reverse=True)
    assert rates[2] < 0.095 and rates[-1] < 0.001  # 4 batches an epoch: the last is a little before the end


def test_with_no_time_at_all_nothing_is_trained(make, tmp_path):
    model, training = train(make, tmp_path / "run", seconds_left=lambda: 5.0, pace=160.0)
    assert (training.epoch, training.ended) == (0, CUT) and digest(model) == digest(make())


def test_cut_within_an_epoch_the_last_whole_one_is_kept_and_done_anew_under_another_limit(make, tmp_path, monkeypatch):
    weights = []

    class Late(long_training.Watch):
        def on_train_batch_end(self, batch, logs=None):
            if len(weights) == 2:
                raise long_training.OutOfTime("late")

    monkeypatch.setattr(long_training, "Watch", Late)
    model, training = train(make, tmp_path / "run", lambda: weights.append(1), limit=0.1)
    assert (training.epoch, training.wanted, training.ended) == (2, 4, CUT)
    monkeypatch.undo()
    assert digest(train(make, tmp_path / "run", limit=0.1)[0]) == digest(model)
    assert train(make, tmp_path / "run", limit=0.2)[1].epoch == 4


def test_what_an_interrupted_training_has_taken_is_known(make, tmp_path):
    directory, first = tmp_path / "run", {"of": "first"}
    assert saved_long_training.seconds_taken(directory, first, 0.1) == 0
    with pytest.raises(Killed):
        train(make, directory, killed_after(2), limit=0.1)
    taken = saved_long_training.seconds_taken(directory, first, 0.1)
    assert taken == json.loads((directory / "training.json").read_text())["seconds"] > 0
    assert saved_long_training.seconds_taken(directory, {"of": "another"}, 0.1) == 0


def test_weights_that_are_not_finite_are_those_of_the_epoch_before(make, tmp_path):
    made = []

    def watched():
        made.append(make())
        return made[-1]

    def poison():
        made[-1].trainable_variables[0].assign(np.nan * made[-1].trainable_variables[0])

    model, training = train(watched, tmp_path / "run", poison)
    assert (training.epoch, training.ended) == (1, NOT_FINITE)
    assert all(np.isfinite(array).all() for array in read_state(model).weights.values())
    assert digest(model) != digest(make()) and digest(train(make, tmp_path / "run")[0]) == digest(model)


def test_its_length_may_be_given_in_cpu_seconds(make, tmp_path, monkeypatch):
    ticks = itertools.count()
    monkeypatch.setattr(pace, "now", lambda: (0.0, 0.04 * next(ticks)))  # an epoch reads the clock a few times
    _, short = train(make, tmp_path / "short", epochs=1, cpu_seconds=1.0)
    assert short.epoch == short.wanted > 1 and short.ended == DONE
    assert 0.8 <= short.cpu_seconds <= 1.2


@pytest.mark.parametrize("saved_epochs", [0, 3])
def test_it_ends_at_no_rate_also_where_it_takes_as_long_as_was_foretold(
    make, tmp_path, monkeypatch, rates, saved_epochs
):
    """Its cooldown is longer at first, also in what earlier versions have saved."""
    monkeypatch.setattr(long_training, "is_about", lambda *epochs: True)
    if saved_epochs:
        kept = long_training._Keeper._planned
        monkeypatch.setattr(long_training._Keeper, "_planned", lambda self, training: training)
        with pytest.raises(Killed):
            train(make, tmp_path / "run", killed_after(saved_epochs), epochs=9, cpu_seconds=99.0)
        monkeypatch.setattr(long_training._Keeper, "_planned", kept)
    _, training = train(make, tmp_path / "run", epochs=9, cpu_seconds=99.0)
    assert (training.epoch, training.last, training.ended) == (9, 9, DONE) and training.cooldown.end == pytest.approx(9)
    assert rates == sorted(rates, reverse=True) and rates[-1] < 0.001


@pytest.mark.parametrize("damage", ["digit", "array"])
def test_damaged_files_are_named_with_the_remedy(damage, make, tmp_path):
    train(make, tmp_path / "run", epochs=1)
    path = tmp_path / "run" / ("training.json" if damage == "digit" else "checkpoint/state.npz")
    content = bytearray(path.read_bytes())
    place = content.index(b'"epoch": 1') + 9 if damage == "digit" else len(content) // 2
    content[place] ^= 3
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="run.*; remove .*run, and the training is done again"):
        train(make, tmp_path / "run", epochs=1)


def test_how_far_it_has_come_is_json_for_whoever_reads_the_run(make, tmp_path):
    train(make, tmp_path / "run", epochs=1)
    values = json.loads((tmp_path / "run" / "training.json").read_text())
    fields = {field.name for field in dataclasses.fields(saved_long_training.LongTrainingState)}
    assert values.keys() == fields | {"sha256"} and values["cooldown"] == [0.0, 1]
