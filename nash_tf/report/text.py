"""Numbers as people read them, and tables for the terminal and for Markdown."""

from collections.abc import Sequence

NONE = "–"


def percent(share: float | None, digits: int = 2) -> str:
    """0.9583 -> "95.83"."""
    return NONE if share is None else f"{100 * share:.{digits}f}"


def points(difference: float | None) -> str:
    """A difference of shares in percentage points, with its sign."""
    return NONE if difference is None else f"{100 * difference + 0.0:+.2f}".replace("-0.00", "+0.00").replace("-", "−")


def count(number: float | None) -> str:
    """24058 -> "24,058"."""
    return NONE if number is None else f"{number:,.0f}"


def short(number: float | None) -> str:
    """24058 -> "24.1k"."""
    if number is None:
        return NONE
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= 0.9995 * size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.3g}"


def duration(seconds: float | None) -> str:
    """3725 -> "1 h 02 min"."""
    if seconds is None:
        return NONE
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{seconds / 60:.1f} min" if seconds < 600 else f"{minutes} min" if minutes < 60 else _hours(minutes)


def _hours(minutes: int) -> str:
    return f"{minutes // 60} h {minutes % 60:02d} min"


def scientific(number: float) -> str:
    """Three digits, in scientific notation where that is shorter."""
    return f"{number + 0.0:.3g}"  # no minus zero


def plural(number: int, one: str, many: str | None = None) -> str:
    """1 child, 2 children."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


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
    """One line that Markdown takes for neither HTML nor the border of a cell."""
    return printable(text).replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")


def printable(text: object) -> str:
    """One line that a terminal cannot take for a command."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in str(text))
