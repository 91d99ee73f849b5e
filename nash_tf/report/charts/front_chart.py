"""The networks of a front: what each scores, against what it costs."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from nash_tf.drawing import label_places
from nash_tf.drawing.axes import frame, linear, logarithmic, staircase
from nash_tf.drawing.figure import Figure, legend, mark, path, star, text
from nash_tf.drawing.markup import join, tag
from nash_tf.drawing.number_words import short

_WIDTH, _HEIGHT = 760, 380


class Shown(NamedTuple):
    """A network as it is drawn.

    Attributes:
        name: its label.
        cost: what it costs, above 0.
        score: larger is better.
        is_handed_over: whether it is the one in `best/`.
        is_best: whether none is both better and cheaper.
    """

    name: str
    cost: float
    score: float
    is_handed_over: bool
    is_best: bool


def chart(networks: Sequence[Shown], cost: str, score: str, words: Callable[[float], str]) -> Figure | None:
    """All networks of a front; None where there are fewer than two.

    Args:
        networks: in any order.
        cost, score: titles of the axes.
        words: a score as it is read.
    """
    if len(networks) < 2:
        return None
    x = logarithmic([each.cost for each in networks], 60, _WIDTH - 14, 0.14)
    y = linear([each.score for each in networks], _HEIGHT - 84, 34, 0.12)
    parts = [frame(x, y, cost, score, short, words)]
    best = sorted((each for each in networks if each.is_best), key=lambda each: (each.cost, -each.score))
    if best:
        parts.append(staircase([(x(each.cost), y(each.score)) for each in best], x.end))
    for each in networks:
        at, title = (x(each.cost), y(each.score)), tag("title", f"{each.name}: {words(each.score)}, {short(each.cost)}")
        drawn = star(*at, 9, "f0", title) if each.is_handed_over else mark(0, *at, 5.5, "f1", title)
        parts.append(drawn)
    places = label_places.place(
        [(x(each.cost), y(each.score)) for each in networks],
        [(x(each.cost), y(each.score), each.name) for each in networks],
    )
    parts += [text(*place, "halo strong") for place in places if place]
    meaning = [
        (lambda a, b: star(a, b, 8, "f0"), "the model in best/"),
        (lambda a, b: mark(0, a, b, 5.5, "f1"), "the others, in front/"),
        (lambda a, b: path([(a - 9, b), (a + 9, b)], "front"), "no network is better and cheaper"),
    ]
    parts.append(legend(50, _HEIGHT - 10, meaning))
    return Figure("front", f"{score} against {cost}", _WIDTH, _HEIGHT, join(parts))
