"""The section on the front: smaller networks, made of the one that is handed over."""

from nash_tf.report.drawing.markup import Markup
from nash_tf.report.drawing.number_words import NONE, count, percent
from nash_tf.report.pages import html_page as html
from nash_tf.report.pages.html_page import left
from nash_tf.report.records.runs import Run, number


def section(run: Run) -> Markup | None:
    """The networks by size; None where no smaller ones were made."""
    listed = run.results.get("front")
    members = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    if len(members) < 2:
        return None
    is_timed = any(number(each.get("latency_ms")) is not None for each in members)
    times = ["ms an image", "ms for 32"] if is_timed else []
    scores = ["validation accuracy, %", "test accuracy, %"]
    columns = [left("network"), "parameters", "operations", *times, *scores, left("")]
    return html.together(
        html.paragraph(
            "Each was made of the next larger one by taking out what matters least for the loss, and then trained against the outputs "
            "of the one that is handed over. nash_tf.pick(run, max_params=...) loads the best within limits."
        ),
        html.table(columns, [_row(each, is_timed) for each in members]),
    )


def _row(member: dict, is_timed: bool) -> list:
    def of(name: str, words) -> str:
        value = number(member.get(name))
        return NONE if value is None else words(value)

    return [
        left(str(member.get("directory", NONE))[:200]),
        of("params", count),
        of("flops", count),
        *((of(name, "{:.3g}".format) for name in ("latency_ms", "latency_ms_32")) if is_timed else ()),
        of("val_accuracy", percent),
        of("test_accuracy", percent),
        left("" if member.get("on_front") is not False else "no better than a cheaper one"),
    ]
