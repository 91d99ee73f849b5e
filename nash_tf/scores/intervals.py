"""95 % confidence intervals of shares that are counted on images."""

import math
from collections.abc import Sequence

Z = 1.959963984540054  # the normal distribution's quantile of 0.975


def wilson(hits: float, count: float) -> tuple[float, float] | None:
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
    return (0.0 if hits <= 0 else middle - half), (1.0 if hits >= count else middle + half)


def mean_of_shares(hits: Sequence[int], counts: Sequence[int]) -> tuple[float, float] | None:
    """The interval of a mean of shares that are counted on different images, as balanced accuracy is.

    It is Wilson's for the effective number of images, that of which a single share would have the variance which follows from
    those of the shares (Franco, Little, Louis and Slud 2019, J. Survey Stat. Methodol. 7:334). The variances are of
    (hits + 1/2) / (count + 1): where all images are right, they are not 0. Of one share it is Wilson's own.

    Args:
        hits, counts: of each share; a share of no images is left out.

    Returns:
        Lower and upper bound; None where all are of no images.
    """
    known = [(hit, count) for hit, count in zip(hits, counts, strict=True) if count]
    if not known:
        return None
    smoothed = [(hit + 0.5) / (count + 1) for hit, count in known]
    pairs = zip(smoothed, known, strict=True)
    variance = sum(share * (1 - share) / count for share, (_, count) in pairs) / len(known) ** 2
    middle = sum(smoothed) / len(known)
    effective = middle * (1 - middle) / variance
    return wilson(effective * min(1.0, sum(hit / count for hit, count in known) / len(known)), effective)
