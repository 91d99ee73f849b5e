"""How a budget of compute was spent: the loss on the validation images over it, where the network grew or shrank, and the learning rate."""

from collections.abc import Sequence
from itertools import pairwise

from nash_tf.report.analysis import accuracy_course, growth_line
from nash_tf.report.drawing.axes import Scale, frame, linear
from nash_tf.report.drawing.figure import Figure, line, path, text
from nash_tf.report.drawing.markup import Markup, join, tag
from nash_tf.report.drawing.number_words import plural, short, signed_short
from nash_tf.report.records.runs import Record

_WIDTH, _LEFT, _TOP, _PLOT, _RATE = 760, 60, 66, 220, 50
_ROWS, _LABEL = 2, 70  # of the labels of where it grew or shrank, and pixels that one takes


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
    x, y = Scale(0.0, ends[-1], _LEFT, _WIDTH - 14), linear([*every], _TOP + _PLOT, _TOP)
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
    parts += _growths(records, ends, x)
    bottom = _TOP + _PLOT + 24 + _RATE
    parts += _rate(records, ends, rate, x, bottom)
    for tick in x.ticks(8):
        parts += [
            line(x(tick), bottom, x(tick), bottom + 5, "axis"),
            text(x(tick), bottom + 19, f"{tick:g}", "mid soft"),
        ]
    parts.append(text(x.end, bottom + 38, "CPU-minutes of all trainings", "end"))
    return Figure("budget", "Validation loss and learning rate over the budget", _WIDTH, bottom + 48, join(parts))


def _growths(records: Sequence[Record], ends: Sequence[float], x: Scale) -> list[Markup]:
    """A line where a network grew or shrank, and by how many parameters; labels that would meet stand in rows."""
    added = growth_line.added(records)
    parts, free = [], [0.0] * _ROWS  # from where on a row has room
    for record, begin in zip(records, ends, strict=False):
        if record.rung or not record.operators:
            continue
        at = x(begin)
        parts.append(line(at, _TOP - 6, at, _TOP + _PLOT, "mark"))
        row = next((row for row in range(_ROWS) if free[row] <= at), None)
        if row is None or record.place not in added:
            continue
        free[row] = at + _LABEL
        parts.append(text(at - 2, _TOP - 12 - 18 * row, signed_short(added[record.place]), "halo"))
    return parts


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
        for epoch, share in enumerate(record.rate)
    ]
    words = [text(x.start - 7, y(rate) + 5, f"{rate:g}", "end soft"), text(x.start - 7, bottom + 3, "0", "end soft")]
    return [*parts, path(way, "line s1"), *words, text(x.end, y(rate) + 5, "learning rate", "end soft")]
