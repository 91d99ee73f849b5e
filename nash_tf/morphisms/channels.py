"""How new channels flow through the network to the kernels that absorb them with zeros."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from nash_tf.architecture import Architecture, Node, layer_rules
from nash_tf.morphisms.edit import Both, Extend, Insertions, Key, Recipe

# Whether new channels may not pass an element-wise merge, though it could take them.
Stops = Callable[[Architecture, Node], bool]


def nowhere(architecture: Architecture, node: Node) -> bool:
    """Every merge that can take new channels is passed."""
    return False


class CannotFollow(Exception):
    """New channels would reach a place that cannot take them: an input, an output, a layer that mixes channels."""


@dataclass(frozen=True)
class Followed:
    """What new channels change.

    Attributes:
        changed: the nodes that change, by name, with new configs, shapes and variables.
        recipes: of their variables.
        producers: the layers that get new filters, in the architecture's order. They are more than one where an
            element-wise merge joins them (a residual sum, a gate): they can only grow together.
        grown: the nodes whose own output gets new channels.
    """

    changed: dict[str, Node]
    recipes: dict[Key, Recipe]
    producers: tuple[str, ...]
    grown: frozenset[str]


def widen(architecture: Architecture, name: str, count: int, stops: Stops = nowhere) -> Followed:
    """Gives a layer `count` output channels behind its own; the network's outputs stay as they were.

    Raises:
        CannotFollow: a layer cannot take them, or `stops` forbids it; the message names it.
    """
    producers = _producers(architecture, name, ((architecture[name].shape[-1], count),), stops)
    return _followed(architecture, producers, {}, stops)


def append(architecture: Architecture, name: str, count: int, stops: Stops = nowhere) -> Followed:
    """Puts `count` channels behind those of `name` as its consumers see it; the output of `name` and those of the network
    stay as they were.

    Raises:
        CannotFollow: a layer cannot take them, or `stops` forbids it; the message names it.
    """
    return _followed(architecture, {}, {name: ((architecture[name].shape[-1], count),)}, stops)


def _followed(architecture, producers, appended, stops) -> Followed:
    # A merge may call for further layers to grow, and their new channels flow on in turn.
    while True:
        grown, arriving, wanted = _flow_on(architecture, producers, appended, stops)
        if any(producers.get(name, insertions) != insertions for name, insertions in wanted.items()):
            raise CannotFollow("two merges would have one layer grow in different places")
        if wanted.keys() <= producers.keys():
            break
        producers = producers | wanted
    changed: dict[str, Node] = {}
    recipes: dict[Key, Recipe] = {}
    for node in architecture.nodes:
        if node.name in arriving or node.name in producers:
            ins, outs = arriving.get(node.name, ()), producers.get(node.name, ())
            # What is appended to a tensor is there for its consumers alone.
            own = () if node.name in appended else grown.get(node.name, ())
            changed[node.name] = _grown(node, ins, outs, own)
            recipes |= _recipes(node, ins, outs)
    ordered = tuple(node.name for node in architecture.nodes if node.name in producers)
    return Followed(changed, recipes, ordered, frozenset(grown) - appended.keys())


def _flow_on(architecture, producers, appended, stops):
    """One walk: the insertions in each node's output and (joined) input, and the further producers that merges want."""
    grown: dict[str, Insertions] = {}
    arriving: dict[str, Insertions] = {}
    wanted: dict[str, Insertions] = {}
    for node in architecture.nodes:
        outgoing = producers.get(node.name, ())
        if not grown.keys().isdisjoint(node.inputs):
            flow = _flow(architecture, node, stops)
            arriving[node.name] = _arriving(architecture, node, flow, grown)
            if flow == "joined":
                for name in _partners(architecture, node):
                    if name not in grown:
                        wanted |= _producers(architecture, name, arriving[node.name], stops)
            if flow != "absorbed":
                outgoing = arriving[node.name]
        if outgoing and (node.name in architecture.outputs or node.name in appended):
            raise CannotFollow(f"{node.name} must keep its channels")
        outgoing = appended.get(node.name, outgoing)
        if outgoing and node.name in architecture.outputs:
            raise CannotFollow(f"{node.name} is an output of the network")
        if outgoing:
            grown[node.name] = outgoing
    return grown, arriving, wanted


