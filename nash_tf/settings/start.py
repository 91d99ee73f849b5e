"""The settings of a search that starts from a model of the user's; a part of `nash_tf.config`."""

from dataclasses import dataclass

from nash_tf import settings
from nash_tf.settings import baselines, one_of, optional, path, refusal, setting
from nash_tf.settings.images import PIXELS

_OWN_NETWORK = (baselines.WIDE, baselines.HAND)  # baselines that are what their first network is


@dataclass(frozen=True, kw_only=True)
class StartSettings:
    """Which model a search starts from, and the pixel values that it takes."""

    start: str | None = setting(
        optional(path("the path of a .keras file, or of an architecture.json")),
        "Model to start from in place of the first network: a functional or sequential Keras model for these images, as a .keras "
        "file. Its weights are kept; its head is replaced where the number of classes is another. Or the architecture.json of a "
        "run: its weights are drawn anew. --layout and --widths are not used then.",
        default=None,
        group="Search",
        resumed=settings.FREE,  # the path; the file must be the same (see `run_directory`)
    )
    start_pixels: str | None = setting(
        optional(one_of(PIXELS)),
        "Pixel values that the model of --start was trained on: raw, as they are, 0 to 255 in image files; unit, 0 to 1; signed, -1 to 1; imagenet, unit "
        "less ImageNet's mean by its deviation; standard, the same by the data set's own. Unset: raw where it begins with "
        "Rescaling or Normalization, else those that it is least wrong with, or signed where its head is replaced.",
        default=None,
        group="Search",
        resumed=settings.FIXED_IF_GIVEN,
    )

    def check_start(self, method: str, precision: str) -> None:
        """Checks them against two other settings.

        Raises:
            ConfigError: they do not agree.
        """
        if self.start is None:
            if self.start_pixels is not None:
                raise refusal("start_pixels", self.start_pixels, "is for the model of --start, which is not given")
        elif method in _OWN_NETWORK:
            raise refusal("method", method, "has a first network of its own; it cannot be given one by --start")
        elif precision != "float32":
            raise refusal("precision", precision, "must be float32 with --start, whose layers compute in float32")
