"""Labels beside marks, without overlaps."""

from collections.abc import Sequence

_LETTER, _LINE = 7.6, 14.0  # pixels a letter and a line take
_MOST = 200  # labels for which a place is sought: no figure has room for more

Box = tuple[float, float, float, float]  # left, top, right, bottom


def place(
    marks: Sequence[tuple[float, float]], wanted: Sequence[tuple[float, float, str]], radius: float = 7.0
) -> list[tuple[float, float, str] | None]:
    """Where labels stand: the first of eight places about its mark that meets no other mark or label, or nowhere.

    Args:
        marks: middles of all marks.
        wanted: (x, y, text) of the marks to label, the most important first.
        radius: of a mark.

    Returns:
        For each label the left end of its baseline and the text, or None where there is no room.
    """
    taken = [(x - radius, y - radius, x + radius, y + radius) for x, y in marks]
    placed: list[tuple[float, float, str] | None] = []
    for x, y, text in wanted[:_MOST]:
        wide = _LETTER * len(text)
        starts = [
            (x + radius + 2, y - 4),
            (x + radius + 2, y + 5),
            (x - wide - radius - 2, y - 4),
            (x + radius + 2, y + 16),
            (x - wide / 2, y - radius - 4),
            (x - wide - radius - 2, y + 5),
            (x - wide / 2, y + radius + 13),
            (x - wide - radius - 2, y + 16),
        ]
        own = (x - radius, y - radius, x + radius, y + radius)
        found = next((start for start in starts if not _meets(_box(start, wide), taken, own)), None)
        if found:
            taken.append(_box(found, wide))
        placed.append((*found, text) if found else None)
    return placed + [None] * (len(wanted) - len(placed))


def _box(start: tuple[float, float], wide: float) -> Box:
    x, y = start
    return (x, y - _LINE + 3, x + wide, y + 3)


def _meets(box: Box, taken: Sequence[Box], own: Box) -> bool:
    return any(
        box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]
        for other in taken
        if other != own
    )
