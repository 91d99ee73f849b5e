"""Runs whose search is over, as far as what follows needs them."""

import math
import types

import keras
import numpy as np

from nash_tf.config import SearchConfig
from nash_tf.data.augmentation import Augmentation
from nash_tf.data.pipeline import Pipeline
from nash_tf.strategy.records import Goal
from nash_tf.strategy.schedules import Timeline, annealings
from nash_tf.tasks import final_training
from nash_tf.training.saved_long_training import LongTrainingState


def run_that_trains(trained, said, tmp_path, **settings):
    """What follows a search, as far as a training that has done an epoch."""
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    model.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True))
    limits = types.SimpleNamespace(spent=lambda: (0.0, 0.0), seconds_left_in_all=lambda: math.inf)
    plan = types.SimpleNamespace(
        limits=limits,
        after=types.SimpleNamespace(exports=0.0, images=1.0),
        control_cpu_seconds=lambda: 100.0,
        control_seconds=lambda taken=0.0: 900.0,
        control_epochs=lambda size: 1.0,
        test_seconds=lambda *_: 0.0,
        cost=lambda: types.SimpleNamespace(seconds=lambda epochs, size: 1.0),
    )
    outcome = types.SimpleNamespace(cpu_seconds=50.0, architecture=None)
    search = types.SimpleNamespace(outcomes={0: outcome, 1: outcome}, goal=Goal("val_accuracy"), settings=None, best=0)
    ended = LongTrainingState({}, 1, 1, 1, Timeline(0.0, annealings([1])), ended="done")
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
