"""The family tree: a row a step, the children from the best to the worst, the winner's line thick."""

from collections.abc import Sequence

from nash_tf.drawing.figure import Figure, path, star, text
from nash_tf.drawing.markup import Markup, join, tag
from nash_tf.drawing.number_words import plural, short
from nash_tf.report.analysis import family
from nash_tf.report.analysis.family import Child
from nash_tf.report.charts.child_words import description, measured

_CARD, _HEIGHT, _GAP, _LEFT, _PER_LINE = 122, 70, 10, 94, 8
_BETWEEN_LINES, _BETWEEN_STEPS = 26, 44


def tree(children: Sequence[Child], rungs: dict[int, int]) -> Figure:
    """Draws the family.

    Args:
        children: all of them.
        rungs: step -> number of rungs, for the dots.
    """
    line_of_winner = family.trunk(children)
    steps = sorted({child.step for child in children})
    places: dict[tuple[int, int], tuple[float, float]] = {}
    edges: list[Markup] = []
    strong: list[Markup] = []
    cards: list[Markup] = []
    y, widest = 10.0, 0.0
    for step in steps:
        ranked = sorted((child for child in children if child.step == step), key=family.rank)
        top = y
        parent = next((child.parent for child in ranked if child.parent), None)
        source = places.get((parent[0], parent[2])) if parent else None
        for index, child in enumerate(ranked):
            row, column = divmod(index, _PER_LINE)
            x, y = _LEFT + column * (_CARD + _GAP), top + row * (_HEIGHT + _BETWEEN_LINES)
            places[step, child.number] = (x, y)
            widest = max(widest, x + _CARD)
            cards.append(_card(child, x, y, rungs.get(step, 1)))
            if source:
                way = _way(source, x, y, row)
                if (step, child.number) in line_of_winner:
                    strong.append(path(way, "trunk"))
                else:
                    edges.append(path(way, "edge"))
        cards.append(text(0, top + 22, f"step {step}" if step else "first", "strong"))
        if step:
            cards.append(text(0, top + 40, plural(len(ranked), "child", "children"), "soft"))
        y += _HEIGHT + _BETWEEN_STEPS
    height = max(y - _BETWEEN_STEPS + 10, 40)
    chosen = next((child for child in children if child.chosen), None)
    whose = f", the line of the {'winner' if chosen.over else 'best so far'} thick" if chosen else ""
    title = f"Family tree of {plural(len(children), 'network')} in {plural(len(steps), 'step')}{whose}"
    return Figure("family_tree", title, max(widest + 10, 320), height, join([*edges, *strong, *cards]))


def _way(source: tuple[float, float], x: float, y: float, row: int) -> list[tuple[float, float]]:
    """From below the parent along a bus above the row; further rows are reached at the left."""
    begin, bus = (source[0] + _CARD / 2, source[1] + _HEIGHT), y - 16
    end = [(x + _CARD / 2, bus), (x + _CARD / 2, y)]
    if row == 0 and bus > begin[1]:
        return [begin, (begin[0], bus), *end]
    left, first = _LEFT - 12, begin[1] + 12
    return [begin, (begin[0], first), (left, first), (left, bus), *end]


def _card(child: Child, x: float, y: float, rungs: int) -> Markup:
    look = {family.FAILED: "card failed", family.OPEN: "card open"}.get(
        child.fate, "card won" if child.stands_out else "card"
    )
    fate = {
        family.WINNER: "winner",
        family.FINISHED: "finished",
        family.DISCARDED: f"out after rung {child.rung}",
        family.FAILED: f"failed in rung {child.rung}",
        family.OPEN: child.open_words(),
    }[child.fate]
    if child.chosen:
        fate = "final winner" if child.over else "best so far"
    elif child.step == 0 and child.fate == family.WINNER:
        fate = "trained first"
    elif child.is_between and child.fate == family.WINNER:
        fate = "grew on"
    parts = [
        tag("title", description(child)),
        tag("rect", x=x, y=y, width=_CARD, height=_HEIGHT, rx=7, class_=look),
        text(x + 10, y + 21, child.label, "strong"),
        text(x + _CARD - 10, y + 21, measured(child.objective, child.records[-1].value), "end strong"),
        text(x + 10, y + 41, short(child.params), "soft"),
        _dots(child, x + _CARD - 10, y + 36, rungs),
        text(x + (26 if child.stands_out else 10), y + 60, fate, "soft"),
    ]
    if child.stands_out:
        parts.append(star(x + 16, y + 55.5, 7, "f0"))
    return tag("a", *parts, href=f"#child-{child.step}-{child.number}", data_child=f"{child.step}-{child.number}")


def _dots(child: Child, right: float, y: float, rungs: int) -> Markup:
    """A dot for each rung, filled where the child was trained."""
    if rungs > 6:
        return text(right, y + 4, f"{child.rung + 1} of {rungs} rungs", "end soft")
    reached = {record.rung for record in child.records if not record.failed}
    return join(
        tag(
            "circle",
            cx=float(right - 4.5 - 12 * (rungs - 1 - rung)),
            cy=y,
            r=4,
            class_="f6" if rung in reached else "hollow s6",
        )
        for rung in range(rungs)
    )
