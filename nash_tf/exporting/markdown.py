"""Tables in Markdown."""

import json
from collections.abc import Sequence


def row(cells: Sequence) -> str:
    """A line of a table, whatever its cells hold: lists as JSON, None as "unset"."""
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(value) -> str:
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, (list, tuple)) else str(value)
    text = "unset" if value is None else text
    return " ".join(text.split()).replace("|", "\\|")
