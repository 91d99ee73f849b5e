"""The settings of what a search with foresight expects of size; a part of `nash_tf.config`."""

from dataclasses import dataclass

from nash_tf import settings
from nash_tf.settings import number, optional, path, setting, tuple_of

GROUP = "Search"


@dataclass(frozen=True, kw_only=True)
class GrowthSettings:
    """Where what morphisms are expected to bring comes from."""

    prior: tuple[str, ...] = setting(
        tuple_of(
            path("the directory of a run"),
            0,
            16,
            "must be none, or at most 16 directories of runs, separated by commas",
        ),
        "Earlier runs of grow on data like these, each with its control, by which the expected gains are corrected: where size brought "
        "less than was expected, a search grows less. Unset: the gains that were measured on CIFAR-10.",
        default=(),
        group=GROUP,
    )
    gain_factor: float | None = setting(
        optional(number("of at least 0", lambda value: value >= 0)),
        "By how much the gains that grow expects of size are multiplied; with 0 nothing grows. Unset: what --prior says, or 1.",
        default=None,
        group=GROUP,
        resumed=settings.FIXED_IF_GIVEN,
    )
