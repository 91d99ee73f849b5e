"""Network morphisms: operators that change a network, but not the function that it computes.

To add an operator to the package, write one file and add one line here. Users add theirs with `register`.
"""

from nash_tf.morphisms.alter_channels import AlterChannels
from nash_tf.morphisms.base import Morphism, Move, Site
from nash_tf.morphisms.insert_conv import InsertConv
from nash_tf.morphisms.insert_separable_conv import InsertSeparableConv
from nash_tf.morphisms.merge_concat import MergeConcat
from nash_tf.morphisms.merge_convex import MergeConvex
from nash_tf.morphisms.options import Option, options_of
from nash_tf.morphisms.split import Split
from nash_tf.morphisms.weight_transfer import Copy, Extend, Fresh, WeightTransfer

registry: dict[str, Morphism] = {
    operator.name: operator
    for operator in (AlterChannels(), InsertConv(), InsertSeparableConv(), MergeConcat(), MergeConvex(), Split())
}


def register(operator: Morphism) -> Morphism:
    """Adds an operator to the registry, so that `sites`, `morph` and searches know it by its name.

    Every process of a search must do this before it draws or replays a move of that operator. An operator of the same
    class may be registered again and then replaces the first.

    Args:
        operator: an instance of a subclass of `Morphism`.

    Returns:
        The operator.

    Raises:
        TypeError: it is not a `Morphism` with a name.
        ValueError: an operator of another class has that name.
    """
    if not isinstance(operator, Morphism) or not isinstance(getattr(operator, "name", None), str) or not operator.name:
        raise TypeError(f"expected an instance of a subclass of Morphism that has a name. Received: {operator!r}")
    present = registry.get(operator.name)
    if present is not None and type(present) is not type(operator):
        raise ValueError(f"the name {operator.name!r} is taken by {type(present).__name__}; choose another")
    registry[operator.name] = operator
    return operator


def sites(parent, operators=None) -> list[Option]:
    """Every morphism that can be applied to a network, with its cost.

    Args:
        parent: an `Architecture`, or a functional `keras.Model`.
        operators: names of operators; by default all that are registered.

    Returns:
        The options, grouped by operator in the order of `operators`, each group in the operator's canonical order.
    """
    return [option for name in operators or registry for option in options_of(registry[name], parent)]


__all__ = [
    "Copy",
    "Extend",
    "Fresh",
    "Morphism",
    "Move",
    "Option",
    "Site",
    "WeightTransfer",
    "register",
    "registry",
    "sites",
]
