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
        normalise: subtract the channel mean and divide by the deviation, in evaluation too. Otherwise uint8
            images are scaled to 0..1 and float images are left as they are.
        colour: change contrast and brightness: values are multiplied by exp(a) about the channel mean, then b channel deviations
            are added, a and b uniform up to this either way, and up to a third of it more for each channel by itself.
        flip: mirror the image horizontally, with probability 1/2.
        shift: move it by a whole number of pixels on each axis, drawn uniformly up to this fraction of the
            side (paper: 0.125, 4 of 32); what comes in is the channel mean.
        zoom: scale it about its centre by up to this factor either way, and its proportions by up to the factor's square root;
            logarithms uniform, pixels those that are nearest.
        rotate: turn it about its centre by up to so many degrees either way.
        cutout: set a square to the channel mean; its side as a fraction of the image's shorter side (paper:
            0.5, 16 of 32), its centre uniform over all pixels, so that it may stick out (DeVries & Taylor
            2017).
        mixup: alpha of Beta(alpha, alpha), from which each image's lambda is drawn (Zhang et al. 2018).
        pixels: pixel values in place of what `normalise` says, one of `nash_tf.settings.images.PIXELS`; None for none.

    Raises:
        ValueError: a fraction outside 0..1, a factor below 1, or a negative number.
    """

    normalise: bool = True
    colour: float = 0.0
    flip: bool = False
    shift: float = 0.0
    zoom: float = 1.0
    rotate: float = 0.0
    cutout: float = 0.0
    mixup: float = 0.0
    pixels: str | None = None

    def __post_init__(self):
        for name in ("shift", "cutout"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: expected a fraction of the side, 0 to 1. Received: {getattr(self, name)}")
        for name, least in (("mixup", 0), ("colour", 0), ("rotate", 0), ("zoom", 1)):
            if not least <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}: expected a number of at least {least}. Received: {getattr(self, name)}")

    @property
    def has_warps(self) -> bool:
        """Whether images are zoomed or turned."""
        return self.zoom > 1 or self.rotate > 0

    @property
    def has_moves(self) -> bool:
        """Whether pixels change their places, or are not seen."""
        return self.flip or self.shift > 0 or self.has_warps or self.cutout > 0


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


def draw_warps(key: tf.Tensor, b: tf.Tensor, zoom: float, rotate: float) -> tf.Tensor:
    """Matrices float32 [b, 2, 2]: times the place of a pixel, (down, right) from the centre, that of the pixel it comes from."""
    keys = tf.unstack(tf.random.split(key, 3, alg=RNG))
    most = (math.log(zoom), math.log(zoom) / 4, math.radians(rotate))
    size, shape, angle = (
        tf.random.stateless_uniform((b,), k, -end, end, alg=RNG) for k, end in zip(keys, most, strict=True)
    )
    down, right, sin, cos = tf.exp(shape - size), tf.exp(-shape - size), tf.sin(angle), tf.cos(angle)
    return tf.reshape(tf.stack([cos * down, -sin * right, sin * down, cos * right], axis=1), (-1, 2, 2))


def moved(
    flips: tf.Tensor, down: tf.Tensor, right: tf.Tensor, h: int, w: int, warps: tf.Tensor | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Flips, then warps, then shifts images of h x w pixels.

    Args:
        flips, down, right: as `draw_moves` gives them.
        h, w: pixels on each axis.
        warps: as `draw_warps` gives them; None for none.

    Returns:
        Which pixel of its image each comes from, counted by rows, int32 [b, h, w]; and whether there is such a pixel, bool
        [b, h, w].
    """
    rows = (tf.range(h) - down[:, tf.newaxis])[:, :, tf.newaxis]
    columns = (tf.range(w) - right[:, tf.newaxis])[:, tf.newaxis, :]
    if warps is not None:
        rows, columns = _warped(warps, rows, (h - 1) / 2, columns, (w - 1) / 2)
    inside = (rows >= 0) & (rows < h) & (columns >= 0) & (columns < w)
    columns = tf.where(flips[:, tf.newaxis, tf.newaxis], w - 1 - columns, columns)
    return rows * w + columns, inside


def _warped(warps: tf.Tensor, rows: tf.Tensor, row: float, columns: tf.Tensor, column: float) -> list[tf.Tensor]:
    """The nearest rows and columns, int32 [b, h, w] each, about a centre."""
    down, right = tf.cast(rows, tf.float32) - row, tf.cast(columns, tf.float32) - column
    parts = warps[:, :, :, tf.newaxis, tf.newaxis]
    return [
        tf.cast(tf.round(parts[:, axis, 0] * down + parts[:, axis, 1] * right + centre), tf.int32)
        for axis, centre in enumerate((row, column))
    ]


def draw_colours(key: tf.Tensor, b: tf.Tensor, channels: int, most: float) -> tuple[tf.Tensor, tf.Tensor]:
    """By what the values of a channel are multiplied, and how many deviations are added, float32 [b, channels] each."""
    keys = tf.unstack(tf.random.split(key, 4, alg=RNG))
    contrast, brightness = (
        tf.random.stateless_uniform((b, 1), all_channels, -most, most, alg=RNG)
        + tf.random.stateless_uniform((b, channels), each, -most / 3, most / 3, alg=RNG)
        for all_channels, each in (keys[:2], keys[2:])
    )
    return tf.exp(contrast), brightness


def coloured(
    x: tf.Tensor, mean: tf.Tensor, deviation: tf.Tensor, contrast: tf.Tensor, brightness: tf.Tensor
) -> tf.Tensor:
    """Images [b, h, w, c] of other contrast and brightness.

    Args:
        x: the images.
        mean, deviation: of the channels, float32 [c].
        contrast, brightness: as `draw_colours` gives them.
    """
    h, w, c = x.shape[1:]
    offset = brightness * deviation + (1 - contrast) * mean
    rows = tf.reshape(x, (-1, h * w * c)) * tf.tile(contrast, (1, h * w)) + tf.tile(offset, (1, h * w))
    return tf.reshape(rows, (-1, h, w, c))


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
