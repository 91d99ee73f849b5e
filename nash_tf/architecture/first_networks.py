"""First networks by the name of their layout. A further one is a function and a line in `registry`."""

from collections.abc import Callable, Sequence
from itertools import count
from typing import NamedTuple

from nash_tf.architecture import Architecture
from nash_tf.architecture.vanilla import Chain, vanilla

LARGE = 64  # pixels of the shorter side from which `pooled` has convolutions before its first
HAND_WIDTHS = (32, 64, 128)


def residual(
    input_shape: tuple[int, int, int], classes: int, widths: Sequence[int], dtype: str = "float32"
) -> Architecture:
    """A network that spends its operations on small maps: the first convolution is followed by a pool at once, and each later
    one by a pool and a residual block, x + ReLU(BN(conv3x3(x))).

    Args:
        input_shape, classes, widths, dtype: as in `vanilla`.
    """
    chain = Chain(input_shape, dtype)
    chain.block(1, widths[0])
    chain.add("pool_1", "MaxPooling2D", {})
    for number, width in enumerate(widths[1:], start=1):
        chain.block(2 * number, width)
        before = chain.add(f"pool_{number + 1}", "MaxPooling2D", {})
        chain.block(2 * number + 1, width)
        chain.add(f"add_{number}", "Add", {}, before)
    return chain.classified(classes)


def pooled(
    input_shape: tuple[int, int, int],
    classes: int,
    widths: Sequence[int],
    dtype: str = "float32",
    last: str = "Conv2D",
) -> Architecture:
    """`residual`, but each pool stands between a convolution and its normalisation, which so costs a quarter (as in Jordan 2024,
    arXiv 2404.00498); of three widths or more the last but one has two residual blocks, where operations are worth most; and
    images of LARGE pixels or more come to fewer by further such convolutions of the first width.

    Args:
        input_shape, classes, widths, dtype: as in `vanilla`.
        last: kind of the convolutions of the last width; of another than the default there are two residual blocks of that width too.
    """
    chain = Chain(input_shape, dtype)
    halvings = (min(input_shape[:2]) // LARGE).bit_length()  # until images are smaller than LARGE
    for number in range(1, halvings + 1):
        chain.block(f"stem{number}", widths[0], f"pool_stem{number}")
    chain.block(1, widths[0], "pool_1")
    convolutions, sums = count(2), count(1)
    for stage, width in enumerate(widths[1:], start=2):
        kind = last if stage == len(widths) else "Conv2D"
        before = chain.block(next(convolutions), width, f"pool_{stage}", kind)
        for _ in range(2 if stage == len(widths) - 1 or kind != "Conv2D" else 1):
            chain.block(next(convolutions), width, kind=kind)
            before = chain.add(f"add_{next(sums)}", "Add", {}, before)
    return chain.classified(classes)


def separable(
    input_shape: tuple[int, int, int], classes: int, widths: Sequence[int], dtype: str = "float32"
) -> Architecture:
    """`pooled` with separable convolutions of the last width, where most parameters are, and two residual blocks there too: about half
    the parameters. For networks that are to be small.

    Args:
        input_shape, classes, widths, dtype: as in `vanilla`.
    """
    return pooled(input_shape, classes, widths, dtype, last="SeparableConv2D")


def by_hand(
    input_shape: tuple[int, int, int], classes: int, widths: Sequence[int], dtype: str = "float32"
) -> Architecture:
    """`residual` with HAND_WIDTHS, whatever `widths` are: what searches on small colour images are compared with."""
    return residual(input_shape, classes, HAND_WIDTHS, dtype)


class Layout(NamedTuple):
    """A first network: `make` as `vanilla`, and what it is, behind its name in the help text."""

    make: Callable[[tuple[int, int, int], int, Sequence[int], str], Architecture]
    summary: str


registry = {
    "plain": Layout(vanilla, "has one convolution of each width with a pool between two"),
    "residual": Layout(residual, "has a second, residual one after each pool"),
    "pooled": Layout(
        pooled,
        "is residual with each pool right behind a convolution, two residual ones of the last width but one, and more convolutions "
        f"first for images of {LARGE} pixels or more",
    ),
    "separable": Layout(separable, "is pooled with separable convolutions of the last width, for a small network"),
    "hand": Layout(by_hand, f"is residual with the widths {','.join(map(str, HAND_WIDTHS))}"),
}
