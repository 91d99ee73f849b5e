"""Network morphisms. Adding an operator of the package is one file and one line here; a user's own is `register`ed."""

from nash_tf.morphisms.alter_channels import AlterChannels
from nash_tf.morphisms.base import Morphism, Move, Site
from nash_tf.morphisms.insert_conv import InsertConv
from nash_tf.morphisms.insert_separable_conv import InsertSeparableConv
from nash_tf.morphisms.merge_concat import MergeConcat
from nash_tf.morphisms.merge_convex import MergeConvex
from nash_tf.morphisms.options import Option, options_of
from nash_tf.morphisms.split import Split

registry: dict[str, Morphism] = {
    operator.name: operator
    for operator in (AlterChannels(), InsertConv(), InsertSeparableConv(), MergeConcat(), MergeConvex(), Split())
}


def register(operator: Morphism) -> Morphism:
    """Makes an operator known by its name to `sites`, `draw`, `replay` and so to a search. Gives it back.

    Every process of a search must do so before it reads or draws a morphism of that name. An operator of the same class may
    be registered again.

    Raises:
        TypeError: it is no `Morphism` with a name.
        ValueError: another operator has that name.
    """
    if not isinstance(operator, Morphism) or not isinstance(getattr(operator, "name", None), str) or not operator.name:
        raise TypeError(f"expected an instance of a subclass of Morphism that has a name. Received: {operator!r}")
    holder = registry.get(operator.name)
    if holder is not None and type(holder) is not type(operator):
        raise ValueError(f"the name {operator.name!r} is taken by {type(holder).__name__}; choose another")
    registry[operator.name] = operator
    return operator


def sites(parent, operators=None) -> list[Option]:
    """Every morphism that `parent` can take, with what it costs.

    Args:
        parent: an `Architecture`, or a functional `keras.Model`.
        operators: names of operators; all of the registry by default.

    Returns:
        The options, operator by operator in the order given and each operator's in its own order.
    """
    return [option for name in operators or registry for option in options_of(registry[name], parent)]


__all__ = ["Morphism", "Move", "Option", "Site", "register", "registry", "sites"]
