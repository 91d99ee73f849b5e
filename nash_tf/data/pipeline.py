"""Batches for training and evaluation: tf.data on the CPU over images held once, in memory or in a file.

Everything random in a batch is a pure function of (seed, pass, batch number), computed by stateless
operations, so batches do not depend on threads, on other random draws in the process or on TensorFlow's
global seed.
"""

import math
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from nash_tf.data.augmentation import (
    RNG,
    Augmentation,
    coloured,
    draw_colours,
    draw_lambdas,
    draw_moves,
    draw_squares,
    draw_warps,
    look_up,
    mixup,
    moved,
    weighted,
)
from nash_tf.data.pixels import scaling
from nash_tf.data.rows import Rows
from nash_tf.keras_models.autotuning import untuned
from nash_tf.settings.images import STANDARD, UNIT

_WARPS, _COLOURS = 3, 4  # what keys are derived by, so that other draws do not depend on these
plain = tf.autograph.experimental.do_not_convert  # no Python control flow to convert: saves its time


class Pipeline:
    """Makes datasets of (images float32 [b, h, w, c], one-hot labels float32 [b, classes]) from arrays, or `Rows` of many.
    With class weights training batches have a weight float32 [b] for each image too.

    The work on a batch is traced once for each image shape and type; arrays are copied into TensorFlow once,
    recognised by identity and held as long as the pipeline, so they must not be changed afterwards. Making a
    dataset costs milliseconds after the first. Of `Rows` a batch is taken at a time; it is the same to the bit.

    Args:
        mean, std: float32 [c], in units of the pixels.
        classes: number of classes.
        batch_size: images in a training batch.
        augmentation: what happens to training images.
        class_weights: of the training loss, float32 [classes], above 0; None for none.

    Raises:
        ValueError: an argument does not fit another.
    """

    def __init__(
        self,
        mean: np.ndarray,
        std: np.ndarray,
        classes: int,
        batch_size: int,
        augmentation: Augmentation,
        class_weights: np.ndarray | None = None,
    ):
        self.class_weights = None if class_weights is None else np.asarray(class_weights, np.float32)
        self.mean, self.std = np.asarray(mean, np.float32), np.asarray(std, np.float32)
        self.classes, self.batch_size, self.augmentation = classes, batch_size, augmentation
        if self.mean.ndim != 1 or self.mean.shape != self.std.shape or not (self.std > 0).all():
            raise ValueError(f"expected mean [c] and positive std [c]. Received: mean {mean}, std {std}")
        if classes < 2 or batch_size < 1:
            raise ValueError(f"expected classes >= 2, batch_size >= 1. Received: {classes}, {batch_size}")
        weights = self.class_weights
        if weights is not None and (weights.shape != (classes,) or not (weights > 0).all()):
            raise ValueError(f"expected class_weights [{classes}] above 0. Received: {class_weights}")
        self._tensors = _IdentityCache()
        self._evaluations = _IdentityCache()
        # Nothing in them hangs on values of tensors, and autograph would take a second of a process to find that out.
        self._traced = {
            name: tf.function(getattr(self, name), autograph=False) for name in ("_batch", "_seeded", "_clean")
        }

    def scaling(self, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
        """What is subtracted from each channel of pixels of a type, and what they are divided by then, float32 [c] each."""
        chosen = self.augmentation.pixels or (STANDARD if self.augmentation.normalise else UNIT)
        return scaling(chosen, self.mean, self.std, dtype)

    def training(self, x: np.ndarray | Rows, y: np.ndarray, seed: int, passes: int = 0) -> tf.data.Dataset:
        """Augmented batches, shuffled anew in each pass; a pass is an epoch, its last batch may be smaller.

        A pass counts once its last batch was taken: an iterator that was only made, or dropped half-way,
        leaves the dataset where it was. Two datasets of the same seed give the same batches, pass after pass.
        One dataset is meant for one consumer at a time.

        Args:
            x: images [n, h, w, c], uint8 or float32.
            y: integer labels [n].
            seed: any integer >= 0.
            passes: how many passes were made before, by another dataset of the same seed.
        """
        work = self._taking(x, y) if isinstance(x, Rows) else self._holding(x, y)
        drawn: dict[int, tf.Tensor] = {}
        key = np.random.SeedSequence(seed).generate_state(1, np.uint64).view(np.int32)
        size, shapes = len(x), [(None, *x.shape[1:]), (None, self.classes)]
        shapes += [] if self.class_weights is None else [(None,)]
        steps = math.ceil(size / self.batch_size)
        with tf.device("CPU"):
            key, passed = tf.constant(key), tf.Variable(passes, trainable=False, dtype=tf.int32)

        def one(step):
            now = int(passed)
            if now not in drawn:  # once for a pass: 0.7 ms for 50,000 images
                drawn.clear()
                drawn[now] = self._order(key, passed.value(), size)
            return work(drawn[now], key, passed.value(), step)

        @plain
        def batch(step):
            # Called from Python: within its own graph tf.data would instantiate the traced work anew for each
            # iterator, and Keras makes two in an epoch (70 ms each, against 5).
            parts = tf.py_function(one, [step], [tf.float32] * len(shapes))
            return step, *map(tf.ensure_shape, parts, shapes)

        @plain
        def count(step, *parts):
            # After the prefetch, so it runs when the consumer takes the batch: all of the pass is drawn then.
            passed.assign_add(tf.cast(step == steps - 1, tf.int32))
            return parts

        dataset = tf.data.Dataset.range(steps, output_type=tf.int32).map(batch).prefetch(2).map(count)
        options = tf.data.Options()
        # An injected prefetch would run `count` ahead of the consumer.
        options.experimental_optimization.inject_prefetch = False
        return untuned(dataset.with_options(options))

    def evaluation(self, x: np.ndarray | Rows, y: np.ndarray, batch_size: int = 512) -> tf.data.Dataset:
        """All images in order, normalised only. The same arrays give the same dataset object.

        Args:
            x: images [n, h, w, c], uint8 or float32.
            y: integer labels [n].
            batch_size: images in a batch; the last may hold fewer.
        """
        return self._evaluations.get((x, y), partial(self._evaluation, x, y, batch_size), batch_size)

    def _evaluation(self, x: np.ndarray | Rows, y: np.ndarray, batch_size: int) -> tf.data.Dataset:
        images, labels = (x, self._labels(x, y)) if isinstance(x, Rows) else self._hold(x, y)
        size = len(x)

        @plain
        def batch(step):
            part = slice(step * batch_size, tf.minimum((step + 1) * batch_size, size))
            if isinstance(images, Rows):
                taken = tf.numpy_function(lambda start, stop: images[start:stop], [part.start, part.stop], images.dtype)
                taken = tf.ensure_shape(taken, (None, *images.shape[1:]))
            else:
                taken = images[part]
            return self._traced["_clean"](taken, labels[part])

        steps = math.ceil(size / batch_size)
        return untuned(tf.data.Dataset.range(steps, output_type=tf.int32).map(batch).prefetch(2))

    def _holding(self, x: np.ndarray, y: np.ndarray) -> Callable[..., list[tf.Tensor]]:
        """Makes a batch, given (order, key, pass, step), of arrays that TensorFlow holds."""
        images, labels = self._hold(x, y)
        return partial(self._traced_batch(images), images, labels)

    def _taking(self, x: Rows, y: np.ndarray) -> Callable[..., list[tf.Tensor]]:
        """Makes a batch, given (order, key, pass, step), of images that are taken for it."""
        self._require(x, y)
        scalar = tf.TensorSpec((), tf.int32)
        work = self._traced["_seeded"].get_concrete_function(
            tf.TensorSpec((None, *x.shape[1:]), x.dtype),
            tf.TensorSpec((None,), tf.int32),
            tf.TensorSpec((2,), tf.int32),
            scalar,
            scalar,
        )

        def batch(order, key, epoch, step):
            start = int(step) * self.batch_size
            chosen = order.numpy()[start : start + self.batch_size]
            with tf.device("CPU"):
                return work(tf.constant(x[chosen]), tf.constant(y[chosen], tf.int32), key, epoch, step)

        return batch

    def _hold(self, x: np.ndarray, y: np.ndarray) -> tuple[tf.Tensor, tf.Tensor]:
        """The arrays as tensors in host memory."""
        labels = self._labels(x, y)
        return self._tensor(x, x.dtype), labels

    def _labels(self, x: np.ndarray | Rows, y: np.ndarray) -> tf.Tensor:
        """The labels as a tensor in host memory."""
        self._require(x, y)
        return self._tensor(y, np.int32)

    def _require(self, x: np.ndarray | Rows, y: np.ndarray) -> None:
        """Raises ValueError unless images and labels are usable."""
        if x.ndim != 4 or x.shape[3] != len(self.mean) or x.dtype not in (np.uint8, np.float32):
            rule = f"uint8 or float32 images [n, h, w, {len(self.mean)}]"
            raise ValueError(f"x: expected {rule}. Received: {x.dtype} of shape {x.shape}")
        if y.shape != x.shape[:1] or not len(y) or y.min() < 0 or y.max() >= self.classes:
            rule = f"labels 0 to {self.classes - 1} of {len(x)} >= 1 images"
            raise ValueError(f"y: expected {rule}. Received: shape {y.shape}, values {np.unique(y)[:20]}")

    def _tensor(self, array: Any, dtype: Any) -> tf.Tensor:
        with tf.device("CPU"):
            return self._tensors.get((array,), lambda: tf.constant(array, dtype))

    def _traced_batch(self, images: tf.Tensor) -> Callable[..., list[tf.Tensor]]:
        """`_batch`, traced once for any number of images of one shape and type."""
        scalar = tf.TensorSpec((), tf.int32)
        return self._traced["_batch"].get_concrete_function(
            tf.TensorSpec((None, *images.shape[1:]), images.dtype),
            tf.TensorSpec((None,), tf.int32),
            tf.TensorSpec((None,), tf.int32),
            tf.TensorSpec((2,), tf.int32),
            scalar,
            scalar,
        )

    @staticmethod
    def _order(key: tf.Tensor, epoch: tf.Tensor, size: int) -> tf.Tensor:
        """The images' order in a pass, int32 [n]."""
        with tf.device("CPU"):
            key = tf.random.fold_in(key, epoch, alg=RNG)
            return tf.random.experimental.stateless_shuffle(tf.range(size), seed=key, alg=RNG)

    def _batch(
        self, x: tf.Tensor, y: tf.Tensor, order: tf.Tensor, key: tf.Tensor, epoch: tf.Tensor, step: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        """Batch number `step` of pass number `epoch`, in this order, over all images [n, h, w, c] with labels [n]."""
        with tf.device("CPU"):  # a GPU has the training step to do
            chosen = order[step * self.batch_size : (step + 1) * self.batch_size]
            return self._traced["_seeded"](tf.gather(x, chosen), tf.gather(y, chosen), key, epoch, step)

    def _seeded(
        self, x: tf.Tensor, y: tf.Tensor, key: tf.Tensor, epoch: tf.Tensor, step: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        """Batch number `step` of pass number `epoch`, of images [b, h, w, c] with labels [b]."""
        with tf.device("CPU"):
            key = tf.random.fold_in(tf.random.fold_in(key, epoch, alg=RNG), step + 1, alg=RNG)
            return self._augment(x, y, key)

    def _clean(self, x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self._normalise(x)[0], tf.one_hot(y, self.classes)

    def _augment(self, x: tf.Tensor, y: tf.Tensor, key: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Augments images [b, h, w, c] with labels [b]; returns images, one-hot labels and, with class weights, theirs."""
        a, (b, (h, w)) = self.augmentation, (tf.shape(x)[0], x.shape[1:3])
        keys = tf.unstack(tf.random.split(key, 3, alg=RNG))
        deviation = self.std / self.scaling(x.dtype.as_numpy_dtype)[1]
        x, mean = self._normalise(x)
        if a.colour:
            drawn = draw_colours(tf.random.fold_in(key, _COLOURS, alg=RNG), b, x.shape[3], a.colour)
            x = coloured(x, mean, deviation, *drawn)
        if a.has_moves:
            moves = draw_moves(keys[0], b, h, w, a.flip, a.shift)
            warps = draw_warps(tf.random.fold_in(key, _WARPS, alg=RNG), b, a.zoom, a.rotate) if a.has_warps else None
            pixels, seen = moved(*moves, h, w, warps)
            if a.cutout:
                seen &= ~draw_squares(keys[1], b, h, w, round(a.cutout * min(h, w)))
            x = look_up(x, pixels, seen, mean)
        y = tf.one_hot(y, self.classes)
        x, y = mixup(x, y, draw_lambdas(keys[2], b, a.mixup)) if a.mixup else (x, y)
        return (x, y) if self.class_weights is None else (x, *weighted(y, self.class_weights))

    def _normalise(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Images [b, h, w, c] as float32, and what the channel mean [c] became."""
        offset, std = self.scaling(x.dtype.as_numpy_dtype)
        scale = 1 / std
        h, w, c = x.shape[1:]
        # Whole images as rows: broadcasting along three channels takes three times as long.
        rows = tf.cast(tf.reshape(x, (-1, h * w * c)), tf.float32)
        rows = (rows - np.tile(offset, h * w)) * np.tile(scale, h * w)
        return tf.reshape(rows, (-1, h, w, c)), (self.mean - offset) * scale


class _IdentityCache:
    """Values made from arrays and found by their identity; holds the arrays, so no id is used twice."""

    def __init__(self):
        self._values: dict[tuple[Hashable, ...], tuple[tuple[Any, ...], object]] = {}

    def get(self, arrays: tuple[Any, ...], make: Callable[[], object], *extra: Hashable) -> Any:
        name = (*map(id, arrays), *extra)
        if name not in self._values:
            self._values[name] = (arrays, make())
        return self._values[name][1]
