"""Propagation of new channels through the network, up to the kernels that absorb them with zeros."""

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from nash_tf.architecture import Architecture, Node
from nash_tf.architecture.layer_rules import ChannelFlow
from nash_tf.morphisms.channel_limits import CannotPropagate, at_ends, channels_of, check_groups, unlike
from nash_tf.morphisms.node_growth import Places, grown_node, of_one_part, recipes_of
from nash_tf.morphisms.weight_transfer import Insertions, Key, Recipe

# Whether new channels may not pass an element-wise merge that could take them.
Barrier = Callable[[Architecture, Node], bool]


def no_barrier(architecture: Architecture, node: Node) -> bool:
    """The `Barrier` of which no merge is one."""
    return False


@dataclass(frozen=True)
class ChannelPropagation:
    """All that changes when a tensor gets new channels.

    Attributes:
        architecture: the network as it was.
        places: by name of each node that changes, in order, where.
        copies: whether new channels are copies of the old ones.
        producers: names of the layers that get new filters, in the architecture's order. They are several where an
            element-wise merge joins their outputs (a residual sum, a gate), because then they must grow together.
        grown: names of the nodes whose output gets new channels.
        arriving: by name of each node that receives them, where in the channels of its input.
    """

    architecture: Architecture
    places: dict[str, Places]
    copies: bool
    producers: tuple[str, ...]
    grown: frozenset[str]
    arriving: dict[str, Insertions]

    @cached_property
    def changed(self) -> dict[str, Node]:
        """By name the nodes that change, with their new configs, shapes and variables."""
        return {name: grown_node(self.architecture[name], places) for name, places in self.places.items()}

    @cached_property
    def recipes(self) -> dict[Key, Recipe]:
        """How the changed variables come from the parent's."""
        recipes: dict[Key, Recipe] = {}
        for name, places in self.places.items():
            recipes |= recipes_of(self.architecture[name], places, self.copies)
        return recipes

    def channels(self, name: str) -> int:
        """How many channels the output of a node that changes has then; 0 where that is open."""
        return (self.architecture[name].channels or 0) + sum(count for _, count in self.places[name].own)


def widen(architecture: Architecture, name: str, count: int, barrier: Barrier = no_barrier) -> ChannelPropagation:
    """Gives a layer new output channels after its old ones; the outputs of the network do not change.

    Where a layer on the way normalises all channels together, the new ones are copies of all old ones, once or several
    times, so that mean and variance stay.

    Args:
        architecture: the network.
        name: the layer.
        count: number of new channels.
        barrier: merges that the new channels may not pass.

    Raises:
        CannotPropagate: a layer on the way cannot take them; the message names it.
    """
    channels = channels_of(architecture, name)
    insertions = at_ends(architecture[name], channels, count)
    try:
        return propagate(architecture, name, insertions, barrier)
    except CannotPropagate as error:
        if not error.wants_copies or count % channels:
            raise
    return propagate(architecture, name, insertions, barrier, copies=True)


def propagate(
    architecture: Architecture,
    name: str,
    insertions: Insertions,
    barrier: Barrier = no_barrier,
    copies: bool = False,
) -> ChannelPropagation:
    """Gives a layer new output channels anywhere among its old ones, copies of these or not; an insertion of -1 takes away the
    channel there.

    Raises:
        CannotPropagate: a layer on the way cannot take them; the message names it.
    """
    return _propagation(architecture, _producers(architecture, name, insertions, barrier), {}, barrier, copies)


def append(architecture: Architecture, name: str, count: int, barrier: Barrier = no_barrier) -> ChannelPropagation:
    """Appends channels to what the consumers of a node receive; the node and the network's outputs do not change.

    Args:
        architecture: the network.
        name: the node.
        count: number of new channels.
        barrier: merges that the new channels may not pass.

    Raises:
        CannotPropagate: a layer on the way cannot take them; the message names it.
    """
    return _propagation(architecture, {}, {name: ((channels_of(architecture, name), count),)}, barrier)


