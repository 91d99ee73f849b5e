"""Tables in Markdown."""

import json
from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence]) -> list[str]:
    """The lines of a table."""
    return [row(head), row(["---"] * len(head)), *map(row, rows)]


def row(cells: Sequence) -> str:
    """A line of a table, whatever its cells hold: lists as JSON, None as "unset"."""
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(value) -> str:
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, (list, tuple)) else str(value)
    text = "unset" if value is None else text
    return " ".join(text.split()).replace("|", "\\|")
