"""What image files are turned into: one size, grey or colour. Pure decisions; `images` carries them out."""

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

SMALLEST_SIDE, LARGEST_SIDE = 4, 4096  # pixels: the vanilla network pools twice by 2
CROP, PAD, STRETCH = FITS = ("crop", "pad", "stretch")
HOW = {
    CROP: "scaled to cover it, and cut to its centre",
    PAD: "scaled to fit into it, with black beside or above and below",
    STRETCH: "stretched to it",
}
DEFAULT_SIDES, DEFAULT_STEP = (32, 64), 8  # of the size that is chosen where sizes differ
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


class Form(NamedTuple):
    """The form of all images of a data set; `channels` are 1 (grey) or 3, `fit` is one of `FITS`."""

    height: int
    width: int
    channels: int
    fit: str = CROP

    @property
    def bytes(self) -> int:
        """The size of an image's pixels."""
        return self.height * self.width * self.channels

    @property
    def text(self) -> str:
        """The size in words."""
        return as_text(self[:2])


class Facts(NamedTuple):
    """What an image file says before it is decoded: its size when upright, and what makes it special."""

    height: int
    width: int
    grey: bool
    transparent: bool
    frames: bool


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


def covering(size: tuple[int, int], form: Form) -> float:
    """The factor by which an image of a size is scaled at most on its way into a form."""
    ratios = form.height / size[0], form.width / size[1]
    return min(ratios) if form.fit == PAD else max(ratios)


def choose(facts: Sequence[Facts], test: Sequence[Facts], settings: ImageSettings) -> tuple[Form, tuple[str, ...]]:
    """The form for a data set's images, and notes on what becomes of them.

    Args:
        facts: of all images, `test` among them.
        test: of the test images. The chosen size follows from them alone, since they are the same for every seed.
        settings: what is asked for.
    """
    sizes, channels = {fact[:2] for fact in facts}, 1 if all(fact.grey for fact in facts) else 3
    if settings.size is None and len(sizes) == 1:
        form, reason = Form(*sizes.pop(), channels, settings.fit), ""
    elif settings.size is None:
        side, reason = _default_side(test)
        form = Form(side, side, channels, settings.fit)
    else:
        form, reason = Form(*settings.size, channels, settings.fit), "as --image_size says"
    return form, tuple(note for note in (_fitting(facts, form, reason), *_kinds(facts, channels)) if note)


def _default_side(test: Sequence[Facts]) -> tuple[int, str]:
    median, (low, high) = float(np.median([min(fact[:2]) for fact in test])), DEFAULT_SIDES
    side = int(np.clip(DEFAULT_STEP * math.floor(median / DEFAULT_STEP + 0.5), low, high))
    rule = f"in steps of {DEFAULT_STEP} from {low} to {high}, as networks on larger ones train slowly"
    return side, f"the shorter side of the median test image, {median:g}, {rule}; --image_size sets another"


def _fitting(facts: Sequence[Facts], form: Form, reason: str) -> str:
    sizes = sorted({fact[:2] for fact in facts}, key=lambda size: (size[0] * size[1], size))
    if sizes in ([], [form[:2]]):
        return ""
    had = (
        f"one size, {as_text(sizes[0])}"
        if len(sizes) == 1
        else f"{len(sizes):,} sizes, {as_text(sizes[0])} to {as_text(sizes[-1])}"
    )
    larger = sum(covering(fact[:2], form) > 1 for fact in facts)
    enlarged = f"; {larger:,} of {len(facts):,} are enlarged" if larger else ""
    others = " or ".join(f"--image_fit={fit}" for fit in FITS if fit != form.fit)
    return (
        f"Image files have {had} (height x width); each becomes {form.text} ({reason}), {HOW[form.fit]} "
        f"({form.fit}; {others} do otherwise){enlarged}"
    )


def _kinds(facts: Sequence[Facts], channels: int) -> tuple[str, ...]:
    total = f"{len(facts):,}"
    grey, transparent, frames = (sum(getattr(fact, name) for fact in facts) for name in Facts._fields[2:])
    return (
        f"{grey:,} of {total} images are grey; all are read as colour" if channels == 3 and grey else "",
        f"{transparent:,} of {total} images have a transparent layer; they are laid on white" if transparent else "",
        f"{frames:,} of {total} image files hold several frames; the first is used" if frames else "",
    )