def drop(architecture: Architecture, name: str, channels: Sequence[int]) -> ChannelPropagation:
    """Takes channels from what the consumers of a node receive; the node and the network's outputs do not change.

    Args:
        architecture: the network.
        name: the node.
        channels: those of its channels that go, ascending.

    Raises:
        CannotPropagate: a layer on the way cannot lose them; the message names it.
    """
    return _propagation(architecture, {}, {name: tuple((channel, -1) for channel in channels)}, no_barrier)


def _propagation(
    architecture: Architecture,
    producers: dict[str, Insertions],
    appended: dict[str, Insertions],
    barrier: Barrier,
    copies: bool = False,
) -> ChannelPropagation:
    # A merge may need further layers to grow, and their new channels propagate in turn.
    while True:
        grown, arriving, needed = _one_pass(architecture, producers, appended, barrier, copies)
        if any(producers.get(name, insertions) != insertions for name, insertions in needed.items()):
            both = ", ".join(name for name, each in needed.items() if producers.get(name, each) != each)
            raise CannotPropagate(f"two merges would have one layer grow in different places ({both})")
        if needed.keys() <= producers.keys():
            break
        producers = producers | needed
    places: dict[str, Places] = {}
    position = architecture.position.__getitem__
    for name in sorted(arriving.keys() | producers.keys(), key=position):
        node = architecture[name]
        places[name] = Places(
            # The variables of a layer with heads read its inputs apart; those of others read one, joined or not.
            [grown.get(each, ()) for each in node.inputs] if _has_heads(node) else [arriving.get(name, ())],
            of_one_part(node, producers.get(name, ())) or (),
            # Channels that are appended to a node exist for its consumers only.
            () if name in appended else grown.get(name, ()),
        )
    ordered = tuple(sorted(producers, key=position))
    return ChannelPropagation(architecture, places, copies, ordered, frozenset(grown) - appended.keys(), arriving)


def _one_pass(
    architecture: Architecture,
    producers: Mapping[str, Insertions],
    appended: Mapping[str, Insertions],
    barrier: Barrier,
    copies: bool,
) -> tuple[dict[str, Insertions], dict[str, Insertions], dict[str, Insertions]]:
    """One pass through the part of the network that new channels reach.

    Returns:
        By node name the insertions in each output, those in the channels of each input, and the producers that merges
        need.
    """
    grown: dict[str, Insertions] = {}
    arriving: dict[str, Insertions] = {}
    needed: dict[str, Insertions] = {}
    waiting = sorted({architecture.position[name] for name in (*producers, *appended)})
    seen = set(waiting)
    while waiting:
        node = architecture.nodes[heapq.heappop(waiting)]
        outgoing = producers.get(node.name, ())
        if not grown.keys().isdisjoint(node.inputs):
            if reason := _obstacle(architecture, node, barrier):
                raise CannotPropagate.at(node, "take new channels", reason)
            arriving[node.name] = _arriving(architecture, node, grown)
            if node.flow is ChannelFlow.NORMALISED:
                check_groups(node, arriving[node.name], copies)
            if node.flow is ChannelFlow.JOINED:
                for name in _full_inputs(architecture, node):
                    if name not in grown:
                        needed |= _producers(architecture, name, arriving[node.name], barrier)
            if node.flow is not ChannelFlow.ABSORBED:
                outgoing = arriving[node.name]
        if outgoing and (node.name in architecture.outputs or node.name in appended):
            role = "an output of the network" if node.name in architecture.outputs else "what they are appended to"
            raise CannotPropagate(f"{node.name} is {role} and must keep its channels")
        outgoing = appended.get(node.name, outgoing)
        if outgoing and node.name in architecture.outputs:
            raise CannotPropagate(f"{node.name} is an output of the network")
        if outgoing:
            grown[node.name] = outgoing
            for place in map(architecture.position.__getitem__, architecture.consumers[node.name]):
                if place not in seen:
                    seen.add(place)
                    heapq.heappush(waiting, place)
    return grown, arriving, needed


