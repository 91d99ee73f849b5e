"""How image files are read: pure values, without NumPy."""

import re
from collections.abc import Sequence
from typing import NamedTuple

SMALLEST_SIDE, LARGEST_SIDE = 4, 4096  # pixels: the vanilla network pools twice by 2
CROP, PAD, STRETCH = FITS = ("crop", "pad", "stretch")
# Pixel values that a network takes: as they are; 0 to 1; -1 to 1; less ImageNet's mean and by its deviation; by the data set's.
RAW, UNIT, SIGNED, IMAGENET, STANDARD = PIXELS = ("raw", "unit", "signed", "imagenet", "standard")
_SIZE = re.compile(r"([0-9]{1,5})(?:x([0-9]{1,5}))?")


class ImageSettings(NamedTuple):
    """How image files are read.

    Attributes:
        size: height and width; None for the images' own, or for a chosen one where they differ.
        fit: how an image of another size is made to fit; one of `FITS`.
        memory_share: the share of the available memory that images may take; more of them lie in a file.
        cache_dir: the folder of that file; None for `nash_tf` in the user's cache folder.
        shared: whether several processes read the same images: these lie in the file then, whatever their size.
    """

    size: tuple[int, int] | None = None
    fit: str = CROP
    memory_share: float = 0.25
    cache_dir: str | None = None
    shared: bool = False


def parse_size(text: str) -> tuple[int, int]:
    """Height and width of "N" or "HxW".

    Raises:
        ValueError: it has another form, or a side is out of range.
    """
    match = _SIZE.fullmatch(text)
    size = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not all(SMALLEST_SIDE <= side <= LARGEST_SIDE for side in size):
        raise ValueError(f"expected N or HxW, {SMALLEST_SIDE} to {LARGEST_SIDE} pixels. Received: {text}")
    return size


def is_size(text: str) -> bool:
    """Whether `parse_size` takes a text."""
    try:
        return bool(parse_size(text))
    except ValueError:
        return False


def as_text(size: Sequence[int]) -> str:
    """A size as `--image_size` takes it, height first."""
    return "x".join(map(str, size))
