"""Image files to arrays, by Pillow."""

import math
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nash_tf.data import limits
from nash_tf.data.arrays import SMALLEST_SIDE
from nash_tf.data.source import DataError

SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff"))
FORMATS = ("PNG", "JPEG", "BMP", "DIB", "GIF", "PPM", "TIFF", "WEBP")  # others, whatever the suffix, may run programs
GREY_MODES = frozenset(("1", "L", "LA"))
COLOUR_MODES = frozenset(("RGB", "RGBA", "RGBX", "P", "PA", "CMYK", "YCbCr", "LAB", "HSV"))


def read(paths: Sequence[Path]) -> np.ndarray:
    """Images uint8 [n, h, w, c] in the order of the paths: c = 1 if all are grey, otherwise all become RGB.

    Raises:
        DataError: Pillow is missing, or a file is unreadable, of another format than `FORMATS`, too small, too large, not of
            8 bits, or of another size than the first.
    """
    try:
        from PIL import Image
    except ImportError as error:
        advice = "got no such package; pip install pillow"
        raise DataError(f"{paths[0]}: expected Pillow to read images, {advice}") from error
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        first = _read(paths[0])
        limits.require_memory(3 * len(paths) * math.prod(_size(first)), f"{paths[0]} and {len(paths) - 1:,} more")
        images = np.empty((len(paths), *first.shape[:2], 3), np.uint8)
        grey = True
        for i, path in enumerate(paths):
            image = first if i == 0 else _read(path, (paths[0], _size(first)))
            images[i] = image  # a grey image is copied to all three channels
            grey = grey and image.shape[2] == 1
    return images[..., :1].copy() if grey else images


def _size(image: np.ndarray) -> tuple[int, int]:
    """Width and height."""
    return image.shape[1], image.shape[0]


def _require_size(path: Path, size: tuple[int, int], like: tuple[Path, tuple[int, int]] | None, upright: bool) -> None:
    """Raises DataError unless an image has a usable size, that of the first; either way round before it is upright."""
    text = "{}x{}".format(*size)
    if min(size) < SMALLEST_SIDE:
        raise DataError(f"{path}: expected at least {SMALLEST_SIDE}x{SMALLEST_SIDE} pixels, got {text}")
    if like and (size if upright else sorted(size)) != (like[1] if upright else sorted(like[1])):
        rule = "{}x{} pixels as {} has".format(*like[1], like[0])
        raise DataError(f"{path}: expected {rule}, got {text}; resize the images to one size")


def _read(path: Path, like: tuple[Path, tuple[int, int]] | None = None) -> np.ndarray:
    """One image, uint8 [h, w, 1] or [h, w, 3], upright as its EXIF orientation says, of the size of another that is named."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path, formats=FORMATS) as image:
            if (mode := image.mode) not in GREY_MODES | COLOUR_MODES:
                advice = "convert it, or give an .npz file of floats"
                raise DataError(f"{path}: expected 8 bits a channel, got mode {mode}; {advice}")
            _require_size(path, image.size, like, upright=False)  # before it is decoded
            upright = ImageOps.exif_transpose(image).convert("L" if mode in GREY_MODES else "RGB")
            pixels = np.asarray(upright)
    except DataError:
        raise
    except Exception as error:  # Pillow's decoders raise errors of many kinds
        raise DataError(f"{path}: expected a readable image, got: {error}; repair or remove it") from error
    _require_size(path, _size(pixels), like, upright=True)
    return pixels[..., np.newaxis] if pixels.ndim == 2 else pixels
