"""What differs between two networks of one family, layer by layer, in words."""

from collections.abc import Mapping, Sequence
from enum import Enum
from types import MappingProxyType
from typing import NamedTuple

from nash_tf.architecture import Architecture, Node

_NONE: Mapping[str, str] = MappingProxyType({})


class Sort(Enum):
    """How a layer differs, with the sign that stands for it."""

    ADDED = "+"
    WIDENED = "↔"  # it has more filters or units
    NARROWED = "↕"
    CARRIES = "="  # more or fewer channels come and go through it
    READS = "»"  # more or fewer channels end in it
    TAKES = "↷"  # its inputs are others
    ALTERED = "*"
    REMOVED = "−"


class Change(NamedTuple):
    """One layer that differs.

    Attributes:
        sort: how.
        name: the layer's name.
        kind: its kind.
        words: what changed, without the name.
    """

    sort: Sort
    name: str
    kind: str
    words: str

    def __str__(self) -> str:
        return f"{self.sort.value} {self.name} ({bare(self.kind)}) {self.words}"


def changes(parent: Architecture, child: Architecture, folded: Mapping[str, str] = _NONE) -> list[Change]:
    """The layers of a child that differ from those of its parent, in the child's order; then the parent's that are gone.

    Args:
        parent, child: the two.
        folded: by normalisation that is gone the layer that computes it now, which the two alone do not tell.
    """
    found = [_added(node, child) if node.name not in parent else _changed(node, parent, child) for node in child.nodes]
    gone = [
        Change(Sort.REMOVED, node.name, node.kind, f"is gone, with {node.params:,} parameters{_into(node, folded)}")
        for node in parent.nodes
        if node.name not in child
    ]
    return [*(change for change in found if change), *gone]


def listed(parent: Architecture, child: Architecture, folded: Mapping[str, str] = _NONE) -> list[str]:
    """The `changes` as lines to read; layers that only let channels through come together in one."""
    lines, passing = [], []
    for change in changes(parent, child, folded):
        if change.sort is Sort.CARRIES:
            passing.append(change.name)
        else:
            lines.append(str(change))
    if passing:
        lines.append(f"{Sort.CARRIES.value} {', '.join(passing)}: other numbers of channels go through")
    return [*lines, f"parameters: {parent.params:,} before, {child.params:,} now"]


def bare(kind: str) -> str:
    """A kind without the package in front."""
    return kind.rpartition(">")[2]


def _into(node: Node, folded: Mapping[str, str]) -> str:
    return f": {folded[node.name]} computes it now" if node.name in folded else ""


def _added(node: Node, child: Architecture) -> Change:
    facts = [f"{node.channels} channels"] if node.channels and len(node.shape) > 1 else []
    facts += [f"{node.params:,} parameters"] if node.params else []
    after, before = _names(node.inputs), _names(child.consumers[node.name])
    place = f"behind {after}" + (f", before {before}" if before else "")
    return Change(Sort.ADDED, node.name, node.kind, ", ".join(["is new", *facts, place]))


def _changed(node: Node, parent: Architecture, child: Architecture) -> Change | None:
    old = parent[node.name]
    if node == old:
        return None
    own = node.channels != old.channels
    was = "" if node.kind == old.kind else f"was {bare(old.kind)}, and "

    def change(sort: Sort, words: str) -> Change:
        return Change(sort, node.name, node.kind, was + words)

    if own and node.rule is not None and node.rule.output_growth:
        sort = Sort.WIDENED if (node.channels or 0) > (old.channels or 0) else Sort.NARROWED
        return change(sort, f"has {node.channels} channels, {old.channels} before")
    if node.inputs != old.inputs:
        return change(Sort.TAKES, f"takes {_names(node.inputs)} instead of {_names(old.inputs)}")
    if own:
        return change(Sort.CARRIES, f"{node.channels} channels, {old.channels} before")
    now, then = _read(node, child), _read(old, parent)
    if now != then:
        return change(Sort.READS, f"reads {now} channels, {then} before")
    if node.params != old.params:
        return change(Sort.ALTERED, f"has {node.params:,} parameters, {old.params:,} before")
    return change(Sort.ALTERED, "has other settings")


def _read(node: Node, architecture: Architecture) -> int:
    """The number of channels that its kernels read, or of all its inputs where none is known to; each input counts once."""
    rule = node.rule
    read = {node.inputs[rule.reads(node.config, variable)] for variable in rule.input_growth} if rule else set()
    shapes = [architecture[name].shape for name in read or set(node.inputs)]
    return sum(shape[-1] or 0 for shape in shapes if shape)


def _names(names: Sequence[str]) -> str:
    return " and ".join(names)
