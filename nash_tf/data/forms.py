"""What image files are turned into: one size, grey or colour. Pure decisions; `images` carries them out."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nash_tf.settings.images import CROP, FITS, PAD, STRETCH, ImageSettings, as_text

HOW = {
    CROP: "scaled to cover it and cut to its centre",
    PAD: "scaled to fit into it, between black bars",
    STRETCH: "stretched to it",
}
DEFAULT_SIDES, DEFAULT_STEP = (32, 64), 8  # of the size that is chosen where sizes differ
LARGE_SIDE = 128  # beyond it, a size that nobody asked for is worth a word


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
    deep: bool = False


def covering(size: tuple[int, int], form: Form) -> float:
    """The factor by which an image of a size is scaled at most on its way into a form."""
    ratios = form.height / size[0], form.width / size[1]
    return min(ratios) if form.fit == PAD else max(ratios)


def choose(
    facts: Sequence[Facts], test: Sequence[Facts], settings: ImageSettings, limited: bool = False
) -> tuple[Form, tuple[str, ...]]:
    """The form for a data set's images, and notes on what becomes of them.

    Args:
        facts: of all images, `test` among them.
        test: of the test images. The chosen size follows from them alone, since they are the same for every seed.
        settings: what is asked for.
        limited: whether the others are drawn by the seed, so that they must not decide on the form at all.
    """
    deciding = test if limited else facts
    sizes, channels = {fact[:2] for fact in deciding}, 1 if all(fact.grey for fact in deciding) else 3
    size, reason = settings.size, ""
    if size is None and len(sizes) == 1:
        size = sizes.pop()
    elif size is None:
        side, reason = _default_side(test)
        size = (side, side)
    form = Form(*size, channels, settings.fit)
    large = _large(form) if settings.size is None else ""
    return form, tuple(note for note in (_fitting(facts, form, reason), large, *_kinds(facts, channels)) if note)


def _default_side(test: Sequence[Facts]) -> tuple[int, str]:
    median, (low, high) = float(np.median([min(fact[:2]) for fact in test])), DEFAULT_SIDES
    side = int(np.clip(DEFAULT_STEP * math.floor(median / DEFAULT_STEP + 0.5), low, high))
    reason = f"The shorter side of half of the test images is {median:g} or more"
    if median > high:
        reason += f"; above {high} training is slow"
    elif side != median:
        reason += f"; sizes are multiples of {DEFAULT_STEP} from {low} on"
    return side, f"{reason}: --image_size sets another size than {side}"


def _large(form: Form) -> str:
    if max(form[:2]) <= LARGE_SIDE:
        return ""
    return f"Images keep their size, {form.text} (height x width), and large ones train slowly; --image_size makes them smaller"


def _fitting(facts: Sequence[Facts], form: Form, reason: str) -> str:
    sizes = sorted({fact[:2] for fact in facts}, key=lambda size: (size[0] * size[1], size))
    if sizes == [form[:2]]:
        return ""
    had = f"{as_text(sizes[0])} to {as_text(sizes[-1])}" if len(sizes) > 1 else as_text(sizes[0])
    count = f"{len(sizes):,} sizes" if len(sizes) > 1 else "one size"
    others = " or ".join(f"--image_fit={fit}" for fit in FITS if fit != form.fit)
    larger = sum(covering(fact[:2], form) > 1 for fact in facts)
    sentences = (
        f"Image files have {count}, {had} (height x width)",
        f"Each becomes {form.text}, {HOW[form.fit]}; {others} does otherwise",
        reason,
        f"{larger:,} of {len(facts):,} are enlarged" if larger else "",
    )
    return ". ".join(filter(None, sentences))


def _kinds(facts: Sequence[Facts], channels: int) -> tuple[str, ...]:
    total = f"{len(facts):,}"
    grey, transparent, frames, deep = (sum(getattr(fact, name) for fact in facts) for name in Facts._fields[2:])
    coloured = len(facts) - grey
    return (
        f"{grey:,} of {total} images are grey; all are read as colour" if channels == 3 and grey else "",
        f"{coloured:,} of {total} images have colours; all are read as grey, since all test images are"
        if channels == 1 and coloured
        else "",
        f"{transparent:,} of {total} images have a transparent layer; they are laid on white" if transparent else "",
        f"{frames:,} of {total} image files hold several frames; the first is used" if frames else "",
        f"{deep:,} of {total} image files have 16 bits a channel; the upper 8 are used" if deep else "",
    )
