"""A pipeline of few examples."""

import numpy as np

from nash_tf.data.augmentation import Augmentation
from nash_tf.data.pipeline import Pipeline

EVERYTHING = Augmentation(flip=True, shift=0.25, zoom=1.3, rotate=10, colour=0.2, cutout=0.5, mixup=1.0)
SOON_TRACED = Augmentation(flip=True)  # random too: for trainings that are not about how images are drawn
CLASSES = 5


def examples(n=23, h=8, w=6, c=3):
    """Images without equal pixels in an image's channel, none of them black, and labels."""
    rng = np.random.default_rng(0)
    x = np.stack([1 + rng.permutation(254)[: h * w * c].reshape(h, w, c) for _ in range(n)]).astype(np.uint8)
    return x, np.arange(n, dtype=np.int32) % CLASSES


def pipeline(augmentation=EVERYTHING, mean=(0, 0, 0), std=(1, 1, 1), batch_size=10, classes=CLASSES):
    return Pipeline(np.array(mean, np.float32), np.array(std, np.float32), classes, batch_size, augmentation)


def one_pass(dataset):
    """All images and all labels of a pass."""
    images, labels = zip(*dataset.as_numpy_iterator(), strict=True)
    return np.concatenate(images), np.concatenate(labels)


def equal(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
