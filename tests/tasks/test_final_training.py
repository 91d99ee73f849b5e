"""The control's scores."""

import math
import types

import keras
import numpy as np
import pytest

from nash_tf.config import SearchConfig
from nash_tf.data.augmentation import Augmentation
from nash_tf.data.pipeline import Pipeline
from nash_tf.strategy.cooldown import Cooldown
from nash_tf.strategy.records import Goal
from nash_tf.tasks import final_training
from nash_tf.training.saved_long_training import LongTrainingState


def test_the_control_s_test_loss_has_no_label_smoothing_and_compares_with_the_other_networks():
    labels = np.arange(32) % 3
    images = np.zeros((32, 4, 4, 1), np.uint8)
    images[:, 0, 0, 0] = labels
    parts = {"x_test": images, "y_test": labels, "x_valid": images, "y_valid": labels}
    dataset = types.SimpleNamespace(class_names=("a", "b", "c"), **parts)
    image = keras.Input((4, 4, 1))
    answers = keras.layers.Embedding(3, 3, weights=[3 * np.eye(3, dtype=np.float32)])
    model = keras.Model(image, answers(keras.ops.cast(image[:, 0, 0, 0], "int32")))
    smoothed = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.3)
    model.compile("sgd", smoothed, metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")])
    pipeline = Pipeline(np.zeros(1), np.ones(1), 3, 16, Augmentation())
    scores = final_training.scores(
        types.SimpleNamespace(dataset=dataset, pipeline=pipeline, config=SearchConfig()), model
    )
    assert scores["test_accuracy"] == scores["val_accuracy"] == 1.0
    assert scores["test_balanced_accuracy"] == 1.0 and scores["test_balanced_interval"][0] < 1.0
    assert scores["test_loss"] == pytest.approx(np.log(1 + 2 * np.exp(-3)), abs=1e-5) and scores["val_loss"] > 0.5


@pytest.mark.parametrize(
    "name, direction, score, params, expected",
    [
        ("val_accuracy", "max", 0.91, 200, True),
        ("val_accuracy", "max", 0.89, 50, False),
        ("val_accuracy", "max", 0.9, 100, True),
        ("val_accuracy", "max", 0.9, 101, False),
        ("val_loss", "min", 0.91, 50, False),
        ("val_loss", "min", 0.89, 200, True),
        ("val_loss", "min", 0.9, 101, False),
        ("val_loss", "min", math.nan, 50, False),
    ],
)
def test_of_equals_the_smaller_is_better(name, direction, score, params, expected):
    winner = types.SimpleNamespace(metrics={name: 0.9}, architecture=types.SimpleNamespace(params=100))
    assert final_training._is_better(Goal(name, direction), {name: score}, params, winner) is expected


def test_a_control_that_goes_on_has_what_it_has_not_taken_of_its_quarter(monkeypatch, tmp_path):
    class Asked(Exception):
        """The job is known."""

    def train(job, *_):
        raise Asked(job.seconds_left())

    image = keras.Input((4, 4, 1))
    model = keras.Model(image, keras.layers.Dense(3)(keras.layers.Flatten()(image)))
    limits = types.SimpleNamespace(spent=lambda: (500.0, 0.0))
    plan = types.SimpleNamespace(
        limits=limits,
        control_cpu_seconds=lambda: 100.0,
        control_seconds=lambda taken=0.0: 900.0 - taken,
        control_epochs=lambda size: 5.0,
        cost=lambda: types.SimpleNamespace(seconds=lambda epochs, size: 1.0),
    )
    outcome = types.SimpleNamespace(cpu_seconds=50.0, architecture=None)
    search = types.SimpleNamespace(outcomes={0: outcome, 1: outcome}, settings=None, best=0)
    oracle = types.SimpleNamespace(search=search)
    run = types.SimpleNamespace(
        config=SearchConfig(max_hours=1.0, output_dir=str(tmp_path)),
        dataset=types.SimpleNamespace(x_train=None, y_train=None),
        progress=types.SimpleNamespace(line=lambda text: None, then=lambda follows: None),
        tuner=types.SimpleNamespace(oracle=oracle, untrained_first_model=lambda: model),
        plan=plan,
        train=train,
    )
    monkeypatch.setattr(final_training.saved_long_training, "seconds_taken", lambda *_: 600.0)
    monkeypatch.setattr(final_training.outlook, "above_limits", lambda *_: "")
    with pytest.raises(Asked) as asked:
        final_training.control(run)
    assert asked.value.args == (300.0,)


def run_that_trains(trained, said, tmp_path, **settings):
    """What follows a search, as far as a training that has done an epoch."""
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    model.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True))
    limits = types.SimpleNamespace(spent=lambda: (0.0, 0.0), seconds_left_in_all=lambda: math.inf)
    plan = types.SimpleNamespace(
        limits=limits,
        after=types.SimpleNamespace(export=0.0, images=1.0),
        control_cpu_seconds=lambda: 100.0,
        control_seconds=lambda taken=0.0: 900.0,
        control_epochs=lambda size: 1.0,
        test_seconds=lambda *_: 0.0,
        cost=lambda: types.SimpleNamespace(seconds=lambda epochs, size: 1.0),
    )
    outcome = types.SimpleNamespace(cpu_seconds=50.0, architecture=None)
    search = types.SimpleNamespace(outcomes={0: outcome, 1: outcome}, goal=Goal("val_accuracy"), settings=None, best=0)
    ended = LongTrainingState({}, 1, 1, 1, Cooldown(0.0, 1), ended="done")
    images = np.ones((6, 4, 4, 1), np.uint8)
    labels = np.arange(6) % 3
    return model, types.SimpleNamespace(
        config=SearchConfig(output_dir=str(tmp_path), **settings),
        dataset=types.SimpleNamespace(
            class_names=("a", "b", "c"),
            train_and_valid=lambda: (images, labels),
            **{
                f"{name}_{part}": each
                for name, each in (("x", images), ("y", labels))
                for part in ("train", "valid", "test")
            },
        ),
        pipeline=Pipeline(np.zeros(1), np.ones(1), 3, 16, Augmentation()),
        progress=types.SimpleNamespace(line=said.append, then=lambda follows: None),
        tuner=types.SimpleNamespace(oracle=types.SimpleNamespace(search=search), untrained_first_model=lambda: model),
        plan=plan,
        train=lambda *_: (trained(model), ended),
    )


