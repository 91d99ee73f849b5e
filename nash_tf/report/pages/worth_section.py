"""The section on whether the search was worth it: its winner beside a control, the first network trained on alone."""

from collections.abc import Sequence

from nash_tf.report.analysis import family, search_plan
from nash_tf.report.analysis.family import Child
from nash_tf.report.drawing.markup import Markup, tag
from nash_tf.report.drawing.number_words import count, duration, percent, plural
from nash_tf.report.pages import html_page as html
from nash_tf.report.pages.html_page import left
from nash_tf.report.records.runs import Run, number
from nash_tf.report.records.tested import Tested
from nash_tf.scores import worth


def section(run: Run, test: Tested | None, children: Sequence[Child]) -> Markup | None:
    """The control beside the winner; without one, what of it is known; nothing before the end."""
    own, first = run.result("test_accuracy"), run.result("vanilla_test_accuracy")
    if own is None:
        return None
    found = run.results.get("control")
    control = found if isinstance(found, dict) else {}
    accuracy = number(control.get("test_accuracy"))
    if accuracy is None:
        words = "This run has no control, the first network trained on alone. "
        if not search_plan.searches(run):
            words = f"There is nothing to compare: method {run.method} searches for nothing and trains the first network alone."
        elif family.is_first(children):
            words += "The model is the first network itself, not changed by the search."
        elif first is not None:
            words += (
                f"After its own training, before the search, the first network had {percent(first)} % on the test images; the "
                f"model has {percent(own)} %. How much of the difference is the search's and how much longer training's is not known."
            )
        return html.paragraph(words)
    is_better, winner = control.get("is_better") is True, run.result("winner_test_accuracy")
    compared = own if winner is None else winner
    handed_over = " and is handed over" if run.gives_control else ""
    judged = f"it is {'at least as good as' if is_better else 'not as good as'} the search's winner{handed_over}"
    above = f"{percent(abs(compared - accuracy))} points {'below' if compared < accuracy else 'above'} the control"
    images = test.images if test else None
    by_chance = worth.may_be_chance(compared, accuracy, images)
    chance = f", which may be chance on {plural(test.images, 'image')}" if test and by_chance else ""
    words = (
        f"The control is the first network, trained on alone for {duration(number(control.get('cpu_seconds')))} of CPU time. On the "
        f"validation images {judged}. On the test images the winner is {above}{chance}."
    )
    if cut := worth.cut_short({name: number(control.get(name)) for name in ("epochs", "epochs_wanted")}):
        words += f" {cut}"
    share = worth.compute_share(*(number(control.get(name)) for name in ("cpu_seconds", "search_cpu_seconds")))
    if not is_better and (less := worth.less(share)):
        words += f" {less}"
    head = worth.verdict(is_better, family.is_first(children), compared, accuracy, images, share)
    rows = [
        [
            left("the search's winner"),
            percent(compared),
            count(next((child.params for child in children if child.chosen), None)),
            duration(number(control.get("search_cpu_seconds"))),
        ],
        [
            left("the control"),
            percent(accuracy),
            count(number(control.get("params"))),
            duration(number(control.get("cpu_seconds"))),
        ],
    ]
    head_row = [left("network"), "test accuracy, %", "parameters", "CPU time"]
    return html.together(html.paragraph(tag("strong", f"{head} "), words), html.table(head_row, rows, narrow=True))
