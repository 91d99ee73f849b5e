"""Tables in Markdown."""

import json
from collections.abc import Iterable, Sequence

from nash_tf.terminal.text_tables import in_markdown


class Code(str):
    """A cell that is shown as code."""


def table(head: Sequence[str], rows: Iterable[Sequence]) -> list[str]:
    """The lines of a table."""
    return [row(head), row(["---"] * len(head)), *map(row, rows)]


def row(cells: Sequence) -> str:
    """A line of a table, whatever its cells hold: lists as JSON, None as "unset"; names that look like Markdown stay as they are."""
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(value) -> str:
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, (list, tuple)) else str(value)
    text = " ".join(("unset" if value is None else text).split())
    return f"`{text}`" if isinstance(value, Code) else in_markdown(text)
