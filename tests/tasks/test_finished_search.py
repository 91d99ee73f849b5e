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


@pytest.mark.parametrize(
    ("settings", "members"),
    [
        ({"method": "front", "steps": 3}, 3),
        ({"method": "front", "front_sizes": (300, 900)}, 1),
        ({"method": "sh", "front_sizes": (300,)}, 0),  # made after the search, as long as there is time
    ],
)
def test_time_is_held_back_for_the_export_of_each_network_that_the_search_finishes(settings, members):
    parts = dict.fromkeys(("y_train", "y_valid", "y_test"), np.zeros(8))
    after = finished_search.after(SearchConfig(**settings), types.SimpleNamespace(**parts), 30.0, 20.0)
    assert after.exports == 30.0 + members * 20.0
