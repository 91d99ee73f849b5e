"""Training steps with Keras: plain `fit`, `fit` as in a search, and a loop written by hand."""

from dataclasses import replace

import keras
import numpy as np
import tensorflow as tf

from nash_tf.architecture import Architecture
from nash_tf.data.augmentation import Augmentation
from nash_tf.data.pipeline import Pipeline
from nash_tf.keras_models import fast_training
from nash_tf.keras_models.autotuning import untuned
from nash_tf.keras_models.building import to_keras

AUGMENTATIONS = {
    "none": Augmentation(),
    "flip, shift": Augmentation(flip=True, shift=0.125),
    "full": Augmentation(flip=True, shift=0.125, cutout=0.5, mixup=0.2),
}


def compiled(architecture: Architecture, jit_compile=False) -> keras.Model:
    """A model of an architecture, compiled with the settings of a search."""
    model = to_keras(architecture)
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9, weight_decay=5e-3)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta", "alpha"])
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    metrics = [keras.metrics.CategoricalAccuracy(name="accuracy")]
    model.compile(optimizer, loss, metrics=metrics, jit_compile=jit_compile)
    return model


def with_precision(architecture: Architecture, precision: str) -> Architecture:
    """A float32 architecture in another precision, except for its dense layers."""
    if precision == "float32":
        return architecture
    nodes = [
        node if node.kind in ("InputLayer", "Dense") else replace(node, config={**node.config, "dtype": precision})
        for node in architecture.nodes
    ]
    return Architecture(tuple(nodes), architecture.outputs)


def resident(batches, classes: int) -> tf.data.Dataset:
    """A data set of batches that are in memory as tensors, so that reading one costs nothing."""
    tensors = [(tf.constant(x), tf.one_hot(y, classes)) for x, y in batches]
    images, labels = (tf.stack(part) for part in zip(*tensors, strict=True))
    return untuned(tf.data.Dataset.range(len(tensors)).map(lambda number: (images[number], labels[number])))


def by_fit(model: keras.Model, data: tf.data.Dataset, callbacks=()):
    """A function that trains a model for one epoch with `fit`."""
    return lambda: model.fit(data, shuffle=False, verbose=0, callbacks=[*callbacks])


def by_hand(architecture: Architecture, batches, classes: int):
    """A function that trains for one epoch with a bare loop around a `tf.function`, without metrics or callbacks."""
    model, loss = fast_training.prepare(compiled(architecture)), keras.losses.CategoricalCrossentropy(from_logits=True)
    model.optimizer.build(model.trainable_variables)

    @tf.function(autograph=False)
    def step(x, y):
        with tf.GradientTape() as tape:
            value = loss(y, model(x, training=True))
        model.optimizer.apply_gradients(
            zip(tape.gradient(value, model.trainable_weights), model.trainable_weights, strict=True)
        )
        return value

    tensors = [(tf.constant(x), tf.one_hot(y, classes)) for x, y in batches]

    def run():
        for x, y in tensors:
            value = step(x, y)
        return float(value)

    return run


def augmented(images: np.ndarray, labels: np.ndarray, classes: int, batch: int, which: str) -> tf.data.Dataset:
    """Batches of the search's pipeline.

    Args:
        images: uint8 [n, height, width, 3].
        labels: whole numbers [n].
        classes: number of classes.
        batch: number of images in a batch.
        which: a name in `AUGMENTATIONS`.
    """
    mean, std = np.full(3, 120.0, np.float32), np.full(3, 60.0, np.float32)
    return Pipeline(mean, std, classes, batch, AUGMENTATIONS[which]).training(images, labels, 0)


def matmul(size: int, precision: str):
    """A function that multiplies two square matrices."""
    matrix = tf.cast(tf.random.stateless_normal((size, size), (0, 0)), precision)
    product = tf.function(lambda: tf.reduce_sum(tf.matmul(matrix, matrix)[0]), autograph=False)
    return lambda: float(product())
