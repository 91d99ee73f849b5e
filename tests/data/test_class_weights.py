"""Weights of the loss by class in batches."""

import keras
import numpy as np
import pytest

from nash_tf.data.augmentation import Augmentation, weighted
from nash_tf.data.pipeline import Pipeline
from nash_tf.data.rows import Rows
from tests.helpers.pipelines import CLASSES, EVERYTHING, examples, one_pass, pipeline

WEIGHTS = np.array([0.5, 1, 2, 4, 8], np.float32)


def of(augmentation, weights=WEIGHTS):
    return Pipeline(np.zeros(3, np.float32), np.ones(3, np.float32), CLASSES, 10, augmentation, weights)


def test_the_loss_of_mixed_labels_is_the_mixture_of_the_weighted_losses():
    dice = np.random.default_rng(0)
    labels = dice.dirichlet(np.ones(CLASSES), size=6).astype(np.float32)
    logits = dice.normal(size=(6, CLASSES)).astype(np.float32)
    scaled, total = weighted(labels, WEIGHTS)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, reduction=None)(scaled, logits, sample_weight=total)
    log_shares = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    assert loss.numpy() == pytest.approx(-(WEIGHTS * labels * log_shares).sum(axis=1), rel=1e-5)
    assert scaled.numpy().sum(axis=1) == pytest.approx(np.ones(6))


def test_each_image_has_the_weight_of_its_class():
    batches = of(Augmentation()).training(*examples(), seed=0)
    for _, labels, weights in batches.as_numpy_iterator():
        assert np.array_equal(weights, WEIGHTS[labels.argmax(axis=1)]) and set(np.unique(labels)) == {0, 1}
    assert [spec.shape.as_list() for spec in batches.element_spec] == [[None, 8, 6, 3], [None, CLASSES], [None]]


@pytest.mark.parametrize("large", [False, True])
def test_images_and_mixtures_stay_as_they_are_without_weights(large):
    x, y = examples()
    x = Rows(x, np.arange(len(x))) if large else x
    plain = one_pass(pipeline(EVERYTHING).training(x, y, seed=3))
    parts = zip(*of(EVERYTHING).training(x, y, seed=3).as_numpy_iterator(), strict=True)
    images, labels, weights = (np.concatenate(part) for part in parts)
    assert np.array_equal(images, plain[0])
    assert weights == pytest.approx((plain[1] * WEIGHTS).sum(axis=1), rel=1e-5)
    assert labels * weights[:, None] == pytest.approx(plain[1] * WEIGHTS, rel=1e-5)


def test_validation_has_no_weights():
    assert len(of(EVERYTHING).evaluation(*examples()).element_spec) == 2


@pytest.mark.parametrize("weights", [np.ones(4), np.zeros(5), np.full(5, np.nan)])
def test_others_are_refused(weights):
    with pytest.raises(ValueError, match=r"expected class_weights \[5\] above 0"):
        of(EVERYTHING, weights)
