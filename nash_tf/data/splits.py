"""Stratified draws by seed: which images are trained on, validated on and tested on."""

import numpy as np

from nash_tf.data.source import DataError


def generator(seed: int, purpose: int) -> np.random.Generator:
    """A generator of its own for each purpose, so that one draw does not shift another."""
    return np.random.default_rng(np.random.SeedSequence((seed, purpose)))


def apportion(counts: np.ndarray, total: int, least: np.ndarray, most: np.ndarray) -> np.ndarray:
    """Shares [classes] of `total` in proportion to `counts`, each within its bounds, by largest remainder.

    Needs least <= most and sum(least) <= total <= sum(most); ties go to the lower class.
    """
    ideal = total * counts / counts.sum()
    shares = np.clip(np.floor(ideal).astype(int), least, most)
    while shares.sum() < total:
        shares[np.argmax(np.where(shares < most, ideal - shares, -np.inf))] += 1
    while shares.sum() > total:
        shares[np.argmax(np.where(shares > least, shares - ideal, -np.inf))] -= 1
    return shares


def draw(labels: np.ndarray, total: int, rng: np.random.Generator, *, take: int, keep: int) -> np.ndarray:
    """Stratified draw without replacement.

    Args:
        labels: int labels [n] in which every class occurs at least take + keep times.
        total: how many to draw; moved to the nearest number that take and keep allow.
        rng: source of chance.
        take: least number drawn of each class.
        keep: least number left of each class.

    Returns:
        Sorted positions in `labels`.
    """
    counts = np.bincount(labels)
    least, most = np.full_like(counts, take), counts - keep
    total = int(np.clip(total, least.sum(), most.sum()))
    shares = apportion(counts, total, least, most)
    drawn = [rng.permutation(np.flatnonzero(labels == label))[:share] for label, share in enumerate(shares)]
    return np.sort(np.concatenate(drawn))


def without(chosen: np.ndarray, n: int) -> np.ndarray:
    """Sorted positions of 0..n-1 that were not chosen."""
    left = np.ones(n, dtype=bool)
    left[chosen] = False
    return np.flatnonzero(left)


def require(labels: np.ndarray, class_names: tuple[str, ...], least: int, where: str, purpose: str) -> None:
    """Raises DataError naming the first class that has fewer than `least` images."""
    counts = np.bincount(labels, minlength=len(class_names))
    for name, count in zip(class_names, counts, strict=True):
        if count < least:
            rule = f"at least {least} training images of each class ({purpose})"
            raise DataError(f"{where}: expected {rule}, got {count} of class {name!r}; add images or drop the class")


def train_and_valid(
    labels: np.ndarray,
    class_names: tuple[str, ...],
    *,
    valid_fraction: float,
    train_limit: int | None,
    seed: int,
    where: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Positions to train on and to validate on, disjoint, stratified, each in an order drawn by the seed.

    Args:
        labels: int training labels [n].
        class_names: one for each label.
        valid_fraction: share of the images that are validated on, 0 < f < 1; every class keeps at least one
            image on either side.
        train_limit: bounds train and valid together; drawn before the split.
        seed: the same seed gives the same positions.
        where: the source, for errors.

    Raises:
        DataError: an argument is out of range, or a class has too few images.
    """
    if not 0 < valid_fraction < 1:
        raise DataError(f"expected 0 < valid_fraction < 1, got {valid_fraction}", "valid_fraction")
    require(labels, class_names, 2, where, "one to train on, one to validate on")
    pool = np.arange(len(labels))
    if train_limit is not None and train_limit < len(labels):
        if train_limit < 2 * len(class_names):
            rule = f"at least {2 * len(class_names)}, two for each of the {len(class_names)} classes of {where}"
            raise DataError(f"expected {rule}, got {train_limit}", "train_limit")
        pool = draw(labels, train_limit, generator(seed, 0), take=2, keep=0)
    chosen = draw(labels[pool], round(valid_fraction * len(pool)), generator(seed, 1), take=1, keep=1)
    # Class folders list class after class: without this the first batch of `x_train` would hold one class.
    order = generator(seed, 2)
    return order.permutation(pool[without(chosen, len(pool))]), order.permutation(pool[chosen])