def hurt(model):
    """A copy whose outputs are NaN."""
    copy = final_training.copied(model)
    copy.layers[-1].bias.assign([math.nan] * 3)
    return copy


def test_a_final_training_that_ends_on_nan_is_not_kept(tmp_path):
    said = []
    model, run = run_that_trains(hurt, said, tmp_path, final_epochs=1)
    kept, told = final_training.final(run, model, "control")
    assert kept is model and told["final_epochs_done"] == 0
    assert (
        told["final_ended"]
        == "after the final training the network was not finite (loss=nan); the one before it is kept"
    )
    assert said == [f"Note: {told['final_ended']}."]
    kept, told = final_training.final(
        run_that_trains(final_training.copied, said, tmp_path, final_epochs=1)[1], model, "x"
    )
    assert kept is not model and told == {"final_epochs_done": 1, "final_ended": None} and len(said) == 1


def test_there_is_no_control_whose_outputs_are_nan(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(final_training.outlook, "above_limits", lambda *_: "")
    _, run = run_that_trains(hurt, said, tmp_path)
    assert final_training.control(run) is None
    assert said[-1] == "There is no control: it is not finite, val_loss=nan."


def test_a_copy_trains_what_its_model_trains():
    image = keras.Input((5, 4))
    attention = keras.layers.MultiHeadAttention(2, 4)
    model = keras.Model(image, attention(image, image))
    attention.query_dense.trainable = False
    model.compile("sgd", "mse")
    copy = final_training.copied(model)
    assert [each.path for each in copy.trainable_weights] == [each.path for each in model.trainable_weights]
