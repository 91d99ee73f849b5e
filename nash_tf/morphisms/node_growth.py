"""How one node changes, and its variables, when its input or its output gets or loses channels."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from nash_tf.architecture import Node
from nash_tf.architecture.layer_rules import ChannelFlow, Growth, growths, with_settings
from nash_tf.morphisms.weight_transfer import COPIES, Extend, ExtendTwice, Insertions, Key, Recipe, Take


class Places(NamedTuple):
    """Where channels are put into a node, or taken from it.

    Attributes:
        ins: in the channels of its input; of each input, where its variables read different ones.
        outs: in its filters; of one part of these, where there are several that grow alike.
        own: in the channels of its output, which come from either.
    """

    ins: Sequence[Insertions]
    outs: Insertions
    own: Insertions


def grown_node(node: Node, places: Places) -> Node:
    """A node with new channels."""
    rule, own = node.rule, places.own
    assert rule is not None
    shape, config, variables = _longer(node.shape, -1, own), node.config, node.variables
    for variable, each, insertions, _ in _growing(node, places):
        variables[variable] = _longer(variables[variable], each.axis, insertions)
    if own and rule.size == "target_shape":
        target = list(config["target_shape"])
        config = {**config, "target_shape": [*target[:-1], -1 if target[-1] == -1 else shape[-1]]}
    elif own and rule.size == "groups":
        groups = rule.groups(config, node.channels or 1)
        config = {**config, "groups": groups * (shape[-1] or 1) // (node.channels or 1)}
    elif rule.size == "output_shape":  # by default it is that of the input, which may have grown alone
        config = {**config, "output_shape": [shape[-1]]}
    else:
        sized = {rule.size: (shape[-1] or 0) // rule.parts(config)} if own and rule.size else {}
        config = with_settings(config, sized)
    weights, statistics = ({name: variables[name] for name in each} for each in (node.weights, node.statistics))
    return replace(node, config=config, shape=shape, weights=weights, statistics=statistics)


def grown_inside(node: Node, count: int) -> tuple[Node, dict[Key, Recipe]]:
    """A node with more of its inner width (heads), and the recipes of its variables.

    Args:
        node: the node as it was.
        count: how many more.
    """
    rule = node.rule
    assert rule is not None and rule.inner
    now = node.config[rule.inner]
    weights = dict(node.weights)
    recipes: dict[Key, Recipe] = {}
    for variable, each in rule.inner_growth.items():
        if variable in weights:
            weights[variable] = _longer(weights[variable], each.axis, ((now, count),))
            recipes[node.name, variable] = Extend(each.axis, ((now, count),), each.fill)
    return replace(node, config={**node.config, rule.inner: now + count}, weights=weights), recipes


def recipes_of(node: Node, places: Places, copies: bool) -> dict[Key, Recipe]:
    """The recipes of its variables.

    Args:
        node: the node as it was.
        places: where it grows.
        copies: whether new channels are copies of the old ones, as many as these or a multiple.
    """
    rule = node.rule
    assert rule is not None
    extensions: dict[Key, list[Extend]] = {}
    for variable, each, insertions, is_filters in _growing(node, places):
        # Units that were copied must not read each other: the zeros of recurrent kernels stay.
        stays = is_filters and each.fill == "zeros" and isinstance(rule.output_growth[variable], tuple)
        is_copied = copies and not stays and (is_filters or rule.channels is not ChannelFlow.ABSORBED)
        fill = f"{COPIES}:{node.channels if is_filters else insertions[0][0]}" if is_copied else each.fill
        axis = each.axis % len(node.variables[variable])
        extensions.setdefault((node.name, variable), []).append(Extend(axis, insertions, fill))
    if any(count < 0 for _, count in (*sum(places.ins, ()), *places.outs)):
        return {key: _cut(node.variables[key[1]], extends) for key, extends in extensions.items()}
    return {key: ExtendTwice(*extends) if len(extends) == 2 else extends[0] for key, extends in extensions.items()}


def of_one_part(node: Node, outs: Insertions) -> Insertions | None:
    """Insertions in the filters of one of the parts that must grow alike; None where they would not."""
    parts = node.rule.parts(node.config) if node.rule else 1
    if parts == 1:
        return outs
    size = (node.channels or 0) // parts
    each: list[list[tuple[int, int]]] = [[] for _ in range(parts)]
    for at, count in outs:  # what is put in between two parts belongs to the first
        part = max(at - (count > 0), 0) // size
        each[part].append((at - part * size, count))
    return tuple(each[0]) if all(part == each[0] for part in each) else None


def _growing(node: Node, places: Places) -> Iterator[tuple[str, Growth, Insertions, bool]]:
    """The variables that grow, once for each axis: name, how, where along the axis, and whether by the layer's filters.

    New filters come first, so that the zeros for new input channels reach into them too.
    """
    rule, variables = node.rule, node.variables
    assert rule is not None
    for is_filters, growth in ((True, rule.output_growth), (False, rule.input_growth)):
        for variable, each in growths(growth):
            insertions = places.outs if is_filters else places.ins[rule.reads(node.config, variable)]
            if insertions and variable in variables:
                length = (variables[variable][each.axis] or 0) // each.blocks
                along = tuple((block * length + at, count) for block in range(each.blocks) for at, count in insertions)
                yield variable, each, along, is_filters


def _cut(shape: tuple, extends: list[Extend]) -> Take:
    """The recipe of a variable of this shape that loses the slices at the insertions."""
    gone = {each.axis % len(shape): {at for at, _ in each.insertions} for each in extends}
    return Take(tuple((axis, tuple(at for at in range(shape[axis]) if at not in gone[axis])) for axis in gone))


def _longer(shape: tuple, axis: int, insertions: Insertions) -> tuple:
    sizes = list(shape)
    sizes[axis] += sum(count for _, count in insertions)
    return tuple(sizes)
