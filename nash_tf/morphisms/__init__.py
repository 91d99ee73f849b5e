"""Network morphisms. Adding an operator is one file and one line in `registry`."""

from nash_tf.morphisms.alter_channels import AlterChannels
from nash_tf.morphisms.base import Morphism, Move, Site
from nash_tf.morphisms.insert_conv import InsertConv
from nash_tf.morphisms.insert_separable_conv import InsertSeparableConv
from nash_tf.morphisms.merge_concat import MergeConcat
from nash_tf.morphisms.merge_convex import MergeConvex
from nash_tf.morphisms.split import Split

registry: dict[str, Morphism] = {
    operator.name: operator
    for operator in (AlterChannels(), InsertConv(), InsertSeparableConv(), MergeConcat(), MergeConvex(), Split())
}

__all__ = ["Morphism", "Move", "Site", "registry"]
