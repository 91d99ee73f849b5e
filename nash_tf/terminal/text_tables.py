"""Tables for the terminal and for Markdown, and text that is safe to print."""

import re
from collections.abc import Sequence

# What Markdown takes for more than a letter; an underscore between letters, as in --max_hours, is one, and so are brackets of no link.
_MARKS = re.compile(r"[\\`*~|]|(?<![^\W_])_|_(?![^\W_])|\[(?=[^\]]*\][(\[])")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in columns: the first flush left, the others flush right. Unprintable characters are escaped."""
    lines = [[printable(cell) for cell in line] for line in (head, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [[in_markdown(cell) for cell in line] for line in (head, *rows)]
    lines.insert(1, ["---"] * len(head))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def in_markdown(text: object) -> str:
    """One line that Markdown takes for neither HTML, emphasis, code, a link nor the border of a cell."""
    marked = _MARKS.sub(r"\\\g<0>", printable(text))
    return marked.replace("&", "&amp;").replace("<", "&lt;")


def printable(text: object) -> str:
    """One line that a terminal cannot take for a command."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in str(text))
