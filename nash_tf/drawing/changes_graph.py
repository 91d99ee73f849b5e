"""What a morph, or a step of a search, changed: the child's graph with marks on what differs from its parent."""

from collections.abc import Mapping, Sequence
from graphlib import TopologicalSorter
from typing import NamedTuple

from nash_tf.architecture import Architecture
from nash_tf.architecture.changes import Change, Sort, changes
from nash_tf.drawing import graph_layout
from nash_tf.drawing.architecture_graph import MOST, edge_between
from nash_tf.drawing.figure import Figure, text
from nash_tf.drawing.layer_blocks import Block, blocks
from nash_tf.drawing.markup import Markup, join, tag
from nash_tf.drawing.number_words import plural, short

_BOX, _HEIGHT, _LEVEL, _GAP, _EDGE_GAP, _MARGIN, _ROW = 204.0, 62.0, 84.0, 12.0, 12.0, 8.0, 22.0
_LETTERS = 23  # that fit into a box


class _Style(NamedTuple):
    border: str  # classes: a colour, and a line that differs without colours
    is_double: bool
    meaning: str


_STYLES = {
    Sort.ADDED: _Style("bold s2", False, "new"),
    Sort.WIDENED: _Style("bold s0", True, "wider"),
    Sort.NARROWED: _Style("s3", True, "narrower"),
    Sort.CARRIES: _Style("s0", False, "lets other numbers of channels through"),
    Sort.READS: _Style("bold s4 d4", False, "reads other numbers of channels"),
    Sort.TAKES: _Style("bold s6 d2", False, "takes other inputs"),
    Sort.ALTERED: _Style("s6 d3", False, "set otherwise"),
    Sort.REMOVED: _Style("s1 d1", False, "gone"),
}


class _Box(NamedTuple):
    title: str
    facts: str
    change: Change | None
    names: tuple[str, ...]
    inputs: tuple[int, ...]


def graph(parent: Architecture, child: Architecture, name: str = "changes") -> Figure | None:
    """Draws the child from its input at the top to its output at the bottom, unchanged parts folded.

    Args:
        parent: the network before.
        child: the network after.
        name: of the figure.

    Returns:
        The figure; None where there are too many boxes.
    """
    found = {change.name: change for change in changes(parent, child)}
    boxes = _folded(_boxes(parent, child, found))
    inputs = [box.inputs for box in boxes]
    if graph_layout.size(inputs) > MOST:
        return None
    laid = graph_layout.draw(inputs, _BOX, _GAP, _EDGE_GAP)
    heads, sorts = (
        _heads(parent, child, found),
        [sort for sort in Sort if any(sort is box.change.sort for box in boxes if box.change)],
    )
    top = 2 * _MARGIN + 20.0 * len(heads)
    ways = [
        edge_between([(x + _MARGIN, level * _LEVEL + top) for x, level in way], _HEIGHT) for way in laid.ways.values()
    ]
    drawn = [
        _drawn(box, laid.across[index] + _MARGIN - _BOX / 2, laid.layer[index] * _LEVEL + top)
        for index, box in enumerate(boxes)
    ]
    bottom = top + max(laid.layer, default=0) * _LEVEL + _HEIGHT + 2 * _MARGIN
    words = [
        text(_MARGIN, _MARGIN + 16 + 20 * row, head, "strong" if row == 0 else "soft") for row, head in enumerate(heads)
    ]
    meaning = [_meaning(sort, _MARGIN, bottom + row * _ROW) for row, sort in enumerate(sorts)]
    width = max(laid.width + 2 * _MARGIN, 320.0)
    height = bottom + len(sorts) * _ROW + _MARGIN
    return Figure(name, "; ".join(heads), width, height, join([*words, *ways, *drawn, *meaning]))


def _heads(parent: Architecture, child: Architecture, found: Mapping[str, Change]) -> list[str]:
    counts = {
        sort: sum(change.sort is sort for change in found.values())
        for sort in (Sort.ADDED, Sort.WIDENED, Sort.NARROWED, Sort.REMOVED)
    }
    parts = [f"{count} {_STYLES[sort].meaning}" for sort, count in counts.items() if count]
    return [
        ("Layers: " + ", ".join(parts))
        if parts
        else "No layer is new, wider, narrower or gone"
        if found
        else "Nothing changed",
        f"{short(parent.params)} parameters before, {short(child.params)} now",
    ]


def _boxes(parent: Architecture, child: Architecture, found: Mapping[str, Change]) -> list[_Box]:
    drawn = blocks(child)
    home = {name: index for index, block in enumerate(drawn) for name in block.names}
    result = [
        _Box(block.title, _facts(block), _foremost(block.names, found), block.names, block.inputs) for block in drawn
    ]
    for node in parent.nodes:
        if node.name not in child:
            change = found[node.name]
            facts = f"{short(node.params)} parameters" if node.params else ""
            inputs = tuple(dict.fromkeys(home[source] for source in node.inputs if source in home))
            home[node.name] = len(result)
            result.append(_Box(node.name, facts, change, (node.name,), inputs))
    return result