def _obstacle(architecture: Architecture, node: Node, barrier: Barrier) -> str:
    """Why new channels can neither pass a node nor end in it, in words; "" where they can."""
    if node.flow in (ChannelFlow.CARRIED, ChannelFlow.NORMALISED):
        is_alike = architecture[node.inputs[0]].channels == node.channels
        return "" if is_alike else "its output has another number of channels than its input"
    if node.flow is ChannelFlow.JOINED:
        if len(set(map(len, architecture.input_shapes(node)))) > 1:
            return "its inputs have other numbers of axes"
        return "a barrier of the operator" if barrier(architecture, node) else ""
    return node.why_stopped


def _has_heads(node: Node) -> bool:
    return node.rule is not None and bool(node.rule.inner)


def _full_inputs(architecture: Architecture, node: Node) -> list[str]:
    """The inputs of a merge that have all its channels. An input of one channel is broadcast and need not grow."""
    return [name for name in dict.fromkeys(node.inputs) if architecture[name].channels == node.channels]


def _arriving(architecture: Architecture, node: Node, grown: Mapping[str, Insertions]) -> Insertions:
    """The insertions in the channels of a node's input; of several inputs, in those of their concatenation or merge."""
    match node.flow:
        case ChannelFlow.CONCATENATED:
            arriving: list[tuple[int, int]] = []
            offset = 0
            for name in node.inputs:
                arriving += [(offset + at, count) for at, count in grown.get(name, ())]
                offset += channels_of(architecture, name)
            return tuple(arriving)
        case ChannelFlow.FLATTENED:
            # Channels are the last axis, so each pixel has a group of them, and each group grows.
            (name,) = node.inputs
            channels = channels_of(architecture, name)
            if node.channels is None:
                raise CannotPropagate(f"{node.name} flattens an image of open size")
            pixels = node.channels // channels
            return tuple((pixel * channels + at, count) for pixel in range(pixels) for at, count in grown[name])
        case ChannelFlow.JOINED:
            distinct = {grown[name] for name in node.inputs if name in grown}
            broadcast = set(node.inputs) & grown.keys() - set(_full_inputs(architecture, node))
            if len(distinct) > 1 or broadcast:
                raise CannotPropagate(f"{node.name} would join channels in different places")
            return distinct.pop()
        case ChannelFlow.CARRIED | ChannelFlow.ABSORBED | ChannelFlow.NORMALISED:
            ins = next(grown[name] for name in node.inputs if name in grown)
            read = {node.inputs[node.rule.reads(node.config, each)] for each in node.rule.input_growth}  # type: ignore[union-attr]
            if not grown.keys() & set(node.inputs) <= (read if _has_heads(node) else {node.inputs[0]}):
                raise CannotPropagate.at(node, "take new channels", "they would reach more than what it reads")
            if _has_heads(node) and any(count < 0 for _, count in ins):
                raise CannotPropagate.at(node, "lose channels", "it attends to all of them")
            return ins
    raise AssertionError(f"{node.name} takes no channels")


def _producers(
    architecture: Architecture, name: str, insertions: Insertions, barrier: Barrier
) -> dict[str, Insertions]:
    """The layers that must get new filters so that `name` gets new channels, searched backwards through merges.

    Raises:
        CannotPropagate: there is an input, a layer that cannot get new channels, or a barrier on the way.
    """
    producers: dict[str, Insertions] = {}
    waiting, seen = [name], {name}
    while waiting:
        node = architecture[waiting.pop()]
        if not node.why_not_widened:
            if of_one_part(node, insertions) is None:
                raise unlike(node)
            producers[node.name] = insertions
            continue
        is_passed = node.flow in (ChannelFlow.CARRIED, ChannelFlow.NORMALISED, ChannelFlow.JOINED)
        if not is_passed or _obstacle(architecture, node, barrier):
            raise CannotPropagate.at(node, "be given new channels", node.why_not_widened)
        inputs = _full_inputs(architecture, node) if node.flow is ChannelFlow.JOINED else node.inputs
        before = [each for each in dict.fromkeys(inputs) if each not in seen]
        seen.update(before)
        waiting += before
    return producers
