"""95 % confidence intervals of shares that are counted on images."""

import math
from collections.abc import Sequence

Z = 1.959963984540054  # the normal distribution's quantile of 0.975


def wilson(hits: int, count: int) -> tuple[float, float] | None:
    """The score interval of a share (Wilson 1927, JASA 22:209).

    Args:
        hits: how many of the images.
        count: their number.

    Returns:
        Lower and upper bound, each from 0 to 1; None of no images.
    """
    if not count:
        return None
    share, spread = hits / count, Z * Z / count
    middle = (share + spread / 2) / (1 + spread)
    half = Z * math.sqrt(share * (1 - share) / count + spread / (4 * count)) / (1 + spread)
    return (0.0 if not hits else middle - half), (1.0 if hits == count else middle + half)


def mean_of_shares(hits: Sequence[int], counts: Sequence[int]) -> tuple[float, float] | None:
    """The interval of a mean of shares that are counted on different images, as balanced accuracy is.

    The distances from each share to its Wilson bounds are added in squares (Zou and Donner 2008, Statistics in Medicine
    27:1693, equation 4): unlike the sum of the shares' variances, it does not become 0 where all shares are 0 or 1.

    Args:
        hits, counts: of each share; a share of no images is left out.

    Returns:
        Lower and upper bound; None where all are of no images.
    """
    below, above, total, used = 0.0, 0.0, 0.0, 0
    for hit, count in zip(hits, counts, strict=True):
        bounds = wilson(hit, count)
        if bounds is None:
            continue
        share = hit / count
        below, above = below + (share - bounds[0]) ** 2, above + (bounds[1] - share) ** 2
        total, used = total + share, used + 1
    if not used:
        return None
    return (total - math.sqrt(below)) / used, (total + math.sqrt(above)) / used
