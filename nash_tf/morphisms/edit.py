"""The former names of `nash_tf.morphisms.weight_transfer`, for operators of users that were written with them."""

from nash_tf.morphisms.fills import FILLS
from nash_tf.morphisms.weight_transfer import (
    Copy,
    Extend,
    Fresh,
    Key,
    Recipe,
    apply_to_slots,
    apply_to_weights,
    inherited_calibration,
)
from nash_tf.morphisms.weight_transfer import ExtendTwice as Both
from nash_tf.morphisms.weight_transfer import WeightTransfer as Edit

__all__ = [
    "FILLS",
    "Both",
    "Copy",
    "Edit",
    "Extend",
    "Fresh",
    "Key",
    "Recipe",
    "apply_to_slots",
    "apply_to_weights",
    "inherited_calibration",
]
