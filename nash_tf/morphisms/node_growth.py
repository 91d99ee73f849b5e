"""How one node changes, and its variables, when its input or its output gets or loses channels."""

from collections.abc import Sequence
from dataclasses import replace

from nash_tf.architecture import Node
from nash_tf.architecture.layer_rules import ChannelFlow, Growth, growths, with_settings
from nash_tf.morphisms.weight_transfer import COPIES, Extend, ExtendTwice, Insertions, Key, Recipe, Take


def grown_node(node: Node, ins: Sequence[Insertions], outs: Insertions, own: Insertions) -> Node:
    """A node with new channels.

    Args:
        node: the node as it was.
        ins: insertions in the channels of its input; of each input, where its variables read different ones.
        outs: insertions in its filters; of one part of these, where there are several that grow alike.
        own: insertions in the channels of its output, which come from either.
    """
    rule = node.rule
    assert rule is not None

    def longer(shapes):
        grown = dict(shapes)
        for growth in (rule.input_growth, rule.output_growth):
            for variable, each in growths(growth):
                insertions = outs if growth is rule.output_growth else ins[rule.reads(node.config, variable)]
                if variable in shapes:
                    grown[variable] = _longer(grown[variable], each.axis, _in_blocks(node, variable, each, insertions))
        return grown

    shape, config = _longer(node.shape, -1, own), node.config
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
    return replace(node, config=config, shape=shape, weights=longer(node.weights), statistics=longer(node.statistics))


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


def recipes_of(node: Node, ins: Sequence[Insertions], outs: Insertions, copies: bool = False) -> dict[Key, Recipe]:
    """The recipes of its variables.

    Args:
        node: the node as it was.
        ins: as of `grown_node`.
        outs: as of `grown_node`.
        copies: whether new channels are copies of the old ones, as many as these or a multiple.
    """
    rule = node.rule
    assert rule is not None
    extensions: dict[Key, list[Extend]] = {}
    # New filters come first, so that the zeros for new input channels reach into them too.
    for growth in (rule.output_growth, rule.input_growth):
        is_copied = copies and (growth is rule.output_growth or rule.channels is not ChannelFlow.ABSORBED)
        for variable, each in growths(growth):
            insertions = outs if growth is rule.output_growth else ins[rule.reads(node.config, variable)]
            if insertions and variable in node.variables:
                # Units that were copied must not read each other: the zeros of recurrent kernels stay.
                stays = each.fill == "zeros" and isinstance(growth[variable], tuple)
                period = node.channels if growth is rule.output_growth else insertions[0][0]
                fill = f"{COPIES}:{period}" if is_copied and not stays else each.fill
                axis = each.axis % len(node.variables[variable])
                places = _in_blocks(node, variable, each, insertions)
                extensions.setdefault((node.name, variable), []).append(Extend(axis, places, fill))
    if any(count < 0 for _, count in (*sum(ins, ()), *outs)):
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


def _in_blocks(node: Node, variable: str, growth: Growth, insertions: Insertions) -> Insertions:
    """The same insertions in each block of a variable's axis."""
    length = (node.variables[variable][growth.axis] or 0) // growth.blocks
    return tuple((block * length + at, count) for block in range(growth.blocks) for at, count in insertions)


def _cut(shape: tuple, extends: list[Extend]) -> Take:
    """The recipe of a variable of this shape that loses the slices at the insertions."""
    gone = {each.axis % len(shape): {at for at, _ in each.insertions} for each in extends}
    return Take(tuple((axis, tuple(at for at in range(shape[axis]) if at not in gone[axis])) for axis in gone))


def _longer(shape: tuple, axis: int, insertions: Insertions) -> tuple:
    sizes = list(shape)
    sizes[axis] += sum(count for _, count in insertions)
    return tuple(sizes)
