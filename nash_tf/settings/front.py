"""The settings of networks of other sizes beside the one that is handed over; a part of `nash_tf.config`."""

from dataclasses import dataclass

from nash_tf.settings import number, setting, tuple_of, whole

GROUP = "Front (networks of other sizes beside the one that is handed over)"


@dataclass(frozen=True, kw_only=True)
class FrontSettings:
    """Which sizes, and how they are trained."""

    front_sizes: tuple[int, ...] = setting(
        tuple_of(whole(1), 0, 16, "must be none, or at most 16 numbers of parameters, separated by commas", none=()),
        "Numbers of parameters. For each a network is made that has no more, out of the next larger one; it goes to front/. Method front "
        "trains them within its budget, and begins with the largest; those of other methods are trained after the search. Unset: none; for "
        "method front those of the first network, doubled up to --steps times.",
        default=(),
        group=GROUP,
    )
    front_epochs: int = setting(
        whole(0),
        "Epochs that each of them is trained; those of method front follow from its budget.",
        default=5,
        group=GROUP,
    )
    distillation: float = setting(
        number("from 0 to 1", lambda value: 0 <= value <= 1),
        "Share of the teacher in their loss, the network that is handed over; the rest is that of the labels. Method front has no teacher.",
        default=0.9,
        group=GROUP,
    )
