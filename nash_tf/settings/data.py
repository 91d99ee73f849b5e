"""Settings of the data of a run: which images, how many, how they are read."""

from dataclasses import dataclass

from nash_tf import settings
from nash_tf.settings import FREE, Rule, number, one_of, optional, path, setting, whole
from nash_tf.settings.images import CROP, FITS, LARGEST_SIDE, SMALLEST_SIDE, is_size

GROUP = "Data"


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """The data of a run."""

    dataset: str = setting(
        path("the name of a data set or a path"),
        "Data set, by its name or its path.",  # which there are, the help adds (`nash_tf.main.usage`)
        default="digits",
        group=GROUP,
        resumed=FREE,  # a folder may have moved; that it is the same images is checked once they are there (`tasks.resumption`)
    )
    image_size: str | None = setting(
        optional(
            Rule(
                f"must be N or HxW, height first, {SMALLEST_SIDE} to {LARGEST_SIDE} pixels",
                lambda value: isinstance(value, str) and is_size(value),
                str,
            )
        ),
        "Size that image files are given: N or HxW. Unset: their own, or, where sizes differ, one from 32 to 64 that is said.",
        default=None,
        group=GROUP,
    )
    image_fit: str = setting(
        one_of(FITS),
        "How an image file of another size is made to fit: crop keeps its centre, pad all of it between black bars, stretch all "
        "of it out of shape.",
        default=CROP,
        group=GROUP,
    )
    memory_share: float = setting(
        number("above 0 and at most 1", lambda value: 0 < value <= 1),
        "Share of the available memory that image files may take; more are decoded into a file in --cache_dir.",
        default=0.25,
        group=GROUP,
        resumed=settings.FREE,
    )
    cache_dir: str | None = setting(
        optional(path("the path of a directory")),
        "Directory of decoded images, where memory should not hold them or several processes read them. Unset: nash_tf in the "
        "user's cache directory.",
        default=None,
        group=GROUP,
        resumed=settings.FREE,
    )
    train_limit: int | None = setting(
        optional(whole(1)),
        "Number of training images used, the validation images among them. Unset: all.",
        default=None,
        group=GROUP,
    )
    valid_fraction: float = setting(
        number("above 0 and at most 0.5", lambda value: 0 < value <= 0.5),
        "Share of the training images held out for validation, at most 0.5.",
        default=0.1,
        group=GROUP,
    )
