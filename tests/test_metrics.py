"""Balanced accuracy as a Keras metric."""

import keras
import numpy as np
import pytest

from nash_tf.keras_models import fast_training
from nash_tf.keras_models.compilation import compile_like
from nash_tf.metrics import BalancedAccuracy
from nash_tf.scores import classification

DICE = np.random.default_rng(0)
LABELS = np.repeat([0, 1, 2], [60, 30, 4])  # sorted: no batch has the shares of the whole
LOGITS = DICE.normal(size=(94, 4)) + 1.5 * np.eye(4)[LABELS]
ONE_HOT = np.eye(4, dtype=np.float32)[LABELS]


def expected(labels, logits):
    confusion = np.zeros((4, 4), int)
    np.add.at(confusion, (labels, logits.argmax(axis=1)), 1)
    return classification.overall(confusion)["balanced_accuracy"]


def model():
    logits = keras.Input((4,))
    made = keras.Model(logits, keras.layers.Dense(4, kernel_initializer="identity")(logits))
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    made.compile(keras.optimizers.SGD(0.1), loss, metrics=["accuracy", BalancedAccuracy(4)], jit_compile=False)
    return made


@pytest.mark.parametrize("size", [1, 10, 94])
def test_it_is_that_of_all_images_and_no_mean_over_batches(size):
    metric = BalancedAccuracy(4)
    for start in range(0, 94, size):
        metric.update_state(ONE_HOT[start : start + size], LOGITS[start : start + size])
    assert float(metric.result()) == pytest.approx(expected(LABELS, LOGITS), abs=1e-6)
    metric.reset_state()
    assert float(metric.result()) == 0.0


def test_weights_and_mixed_labels():
    metric = BalancedAccuracy(2)
    labels, answers = [[1, 0], [1, 0], [0.4, 0.6]], [[1, 0], [0, 1], [0, 1]]
    metric.update_state(np.array(labels), np.array(answers), sample_weight=np.array([3.0, 1.0, 2.0]))
    assert float(metric.result()) == pytest.approx((3 / 4 + 1) / 2)


def test_a_prepared_model_reports_the_same_of_its_validation_data():
    made = fast_training.prepare(model())
    fitted = made.fit(LOGITS, ONE_HOT, validation_data=(LOGITS, ONE_HOT), batch_size=10, verbose=0)
    answers = made.predict(LOGITS, verbose=0)
    assert fitted.history["val_balanced_accuracy"] == [pytest.approx(expected(LABELS, answers), abs=1e-6)]


def test_it_follows_a_model_to_a_file_and_to_a_child(tmp_path):
    made = model()
    before = made.evaluate(LOGITS, ONE_HOT, verbose=0, return_dict=True)
    made.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    child = model()
    compile_like(child, made)
    for other in (loaded, child):
        assert other.evaluate(LOGITS, ONE_HOT, verbose=0, return_dict=True) == pytest.approx(before)
    assert BalancedAccuracy.from_config(BalancedAccuracy(7, "name").get_config()).classes == 7
