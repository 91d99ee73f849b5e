"""An architecture as a graph that can be read."""

from collections.abc import Sequence

from nash_tf.architecture import Architecture
from nash_tf.drawing import graph_layout
from nash_tf.drawing.figure import Figure, text
from nash_tf.drawing.layer_blocks import Block, blocks
from nash_tf.drawing.markup import Markup, join, tag
from nash_tf.drawing.number_words import short

BOX, BOX_HEIGHT, LEVEL = 192.0, 46.0, 70.0
_GAP, _EDGE_GAP, _MARGIN = 18.0, 16.0, 12.0
MOST = 5_000  # boxes, and layers that edges pass
_LETTERS = 20  # that fit into a box
_COLOURS = {"conv": 0, "separable": 4, "convex": 2, "concat": 3, "split": 1, "pool": 6, "other": 6}
_SIGNS = {"conv": "■", "separable": "◫", "convex": "α", "concat": "⧺", "split": "+", "pool": "▽", "other": "○"}


def graph(architecture: Architecture, name: str = "architecture", title: str = "The architecture") -> Figure | None:
    """Draws all blocks from the input at the top to the output at the bottom; None where there are too many."""
    drawn = blocks(architecture)
    if graph_layout.size([block.inputs for block in drawn]) > MOST:
        return None
    laid = graph_layout.draw([block.inputs for block in drawn], BOX, _GAP, _EDGE_GAP)
    edges = [_edge(way) for way in laid.ways.values()]
    boxes = [
        _box(block, laid.across[index] + _MARGIN - BOX / 2, laid.layer[index] * LEVEL + _MARGIN)
        for index, block in enumerate(drawn)
    ]
    height = (max(laid.layer, default=0)) * LEVEL + BOX_HEIGHT + 2 * _MARGIN
    title = f"{title}: {len(architecture.nodes)} layers in {len(drawn)} blocks"
    return Figure(name, title, max(laid.width + 2 * _MARGIN, 240), height, join([*edges, *boxes]))


def _edge(way: Sequence[tuple[float, int]]) -> Markup:
    return edge_between([(x + _MARGIN, level * LEVEL + _MARGIN) for x, level in way], BOX_HEIGHT)


def edge_between(way: Sequence[tuple[float, float]], height: float) -> Markup:
    """An arrow past the layers in between, straight there and smooth from layer to layer.

    Args:
        way: the places that it passes, each the middle of a layer's upper edge.
        height: of a layer's boxes.
    """
    (x, y), *rest = way
    y += height
    steps = [f"M{x:.1f} {y:.1f}"]
    for index, (place, top) in enumerate(rest):
        if abs(place - x) < 0.5:
            steps.append(f"L{place:.1f} {top:.1f}")
        else:
            middle = (y + top) / 2
            steps.append(f"C{x:.1f} {middle:.1f} {place:.1f} {middle:.1f} {place:.1f} {top:.1f}")
        x, y = place, top
        if index + 1 < len(rest):
            y = top + height
            steps.append(f"L{x:.1f} {y:.1f}")
    arrow = tag("path", d=f"M{x - 4:.1f} {y - 7:.1f}L{x:.1f} {y:.1f}L{x + 4:.1f} {y - 7:.1f}", class_="way")
    return join([tag("path", d="".join(steps), class_="way"), arrow])


def _box(block: Block, x: float, y: float) -> Markup:
    colour = _COLOURS[block.sort]
    *sides, channels = block.shape or (None,)
    shape = "×".join("?" if side is None else str(side) for side in (*sides, channels))
    facts = f"{shape}" + (f" · {short(block.params)}" if block.params else "")
    full = f"{' → '.join(block.names)}: {block.title}, output {shape}, {block.params:,} parameters"
    return tag(
        "g",
        tag("title", full),
        tag("rect", x=x, y=y, width=BOX, height=BOX_HEIGHT, rx=6, class_=f"card s{colour}"),
        tag("rect", x=x, y=y, width=7, height=BOX_HEIGHT, rx=3, class_=f"f{colour}"),
        text(x + 16, y + 19, _clipped(block.title), "strong"),
        text(x + 16, y + 37, facts, "soft"),
        text(x + BOX - 10, y + 37, _SIGNS[block.sort], "end soft"),
        tabindex=0,
    )


def _clipped(title: str) -> str:
    return title if len(title) <= _LETTERS else f"{title[: _LETTERS - 1]}…"


def slices(figure: Figure, page: float, first: float) -> list[Markup]:
    """The drawing cut between layers into pieces of at most `page` pixels, for paper; the `first` one shares its page."""
    pieces, top, most = [], 0.0, first
    while top < figure.height:
        high = min(max(1, int(most // LEVEL)) * LEVEL, figure.height - top)
        pieces.append(
            tag(
                "svg",
                tag("use", href="#figure-architecture-body"),
                viewBox=f"0 {top:.1f} {figure.width:.1f} {high:.1f}",
                width=figure.width,
                height=high,
                aria_hidden="true",
            )
        )
        top, most = top + high, page
    return pieces
