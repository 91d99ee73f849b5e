"""Image files to arrays, by Pillow."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nash_tf.data.arrays import SMALLEST_SIDE
from nash_tf.data.source import DataError

SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff"))
GREY_MODES = frozenset(("1", "L", "LA"))
COLOUR_MODES = frozenset(("RGB", "RGBA", "RGBX", "P", "PA", "CMYK", "YCbCr", "LAB", "HSV"))


def read(paths: Sequence[Path]) -> np.ndarray:
    """Images uint8 [n, h, w, c] in the order of the paths: c = 1 if all are grey, otherwise all become RGB.

    Raises:
        DataError: Pillow is missing, or a file is unreadable, too small, not of 8 bits, or of another size
            than the first.
    """
    first = _read(paths[0])
    images = np.empty((len(paths), *first.shape[:2], 3), np.uint8)
    grey = True
    for i, path in enumerate(paths):
        image = first if i == 0 else _read(path)
        if image.shape[:2] != first.shape[:2]:
            advice = "resize the images to one size"
            raise DataError(f"{path}: expected {_size(first)} pixels as {paths[0]} has, got {_size(image)}; {advice}")
        images[i] = image  # a grey image is copied to all three channels
        grey = grey and image.shape[2] == 1
    return images[..., :1].copy() if grey else images


def _size(image: np.ndarray) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"


def _read(path: Path) -> np.ndarray:
    """One image, uint8 [h, w, 1] or [h, w, 3], upright as its EXIF orientation says."""
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise DataError(f"{path}: expected Pillow to read images, got no such package; pip install pillow") from error
    try:
        with Image.open(path) as image:
            mode = image.mode
            if mode in GREY_MODES | COLOUR_MODES:
                upright = ImageOps.exif_transpose(image).convert("L" if mode in GREY_MODES else "RGB")
                pixels = np.asarray(upright)
    except Exception as error:  # Pillow's decoders raise errors of many kinds
        raise DataError(f"{path}: expected a readable image, got: {error}; repair or remove it") from error
    if mode not in GREY_MODES | COLOUR_MODES:
        raise DataError(
            f"{path}: expected 8 bits a channel, got mode {mode}; convert it, or give an .npz file of floats"
        )
    pixels = pixels[..., np.newaxis] if pixels.ndim == 2 else pixels
    if min(pixels.shape[:2]) < SMALLEST_SIDE:
        raise DataError(f"{path}: expected at least {SMALLEST_SIDE}x{SMALLEST_SIDE} pixels, got {_size(pixels)}")
    return pixels
