"""What happens to training images: the settings, and the operations on a batch.

All draws are stateless, from a key; nothing depends on TensorFlow's global seed.
"""

import math
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

RNG = "philox"  # named, because the default may differ between devices


@dataclass(frozen=True)
class Augmentation:
    """What happens to a training image, in this order.

    Attributes:
        flip: mirror the image horizontally, with probability 1/2.
        shift: move it by a whole number of pixels on each axis, drawn uniformly up to this fraction of the
            side (paper: 0.125, 4 of 32); what comes in is the channel mean.
        normalise: subtract the channel mean and divide by the deviation, in evaluation too. Otherwise uint8
            images are scaled to 0..1 and float images are left as they are.
        cutout: set a square to the channel mean; its side as a fraction of the image's shorter side (paper:
            0.5, 16 of 32), its centre uniform over all pixels, so that it may stick out (DeVries & Taylor
            2017).
        mixup: alpha of Beta(alpha, alpha), from which each image's lambda is drawn (Zhang et al. 2018).
        pixels: pixel values in place of what `normalise` says, one of `nash_tf.settings.images.PIXELS`; None for none.

    Raises:
        ValueError: a fraction outside 0..1 or a negative alpha.
    """

    normalise: bool = True
    flip: bool = False
    shift: float = 0.0
    cutout: float = 0.0
    mixup: float = 0.0
    pixels: str | None = None

    def __post_init__(self):
        for name in ("shift", "cutout"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: expected a fraction of the side, 0 to 1. Received: {getattr(self, name)}")
        if not 0 <= self.mixup < math.inf:
            raise ValueError(f"mixup: expected alpha >= 0. Received: {self.mixup}")


def draw_moves(
    key: tf.Tensor, b: tf.Tensor, h: int, w: int, flip: bool, shift: float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Whether to flip, bool [b], and by how many pixels to shift down and right, int32 [b] each."""
    keys = tf.unstack(tf.random.split(key, 3, alg=RNG))
    flips = tf.random.stateless_uniform((b,), keys[0], alg=RNG) < (0.5 if flip else 0.0)
    down, right = (
        tf.random.stateless_uniform((b,), k, -round(shift * side), round(shift * side) + 1, tf.int32, alg=RNG)
        for k, side in zip(keys[1:], (h, w), strict=True)
    )
    return flips, down, right


def moved(flips: tf.Tensor, down: tf.Tensor, right: tf.Tensor, h: int, w: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Flips, then shifts images of h x w pixels.

    Returns:
        Which pixel of its image each comes from, counted by rows, int32 [b, h, w]; and whether there is such a pixel, bool
        [b, h, w].
    """
    rows = tf.range(h) - down[:, tf.newaxis]
    columns = tf.range(w) - right[:, tf.newaxis]
    inside = ((rows >= 0) & (rows < h))[:, :, tf.newaxis] & ((columns >= 0) & (columns < w))[:, tf.newaxis, :]
    columns = tf.where(flips[:, tf.newaxis], w - 1 - columns, columns)
    return rows[:, :, tf.newaxis] * w + columns[:, tf.newaxis, :], inside


def look_up(x: tf.Tensor, pixels: tf.Tensor, seen: tf.Tensor, otherwise: tf.Tensor) -> tf.Tensor:
    """Images [b, h, w, c] made of the pixels of `x`, and of one value [c] where nothing of it is seen; see `moved`."""
    b, (h, w, c) = tf.shape(x)[0], x.shape[1:]
    first = tf.range(b)[:, tf.newaxis, tf.newaxis] * (h * w)
    table = tf.concat([tf.reshape(x, (-1, c)), tf.reshape(tf.cast(otherwise, x.dtype), (1, c))], axis=0)
    return tf.gather(table, tf.where(seen, first + pixels, b * h * w))


def draw_squares(key: tf.Tensor, b: tf.Tensor, h: int, w: int, side: int) -> tf.Tensor:
    """One square an image, bool [b, h, w], of this side where it does not stick out, centred on any pixel."""
    inside = []
    for k, length in zip(tf.unstack(tf.random.split(key, 2, alg=RNG)), (h, w), strict=True):
        start = tf.random.stateless_uniform((b, 1), k, 0, length, tf.int32, alg=RNG) - side // 2
        inside.append((tf.range(length) >= start) & (tf.range(length) < start + side))
    return inside[0][:, :, tf.newaxis] & inside[1][:, tf.newaxis, :]


def draw_lambdas(key: tf.Tensor, b: tf.Tensor, alpha: float) -> tf.Tensor:
    """Draws float32 [b] of Beta(alpha, alpha), as a share of two Gamma draws.

    One for each image, where the paper's code has one for the batch: the expected loss is the same, and an
    epoch of few batches does not hang on a few draws.
    """
    gammas = tf.random.stateless_gamma((2, b), key, alpha, dtype=tf.float64)
    total = tf.reduce_sum(gammas, axis=0)
    # Both underflow to zero when alpha is tiny; Beta then shows next to nothing but 0 and 1.
    return tf.cast(tf.where(total > 0, gammas[0] / total, 1), tf.float32)


def mixup(x: tf.Tensor, y: tf.Tensor, lambdas: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """lambda * own + (1 - lambda) * partner, for images [b, h, w, c] and labels [b, classes] alike.

    The partner is the image before in the batch (the last for the first): batches are shuffled already, and
    so each image is used exactly twice.
    """

    def mix(own):
        partner = tf.roll(own, 1, axis=0)
        return partner + tf.reshape(lambdas, (-1, *[1] * (own.shape.rank - 1))) * (own - partner)

    return mix(x), mix(y)


def weighted(y: tf.Tensor, class_weights: np.ndarray) -> tuple[tf.Tensor, tf.Tensor]:
    """Labels and weights of images whose cross-entropy counts by class.

    With labels y and weights w the loss of an image is - sum_c w_c y_c log p_c, for mixed labels the mixture of the weighted
    losses. That is s times the cross-entropy of w * y / s, where s = sum_c w_c y_c.

    Args:
        y: labels float32 [b, classes], one-hot or mixed.
        class_weights: float32 [classes], above 0.

    Returns:
        w * y / s, whose sum is 1, float32 [b, classes]; and s, float32 [b].
    """
    scaled = y * class_weights
    total = tf.reduce_sum(scaled, axis=1)
    return scaled / total[:, tf.newaxis], total
