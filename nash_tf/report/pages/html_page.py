"""The page around a report: one file, no network, its own style and a few lines of script."""

import base64
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import nash_tf
from nash_tf.drawing import figure
from nash_tf.drawing.figure import Figure
from nash_tf.drawing.markup import Markup, join, tag
from nash_tf.drawing.number_words import plural
from nash_tf.files.run_directory import PAGE_MARK
from nash_tf.report.pages.page_style import SCRIPT, STYLE

_WHOLE = 18  # rows of a table that is not divided among pages


@dataclass(frozen=True)
class Report:
    """A page and the figures in it."""

    html: str
    figures: tuple[Figure, ...]


class Cell(NamedTuple):
    """A cell of a table: what is shown, what it is sorted by, and how it is set."""

    shown: object
    value: object = None
    class_: str | None = None


def left(shown: object, wide: bool = False) -> Cell:
    """A cell of words."""
    return Cell(shown, None, "l w" if wide else "l")


Section = tuple[str, str, Markup]  # anchor, title, content
Keep = Callable[..., Markup]  # (figure or None, whether it is made to fit) -> the figure on the page, which keeps it


def page(
    title: str,
    head: Markup,
    sections: Sequence[Section],
    foot: Markup,
    refresh: int = 0,
    details: tuple[str, Markup, Sequence[Section]] | None = None,
) -> str:
    """A whole page.

    Args:
        title: of the window.
        head: the page's top, the result first.
        sections: (anchor, title, content) in order; the anchor is the short name too.
        foot: the page's end.
        refresh: seconds after which a browser loads it again; 0 for never.
        details: title, first words and sections of what is folded at the end.
    """
    style = STYLE + figure.CSS
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:"
    inside = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="refresh", content=refresh) if refresh else None,
        tag("link", rel="icon", href="data:,"),
        tag("title", title),
        tag("style", Markup(style)),
    )
    links = _links(sections)
    if details:
        links.append(tag("a", "Details", href="#details"))
    body = tag(
        "body",
        tag("header", head),
        tag("nav", tag("div", *links), aria_label="Sections") if len(links) > 1 else None,
        tag(
            "main",
            *(tag("section", tag("h2", name, id=anchor), content) for anchor, name, content in sections),
            _details(*details) if details else None,
        ),
        tag("footer", foot),
        tag("script", Markup(SCRIPT)),
    )
    return f"<!DOCTYPE html>\n{tag('html', inside, body, lang='en')}\n"


def _links(sections: Sequence[Section]) -> list[Markup]:
    return [tag("a", anchor.replace("-", " ").capitalize(), href=f"#{anchor}") for anchor, *_ in sections]


def _details(title: str, words: Markup, sections: Sequence[Section]) -> Markup:
    """Sections that are folded, all together, but on paper."""
    return tag(
        "details",
        tag("summary", tag("h2", title, id="details")),
        tag("p", *_links(sections), class_="links screen"),
        words,
        *(tag("section", tag("h3", name, id=anchor), content) for anchor, name, content in sections),
        class_="more",
    )


def foot() -> Markup:
    """Who made the page, and when."""
    moment = time.strftime("%Y-%m-%d %H:%M:%S %Z")
    return paragraph(f"{PAGE_MARK}{nash_tf.__version__} on {moment}.")


def paragraph(*content: object, class_: str | None = None) -> Markup:
    """A paragraph."""
    return tag("p", *content, class_=class_)


def shown(figure_: Figure | None, fit: bool = True) -> Markup:
    """A figure that scrolls sideways where the window is too narrow for its text."""
    if figure_ is None:
        return paragraph("Nothing to draw.", class_="soft")
    look = "scroll fit" if fit else "scroll centred"
    return tag("div", figure_.inline(), class_=look, tabindex=0, role="region", aria_label=figure_.title)


def sideways() -> Markup:
    """What to do with what a phone cuts."""
    return tag("p", "Figures and tables that are wider than the screen move sideways.", class_="phone soft")


def table(
    head: Sequence[object],
    rows: Sequence[Sequence[object]],
    caption: object = None,
    sortable: bool = False,
    narrow: bool = False,
    attributes: Sequence[Mapping[str, object]] | None = None,
) -> Markup:
    """A table; a `narrow` one has few columns, whose words go on several lines where the window is narrow. `attributes` are of rows."""

    def cell(name: str, content: object, **more: object) -> Markup:
        content = content if isinstance(content, Cell) else Cell(content)
        return tag(name, content.shown, class_=content.class_, data_value=content.value, **more)

    def header(content: object) -> Markup:
        content = content if isinstance(content, Cell) else Cell(content)
        text = content.shown
        if sortable:  # on paper a button is not repeated with the head of its table
            text = join([tag("button", text, type="button", class_="screen"), tag("span", text, class_="print")])
        return tag("th", text, class_=content.class_, scope="col")

    classes = {"sortable": sortable, "narrow": narrow, "whole": len(rows) <= _WHOLE}
    body = [
        tag("tr", *(cell("td", entry) for entry in row), **more)
        for row, more in zip(rows, attributes or [{}] * len(rows), strict=True)
    ]
    hint = tag("span", "A click on a column's name sorts by it.", class_="screen") if sortable else None
    captions = [each for each in (caption, hint) if each]
    drawn = tag(
        "table",
        tag("caption", *(html for each in captions for html in (each, " "))) if captions else None,
        tag("thead", tag("tr", *(header(entry) for entry in head))),
        tag("tbody", *body),
        class_=" ".join(name for name, has in classes.items() if has) or None,
    )
    return tag("div", drawn, class_="scroll", tabindex=0, role="region", aria_label=str(caption or "table"))


def facts(pairs: Sequence[tuple[str, object]]) -> Markup:
    """Names and values, one pair a line."""
    return table([left("name"), left("value")], [[left(name), left(value, wide=True)] for name, value in pairs])


def cards(entries: Sequence[tuple[str, ...]]) -> Markup:
    """Large numbers with what they are, and more words where there are."""
    drawn = (tag("div", tag("b", value), *(tag("span", words) for words in more)) for value, *more in entries)
    return tag("div", *drawn, class_="cards")


def code(text: str) -> Markup:
    """Lines to copy; a click marks them all."""
    return tag("pre", tag("code", text))


def folded(summary: str, *content: object, open_: bool = False, aside: bool = False) -> Markup:
    """What is shown on demand, and on paper where it is not `aside`."""
    return tag("details", tag("summary", summary), *content, open=open_, class_="aside" if aside else None)


def notice(title: str, lines: Sequence[str], most: int = 12) -> Markup | None:
    """Problems, the first of them listed."""
    if not lines:
        return None
    items = [tag("li", line) for line in lines[:most]]
    if len(lines) > most:
        items.append(tag("li", f"and {plural(len(lines) - most, 'more line')} of this kind"))
    return tag("div", tag("b", title), tag("ul", *items), class_="notice", role="note")


def together(*parts: object) -> Markup:
    """Parts one behind the other."""
    return join(parts)