def _flow(architecture: Architecture, node: Node, stops: Stops) -> str:
    flow = layer_rules.flow(node.known, node.config, 1 + len(node.shape))
    shapes = architecture.input_shapes(node)
    if flow == "carried" and shapes[0][-1] != node.shape[-1]:
        return "stopped"
    if flow == "joined" and (len(set(map(len, shapes))) > 1 or stops(architecture, node)):
        return "stopped"
    return flow


def _partners(architecture: Architecture, node: Node) -> list[str]:
    """The inputs of a merge that have its channels; one of a single channel is stretched to them and need not grow."""
    return [name for name in dict.fromkeys(node.inputs) if architecture[name].shape[-1] == node.shape[-1]]


def _arriving(architecture: Architecture, node: Node, flow: str, grown: Mapping[str, Insertions]) -> Insertions:
    """The insertions in the channel axis of a node's (joined) input."""
    match flow:
        case "concatenated":
            arriving, offset = [], 0
            for name in node.inputs:
                arriving += [(offset + at, count) for at, count in grown.get(name, ())]
                offset += architecture[name].shape[-1]
            return tuple(arriving)
        case "flattened":
            # Channels are the last axis, so each pixel's group of them grows.
            (name,) = node.inputs
            channels = architecture[name].shape[-1]
            if node.shape[0] is None:
                raise CannotFollow(f"{node.name} flattens an image of open size")
            pixels = node.shape[0] // channels
            return tuple((pixel * channels + at, count) for pixel in range(pixels) for at, count in grown[name])
        case "joined":
            found = {grown[name] for name in node.inputs if name in grown}
            stretched = set(node.inputs) & grown.keys() - set(_partners(architecture, node))
            if len(found) > 1 or stretched:
                raise CannotFollow(f"{node.name} would join channels in different places")
            return found.pop()
        case "carried" | "absorbed":
            return grown[node.inputs[0]]
    raise CannotFollow(f"{node.name} ({node.kind}) cannot take new channels")


def _producers(architecture: Architecture, name: str, insertions: Insertions, stops: Stops) -> dict[str, Insertions]:
    """The layers that must get new filters for `name` to get new channels, going back through merges.

    Raises:
        CannotFollow: on the way is an input, a layer that cannot be given channels at will, or a merge that is not passed.
    """
    found: dict[str, Insertions] = {}
    waiting, seen = [name], {name}
    while waiting:
        node = architecture[waiting.pop()]
        if layer_rules.grows(node.known, node.config):
            found[node.name] = insertions
            continue
        flow = _flow(architecture, node, stops)
        if flow not in ("carried", "joined"):
            raise CannotFollow(f"{node.name} ({node.kind}) cannot be given new channels")
        before = set(_partners(architecture, node) if flow == "joined" else node.inputs) - seen
        seen |= before
        waiting += before
    return found


def _grown(node: Node, ins: Insertions, outs: Insertions, own: Insertions) -> Node:
    """A node with `ins` in its input's channels, `outs` in its filters and, these or those, `own` in its output's."""
    known = node.known
    assert known is not None

    def longer(shapes):
        grown = dict(shapes)
        for growth, insertions in ((known.input_growth, ins), (known.output_growth, outs)):
            for variable in growth.keys() & shapes.keys():
                grown[variable] = _longer(grown[variable], growth[variable].axis, insertions)
        return grown

    shape, config = _longer(node.shape, -1, own), node.config
    if own and known.size == "target_shape":
        target = list(config["target_shape"])
        config = {**config, "target_shape": [*target[:-1], -1 if target[-1] == -1 else shape[-1]]}
    elif own and known.size:
        config = {**config, known.size: shape[-1]}
    return replace(node, config=config, shape=shape, weights=longer(node.weights), statistics=longer(node.statistics))


def _recipes(node: Node, ins: Insertions, outs: Insertions) -> dict[Key, Recipe]:
    known = node.known
    assert known is not None
    recipes: dict[Key, Recipe] = {}
    # Filters first: the zeros for new input channels then reach into the new filters too.
    for growth, insertions in ((known.output_growth, outs), (known.input_growth, ins)):
        for variable, rule in growth.items():
            if insertions and variable in node.variables:
                key, extend = (node.name, variable), Extend(rule.axis, insertions, rule.fill)
                recipes[key] = Both(recipes[key], extend) if key in recipes else extend
    return recipes


def _longer(shape: tuple, axis: int, insertions: Insertions) -> tuple:
    sizes = list(shape)
    sizes[axis] += sum(count for _, count in insertions)
    return tuple(sizes)
