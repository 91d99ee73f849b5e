"""CPU time: a bar for each step, its rungs side by side."""

from collections.abc import Sequence

from nash_tf.drawing.figure import Figure, text
from nash_tf.drawing.markup import Markup, join, tag
from nash_tf.drawing.number_words import duration, percent
from nash_tf.report.analysis.compute_time import RungTime


def chart(entries: Sequence[RungTime]) -> Figure | None:
    """A bar for each step, its rungs side by side."""
    total = sum(entry.cpu for entry in entries)
    if not total > 0:
        return None
    steps = list(dict.fromkeys(entry.step for entry in entries))
    sums = {step: sum(entry.cpu for entry in entries if entry.step == step) for step in steps}
    left, right, row = 150, 720, 34
    unit = (right - left) / max(sums.values())
    parts: list[Markup] = [text(left, 18, "CPU time; the numbers in the bars are rungs", "soft")]
    for index, step in enumerate(steps):
        y = 32 + row * index
        words = "after the search" if step is None else f"step {step}" if step else "first network"
        parts.append(text(left - 12, y + 17, words, "end"))
        x = float(left)
        for entry in (entry for entry in entries if entry.step == step):
            wide = entry.cpu * unit
            which = "control" if entry.is_control else words if step is None else f"{words}, rung {entry.rung}"
            title = f"{which}: {duration(entry.cpu)} of CPU, {duration(entry.wall)} of wall-clock time"
            shade = "f5" if step is None else f"t{min(entry.rung, 5)}"
            parts.append(
                tag("rect", tag("title", title), x=x, y=y, width=max(wide - 1.5, 0.5), height=row - 10, class_=shade)
            )
            if wide > 18 and step:
                parts.append(text(x + wide / 2, y + 17, entry.rung, "mid strong halo"))
            x += wide
        parts.append(text(x + 8, y + 17, f"{duration(sums[step])}, {percent(sums[step] / total, 0)} %", "soft"))
    return Figure("time", "CPU time by step and rung", right + 160, 32 + row * len(steps) + 4, join(parts))
