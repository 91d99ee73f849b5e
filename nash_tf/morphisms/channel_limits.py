"""Where new channels cannot go: what layers require of how many they are, and of where they are put in."""

from nash_tf.architecture import Architecture, Node
from nash_tf.morphisms.weight_transfer import Insertions


class CannotPropagate(Exception):
    """New channels would reach a place that cannot take them: an input, an output, or a layer that mixes channels.

    Args:
        message: the reason, in words.
        layer: name of the layer that stands in the way, where there is one.
        reason: what is wrong with it.
        wants_copies: whether it could take them if they were copies of all the old ones.
    """

    def __init__(self, message: str, layer: str = "", reason: str = "", wants_copies: bool = False) -> None:
        super().__init__(message)
        self.layer, self.reason, self.wants_copies = layer, reason, wants_copies

    @classmethod
    def at(cls, node: Node, what: str, reason: str, wants_copies: bool = False) -> "CannotPropagate":
        """Of a layer that stands in the way, with what it cannot do."""
        return cls(f"{node.name} ({node.kind}) cannot {what}: {reason}", node.name, reason, wants_copies)


def channels_of(architecture: Architecture, name: str) -> int:
    """The number of channels of a node's output; where that is open, nothing can be put in."""
    channels = architecture[name].channels
    if channels is None:
        raise CannotPropagate(f"{name} has an open number of channels")
    return channels


def check_groups(node: Node, insertions: Insertions, copies: bool) -> None:
    """Checks that each group of channels that a layer normalises together stays as it is.

    Raises:
        CannotPropagate: one would not.
    """
    rule, channels = node.rule, node.channels or 1
    assert rule is not None
    wants_copies = False
    if any(count < 0 for _, count in insertions):
        reason = "it normalises channels together, and fewer have another mean and variance"
    elif rule.size == "groups":
        size = channels // rule.groups(node.config, channels)
        if not any(at % size or count % size for at, count in insertions):
            return
        reason = f"it normalises {size} channels together, so new ones must be a multiple of {size}"
    else:
        is_whole = len(insertions) == 1 and insertions[0][0] == channels and insertions[0][1] % channels == 0
        if copies and is_whole:
            return
        wants_copies = not copies
        reason = "it normalises all channels together: only 2, 3, ... times as many keep what it gives"
    raise CannotPropagate.at(node, "take new channels", reason, wants_copies)


def at_ends(node: Node, channels: int, count: int) -> Insertions:
    """New channels behind the old ones; of parts that must grow alike, behind those of each."""
    parts = node.rule.parts(node.config) if node.rule else 1
    if count % parts:
        raise unlike(node)
    return tuple((channels * part // parts, count // parts) for part in range(1, parts + 1))


def unlike(node: Node) -> CannotPropagate:
    """The error where parts of a layer that must grow alike would not."""
    return CannotPropagate.at(node, "be given them", "its directions have as many units each, and must grow alike")
