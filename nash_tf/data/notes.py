"""What is worth saying of a data set that can be used: sentences, none where nothing stands out."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nash_tf.data.rows import Rows, chunks

SAMPLE = 100  # images that tell a part's scale
RATIO, SHIFT = 1.5, 0.75  # of deviations, and of means in deviations: beyond what two parts of one data set show
LARGE = 1e15  # pixels whose squares, summed over a feature map, come near float32's end


class Copies(NamedTuple):
    """How many images are pixel for pixel the same as others.

    Attributes:
        validation: of the validation images, those that are trained on too.
        test: of the test images, those that are trained on or validated on too.
        contradicting: of all images, those of which a copy is of another class.
    """

    validation: int
    test: int
    contradicting: int


NO_COPIES = Copies(0, 0, 0)


def of_arrays(
    x_train: np.ndarray | Rows, x_valid: np.ndarray | Rows, x_test: np.ndarray | Rows, found: Copies
) -> tuple[str, ...]:
    """Notes on images [n, h, w, c], of which some are copies."""
    told = _of_copies(found, len(x_valid), len(x_test))
    notes = [scales(x_train, x_test), *told, large((x_train, x_valid, x_test))]
    return tuple(note for note in notes if note)


def share_of_validation(train: int, valid: int, fraction: float) -> tuple[str, ...]:
    """Whether as many images validate as were asked for: of small classes each keeps one image on either side.

    Args:
        train, valid: numbers of images.
        fraction: share that is asked for.
    """
    wanted = round(fraction * (train + valid))
    if valid == wanted:
        return ()
    return (
        f"{valid:,} images validate, not {wanted:,} (valid_fraction={fraction:g} of {train + valid:,}): each class keeps at least one to "
        "train on and one to validate on",
    )


def scales(x_train: np.ndarray | Rows, x_test: np.ndarray | Rows) -> str:
    """Whether the test images look as if they were scaled in another way than the training images."""
    (mean, deviation), (test_mean, test_deviation) = map(_scale, (x_train, x_test))
    alike = deviation / RATIO < test_deviation < deviation * RATIO and abs(test_mean - mean) < SHIFT * deviation
    if alike or deviation == 0:
        return ""
    return (
        f"The test images are of another scale than the training images: mean {test_mean:.3g} and deviation "
        f"{test_deviation:.3g}, against {mean:.3g} and {deviation:.3g}; check that both were scaled alike"
    )


def _scale(x: np.ndarray | Rows) -> tuple[float, float]:
    sample = x[:: max(1, len(x) // SAMPLE)]
    return float(sample.mean(dtype=np.float64)), float(sample.std(dtype=np.float64))


def copies(parts: Sequence[tuple[np.ndarray | Rows, np.ndarray]]) -> Copies:
    """Counts copies.

    Args:
        parts: images [n, h, w, c] and labels [n] to train on, to validate on and to test on.
    """
    train, valid, test = (_digests(x) for x, _ in parts)
    everyone, classes, contradicting = [*train, *valid, *test], dict[bytes, int](), set[bytes]()
    for digest, label in zip(everyone, np.concatenate([labels for _, labels in parts]).tolist(), strict=True):
        if classes.setdefault(digest, label) != label:
            contradicting.add(digest)
    return Copies(_among(set(train), valid), _among({*train, *valid}, test), _among(contradicting, everyone))


def _among(known: set[bytes], asked: Sequence[bytes]) -> int:
    return sum(digest in known for digest in asked)


def _of_copies(found: Copies, validated: int, tested: int) -> list[str]:
    return [
        _copies(found.validation, validated, "training", "validation"),
        _copies(found.test, tested, "training or validation", "test"),
        f"{found.contradicting:,} images are exact copies of images of another class, so that labels contradict each other"
        if found.contradicting
        else "",
    ]


def _copies(count: int, asked: int, of_known: str, of_asked: str) -> str:
    if not count:
        return ""
    verb = "is an exact copy" if count == 1 else "are exact copies"
    return f"{count:,} of {asked:,} {of_asked} images {verb} of {of_known} images"


def _digests(x: np.ndarray | Rows) -> list[bytes]:
    return [_digest(image) for chunk in chunks(x) for image in chunk]


def _digest(image: np.ndarray) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()


def large(parts: Sequence[np.ndarray | Rows]) -> str:
    """Whether the pixels must be normalised for float32 to compute with them."""
    numbers = [x for x in parts if isinstance(x, np.ndarray) and x.dtype != np.uint8]
    largest = max((max(float(x.max()), -float(x.min())) for x in numbers), default=0.0)
    if largest < LARGE:
        return ""
    return f"Pixels reach {largest:.3g}: without normalise among --augment, float32 cannot compute with them"
