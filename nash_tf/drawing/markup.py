"""HTML and SVG elements as escaped text: whatever is not `Markup` is escaped, so no name can become an element."""

import html
import re
from collections.abc import Iterable

_EMPTY_HTML = {"br", "col", "hr", "img", "link", "meta"}
_EMPTY_SVG = {"circle", "line", "path", "polygon", "polyline", "rect", "use"}
# Not allowed in XML, or without a glyph; and the marks that turn the direction of text.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufffe\uffff]")


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def escape(text: object) -> Markup:
    """Text as markup; numbers in attributes and labels keep two decimals at most."""
    if isinstance(text, Markup):
        return text
    if isinstance(text, float):
        text = f"{text:.2f}".rstrip("0").rstrip(".") if abs(text) < 1e9 else f"{text:.4g}"
    return Markup(html.escape(_UNPRINTABLE.sub("\ufffd", str(text)), quote=True))


def tag(name: str, /, *content: object, **attributes: object) -> Markup:
    """One element.

    Args:
        name: of the element.
        content: put one behind the other, escaped where it is not markup; None is left out.
        attributes: an underscore at the end is dropped and others become hyphens; None and False are left out.
    """
    written = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escape(value)}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _EMPTY_HTML:
        return Markup(f"<{name}{written}>")
    if name in _EMPTY_SVG and not content:
        return Markup(f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{join(content)}</{name}>")


def join(parts: Iterable[object]) -> Markup:
    """Parts one behind the other."""
    return Markup("".join(escape(part) for part in parts if part is not None))
