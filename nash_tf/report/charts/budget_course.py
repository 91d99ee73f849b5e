"""How a budget of compute was spent: the loss on the validation images over it, where the network grew or shrank, and the learning rate."""

from collections.abc import Sequence
from itertools import pairwise

from nash_tf.drawing.axes import Scale, frame, linear
from nash_tf.drawing.figure import Figure, line, path, text
from nash_tf.drawing.markup import Markup, join, tag
from nash_tf.drawing.number_words import plural, short, signed_short
from nash_tf.records.runs import Record
from nash_tf.report.analysis import accuracy_course, growth_line

_WIDTH, _LEFT, _PLOT, _RATE = 760, 60, 220, 50
_ROWS, _ROW = 8, 18  # of the labels of where it grew or shrank, the most, and pixels between them


def chart(records: Sequence[Record], rate: float | None) -> Figure | None:
    """Draws the trainings of a run in their order; None where their time or their losses are not known.

    Args:
        records: of all trainings.
        rate: learning rate at its highest; None where that is not known.
    """
    ends = accuracy_course.ends(records)
    losses = accuracy_course.of_epochs(records, "val_loss")
    every = [loss for each in losses for _, loss in each]
    if not every or not ends[-1] > 0:
        return None
    x = Scale(0.0, ends[-1], _LEFT, _WIDTH - 14)
    changes = _changes(records, ends, x)
    top = 30 + _ROW * max((row + 1 for _, _, row in changes if row is not None), default=0)
    y = linear([*every], top + _PLOT, top)
    parts = [frame(x, y, "", "", lambda _: "", lambda loss: f"{loss:g}", (), y.ticks(6))]
    grown = "changed its size" if growth_line.shrank(records) else "grew"
    dashed = (
        f"; dashed: the network {grown}, by so many parameters" if any(record.operators for record in records) else ""
    )
    parts.append(text(12, 18, f"validation loss{dashed}"))
    last: dict = {}  # place -> the last loss
    for record, own, begin in zip(records, losses, ends, strict=False):
        before = last.get(record.parent)
        way = [(begin, before), *own] if before is not None else own
        last[record.place] = own[-1][1] if own else before
        title = tag("title", f"step {record.step}, {plural(record.epochs, 'epoch')}, {short(record.params)} parameters")
        if len(way) > 1:
            parts.append(tag("g", title, path([(x(at), y(loss)) for at, loss in way], "line s0 won")))
    for at, words, row in changes:
        label = top - 12 - _ROW * (row or 0)
        parts.append(tag("g", tag("title", words), line(at, label + 6, at, top + _PLOT, "mark")))
        if words and row is not None:
            parts.append(text(at - 2, label, words, "halo"))
    bottom = top + _PLOT + 24 + _RATE
    parts += _rate(records, ends, rate, x, bottom)
    for tick in x.ticks(8):
        parts += [
            line(x(tick), bottom, x(tick), bottom + 5, "axis"),
            text(x(tick), bottom + 19, f"{tick:g}", "mid soft"),
        ]
    parts.append(text(x.end, bottom + 38, "CPU-minutes of all trainings", "end"))
    return Figure("budget", "Validation loss and learning rate over the budget", _WIDTH, bottom + 48, join(parts))


def _changes(records: Sequence[Record], ends: Sequence[float], x: Scale) -> list[tuple[float, str | None, int | None]]:
    """Where a network grew or shrank, by how many parameters, and in which row that is written; None where there is no room.

    Rows count from below. Of labels that would meet the earlier one is higher, so that its line goes by those below it.
    """
    added = growth_line.added(records)
    found: list[tuple[float, str | None, int | None]] = []
    free = [x.end + 14] * _ROWS  # up to where a row has room
    for record, begin in reversed(list(zip(records, ends, strict=False))):
        if record.rung or not record.operators:
            continue
        at, words = x(begin), signed_short(added[record.place]) if record.place in added else ""
        row = next((row for row in range(_ROWS) if words and at + 8 * len(words) + 8 <= free[row]), None)
        if row is not None:
            free[row] = at
        found.append((at, words or None, row))
    return found


def _rate(
    records: Sequence[Record], ends: Sequence[float], rate: float | None, x: Scale, bottom: float
) -> list[Markup]:
    """The learning rate, on an axis below."""
    parts: list[Markup] = [line(x.start, bottom, x.end, bottom, "axis")]
    if not rate or not all(record.rate for record in records):
        return [*parts, text(x.start + 8, bottom - 14, "learning rate not known", "soft")]
    y = Scale(0.0, rate, bottom, bottom - _RATE + 8)
    way = [
        (x(begin + (end - begin) * epoch / max(record.epochs, 1)), y(share * rate))
        for record, (begin, end) in zip(records, pairwise(ends), strict=True)
        for epoch, share in zip(
            range(record.epochs % record.every, record.epochs + 1, record.every), record.rate, strict=True
        )
    ]
    at = bottom - 8 if records[-1].rate[-1] > 0.5 else y(rate) + 5  # not across the line
    words = [text(x.start - 7, y(rate) + 5, f"{rate:g}", "end soft"), text(x.start - 7, bottom + 3, "0", "end soft")]
    return [*parts, path(way, "line s1"), *words, text(x.end, at, "learning rate", "end soft")]
