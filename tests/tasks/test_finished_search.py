"""What the parts after a search have in common."""

import types

import keras
import numpy as np
import pytest

from nash_tf.config import SearchConfig
from nash_tf.data.augmentation import Augmentation
from nash_tf.data.pipeline import Pipeline
from nash_tf.tasks import finished_search


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
    scores = finished_search.scores(
        types.SimpleNamespace(dataset=dataset, pipeline=pipeline, config=SearchConfig()), model
    )
    assert scores["test_accuracy"] == scores["val_accuracy"] == 1.0
    assert scores["test_balanced_accuracy"] == 1.0 and scores["test_balanced_interval"][0] < 1.0
    assert scores["test_loss"] == pytest.approx(np.log(1 + 2 * np.exp(-3)), abs=1e-5) and scores["val_loss"] > 0.5
