"""A figure: drawn once, shown in the page and written as an SVG file of its own. Colours are classes, never attributes.

Palette: Okabe and Ito 2008, readable with every kind of colour blindness; dashes and marks say the same a second time.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nash_tf.drawing.markup import Markup, escape, join, tag

SERIES = 8  # colours, each with dashes and a mark of its own
_LIGHT = {
    "paper": "#ffffff",
    "ink": "#1d2433",
    "soft": "#566074",
    "rule": "#c9cfda",
    "grid": "#e6e9ef",
    "wash": "#f3f5f9",
    "c0": "#0072b2",
    "c1": "#d55e00",
    "c2": "#009e73",
    "c3": "#b5568b",
    "c4": "#e69f00",
    "c5": "#56b4e9",
    "c6": "#1d2433",
    "c7": "#8a7f00",
}
_DARK = {
    "paper": "#151a23",
    "ink": "#e9edf5",
    "soft": "#aab3c5",
    "rule": "#465066",
    "grid": "#2a3242",
    "wash": "#1d2430",
    "c0": "#4aa8e0",
    "c1": "#ff8a3d",
    "c2": "#2cc79b",
    "c3": "#e39ac4",
    "c4": "#f0b429",
    "c5": "#8bd0f7",
    "c6": "#e9edf5",
    "c7": "#d3c94a",
}
_DASHES = ("", "7 3", "2 3", "9 3 2 3", "12 4", "4 2 1 2", "1 2", "6 2 2 2 2 2")
FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif'

# No selector reaches above the drawing's own elements: in a `use` there is nothing above.
CSS = (
    f"text{{font-family:{FONT};font-size:13px;fill:var(--ink)}}"
    ".soft{fill:var(--soft)}.strong{font-weight:650}.big{font-size:15px}"
    ".end{text-anchor:end}.mid{text-anchor:middle}"
    ".axis{stroke:var(--soft);fill:none}.grid{stroke:var(--grid);fill:none}"
    ".mark{stroke:var(--rule);stroke-dasharray:4 3;fill:none}"
    ".edge{stroke:var(--rule);stroke-width:1.5;fill:none}"
    ".way{stroke:var(--soft);stroke-width:1.4;fill:none}"
    ".trunk{stroke:var(--c0);stroke-width:3.5;fill:none}"
    ".front{stroke:var(--ink);stroke-width:1.5;stroke-dasharray:6 3;fill:none}"
    ".card{fill:var(--paper);stroke:var(--rule);stroke-width:1.2}"
    ".card.won{stroke:var(--c0);stroke-width:2.5;fill:var(--wash)}"
    ".card.failed{stroke:var(--c1);stroke-dasharray:4 3}"
    ".card.open{stroke:var(--soft);stroke-dasharray:2 3}"
    ".bold{stroke-width:3}.gone{text-decoration:line-through}"
    ".line{fill:none;stroke-width:1.8;stroke-linejoin:round}.line.won{stroke-width:3.2}"
    ".paper{fill:var(--paper)}.wash{fill:var(--wash)}"
    ".hollow{fill:var(--paper);stroke-width:1.8}"
    ".drop{stroke:var(--c1);stroke-width:2;fill:none}.fall{fill:var(--c1)}"
    ".halo{paint-order:stroke;stroke:var(--paper);stroke-width:3.5px;stroke-linejoin:round}"
    + "".join(f".f{index}{{fill:var(--c{index})}}.s{index}{{stroke:var(--c{index})}}" for index in range(SERIES))
    + "".join(f".d{index}{{stroke-dasharray:{dash}}}" for index, dash in enumerate(_DASHES) if dash)
    + "".join(f".t{index}{{fill:var(--c0);fill-opacity:{0.9 - 0.17 * index:.2f}}}" for index in range(6))
)


def variables(dark: bool = False) -> str:
    """The palette as CSS variables."""
    return "".join(f"--{name}:{value};" for name, value in (_DARK if dark else _LIGHT).items())


@dataclass(frozen=True)
class Figure:
    """A drawing.

    Attributes:
        name: of its file, without the ending.
        title: what it shows, for those who do not see it.
        width, height: in pixels at full size; text is set for that size.
        body: its elements.
    """

    name: str
    title: str
    width: float
    height: float
    body: Markup

    def inline(self) -> Markup:
        """For the page, whose style sheet has `CSS`."""
        return tag(
            "svg",
            self.body,
            viewBox=self._box(),
            width=self.width,
            height=self.height,
            role="group",
            aria_label=self.title,
            id=f"figure-{self.name}",
            style=f"--w:{escape(float(self.width))}px",
        )

    def document(self) -> str:
        """A file of its own, without variables: many programs that show SVG do not know them."""
        css = re.sub(r"var\(--(\w+)\)", lambda found: _LIGHT[found[1]], CSS)
        svg = tag(
            "svg",
            tag("title", self.title),
            tag("style", Markup(css)),
            tag("rect", class_="paper", width=self.width, height=self.height),
            self.body,
            xmlns="http://www.w3.org/2000/svg",
            viewBox=self._box(),
            width=self.width,
            height=self.height,
        )
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{svg}\n'

    def _box(self) -> str:
        return f"0 0 {escape(float(self.width))} {escape(float(self.height))}"


def text(x: float, y: float, content: object, class_: str | None = None, **more: object) -> Markup:
    """A line of text."""
    return tag("text", content, x=float(x), y=float(y), class_=class_, **more)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """A straight line."""
    return tag("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), class_=class_)


def path(points: Sequence[tuple[float, float]], class_: str, **more: object) -> Markup:
    """A line through points, to a tenth of a pixel."""
    if len(points) == 1:
        points = [points[0], points[0]]
    steps = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return tag("path", d=f"M{steps}", class_=class_, **more)


# Corners about (0, 0) of the marks of a series, but for the first, which is a circle.
# fmt: off
_MARKS = (
    ((-1, -1), (1, -1), (1, 1), (-1, 1)),
    ((0, -1.3), (1.15, 0.9), (-1.15, 0.9)),
    ((0, -1.35), (1.35, 0), (0, 1.35), (-1.35, 0)),
    ((0, 1.3), (1.15, -0.9), (-1.15, -0.9)),
    ((-0.45, -1.2), (0.45, -1.2), (1.2, -0.45), (1.2, 0.45), (0.45, 1.2), (-0.45, 1.2), (-1.2, 0.45), (-1.2, -0.45)),
    ((-0.4, -1.3), (0.4, -1.3), (0.4, -0.4), (1.3, -0.4), (1.3, 0.4), (0.4, 0.4),
     (0.4, 1.3), (-0.4, 1.3), (-0.4, 0.4), (-1.3, 0.4), (-1.3, -0.4), (-0.4, -0.4)),
    ((-1.3, -0.6), (1.3, -0.6), (1.3, 0.6), (-1.3, 0.6)),
)
# fmt: on
_STAR = tuple(
    (long * math.sin(math.pi * index / 5), -long * math.cos(math.pi * index / 5))
    for index, long in enumerate((1, 0.45) * 5)
)


def mark(shape: int, x: float, y: float, radius: float, class_: str, *content: Markup) -> Markup:
    """A mark of a series: circle, square, triangle, diamond and so on."""
    if shape % SERIES:
        return _polygon(_MARKS[shape % SERIES - 1], x, y, radius, class_, *content)
    return tag("circle", *content, cx=float(x), cy=float(y), r=float(radius), class_=class_)


def star(x: float, y: float, radius: float, class_: str, *content: Markup) -> Markup:
    """A five-pointed star: the winner, everywhere."""
    return _polygon(_STAR, x, y, radius, class_, *content)


def _polygon(
    corners: Sequence[tuple[float, float]], x: float, y: float, radius: float, class_: str, *content: Markup
) -> Markup:
    points = " ".join(f"{x + a * radius:.1f},{y + b * radius:.1f}" for a, b in corners)
    return tag("polygon", *content, points=points, class_=class_)


def legend(x: float, y: float, entries: Sequence[tuple[Callable[[float, float], Markup], str]]) -> Markup:
    """Marks with what they mean, one beside the other; a mark is drawn 8 pixels about the place it is given."""
    parts = []
    for draw, meaning in entries:
        parts += [draw(x + 8, y - 4), text(x + 22, y, meaning, "soft")]
        x += 22 + 6.9 * len(meaning) + 26
    return join(parts)