def _foremost(names: Sequence[str], found: Mapping[str, Change]) -> Change | None:
    """The change of a box: the first of its layers' in the order of `Sort`."""
    order = list(Sort)
    return min(
        (found[name] for name in names if name in found), key=lambda change: order.index(change.sort), default=None
    )


def _facts(block: Block) -> str:
    shape = "×".join("?" if side is None else str(side) for side in block.shape)
    return shape + (f" · {short(block.params)}" if block.params else "")


def _folded(boxes: Sequence[_Box]) -> list[_Box]:
    """The boxes, with those together as one that neither changed nor lie beside a change, as far as edges join them."""
    near = {each for index, box in enumerate(boxes) if box.change for each in (index, *box.inputs)}
    near |= {index for index, box in enumerate(boxes) if any(boxes[source].change for source in box.inputs)}
    group: list[int] = []  # by box the first box of its group
    after: dict[int, set[int]] = {}  # by group those that read it

    def leads(start: int, ends: set[int]) -> bool:
        waiting, seen = [start], {start}
        while waiting:
            reached = after[waiting.pop()] - seen
            if reached & ends:
                return True
            seen |= reached
            waiting += reached
        return False

    for index, box in enumerate(boxes):
        sources = {group[source] for source in box.inputs}
        joined = [group[source] for source in box.inputs if index not in near and source not in near]
        # Two ways between the same boxes must not become a circle.
        own = next((each for each in joined if not leads(each, sources - {each})), index)
        group.append(own)
        after.setdefault(own, set())
        for source in sources - {own}:
            after[source].add(own)
    members: dict[int, list[int]] = {}
    for index, own in enumerate(group):
        members.setdefault(own, []).append(index)
    order = list(
        TopologicalSorter(
            {own: {group[source] for each in members[own] for source in boxes[each].inputs} - {own} for own in members}
        ).static_order()
    )
    place = {own: at for at, own in enumerate(order)}
    return [
        _together(
            [boxes[each] for each in members[own]],
            [place[group[source]] for each in members[own] for source in boxes[each].inputs if group[source] != own],
        )
        for own in order
    ]


def _together(boxes: Sequence[_Box], inputs: Sequence[int]) -> _Box:
    """One box for several."""
    inputs = tuple(dict.fromkeys(inputs))
    if len(boxes) == 1:
        return boxes[0]._replace(inputs=inputs)
    names = tuple(name for box in boxes for name in box.names)
    return _Box(f"… {plural(len(names), 'layer')}", "as before", None, names, inputs)


def _drawn(box: _Box, x: float, y: float) -> Markup:
    style = _STYLES[box.change.sort] if box.change else None
    parts = [
        tag("title", f"{' → '.join(box.names)}: {box.change.words if box.change else 'as before'}"),
        tag("rect", x=x, y=y, width=_BOX, height=_HEIGHT, rx=6, class_=f"card {style.border if style else ''}".strip()),
    ]
    if style and style.is_double:
        parts.append(
            tag(
                "rect",
                x=x + 4,
                y=y + 4,
                width=_BOX - 8,
                height=_HEIGHT - 8,
                rx=4,
                class_=f"card {style.border.split()[-1]}",
            )
        )
    is_gone = box.change is not None and box.change.sort is Sort.REMOVED
    parts += [
        text(x + 12, y + 20, _clipped(box.title), "strong gone" if is_gone else "strong" if box.change else "soft"),
        text(x + 12, y + 37, box.facts, "soft"),
    ]
    if box.change:
        parts.append(text(x + 12, y + 54, _clipped(f"{box.change.sort.value} {_brief(box.change)}")))
    return tag("g", *parts, tabindex=0)


def _brief(change: Change) -> str:
    """The change of one layer, to fit into a box."""
    match change.sort:
        case Sort.ADDED | Sort.REMOVED | Sort.ALTERED | Sort.TAKES:
            return _STYLES[change.sort].meaning
    now, _, then = (
        change.words.removeprefix("has ")
        .removeprefix("reads ")
        .replace(" channels", "")
        .removesuffix(" before")
        .partition(", ")
    )
    return f"reads {then} → {now}" if change.sort is Sort.READS else f"{then} → {now} channels"


def _meaning(sort: Sort, x: float, y: float) -> Markup:
    style = _STYLES[sort]
    parts = [tag("rect", x=x + 2, y=y, width=26, height=15, rx=3, class_=f"card {style.border}")]
    if style.is_double:
        parts.append(
            tag("rect", x=x + 5.5, y=y + 3.5, width=19, height=8, rx=2, class_=f"card {style.border.split()[-1]}")
        )
    return join([*parts, text(x + 38, y + 12, f"{sort.value}  {style.meaning}")])


def _clipped(title: str) -> str:
    return title if len(title) <= _LETTERS else f"{title[: _LETTERS - 1]}…"
