"""The section on how a method with one budget of compute has spent it, and what each growth, or reduction, was expected to bring."""

from nash_tf.drawing.markup import Markup
from nash_tf.drawing.number_words import NONE, count, decrease, duration, percent
from nash_tf.morphisms.names import counted
from nash_tf.records import gain_of_growth
from nash_tf.records.runs import Record, Run
from nash_tf.report.analysis import growth_line, search_plan
from nash_tf.report.charts import budget_course
from nash_tf.report.pages import considered_section
from nash_tf.report.pages import html_page as html
from nash_tf.report.pages.html_page import Keep, left
from nash_tf.scores import worth
from nash_tf.strategy import course
from nash_tf.strategy.front_plan import CUT_RATE, CUT_SHARE, Front


def budget(run: Run, keep: Keep) -> Markup:
    """What was trained for how long, in order.

    Args:
        run: the run.
        keep: see `html_page.Keep`.
    """
    total = sum(record.cpu_seconds or 0.0 for record in run.records)
    drawn = budget_course.chart(run.records, run.setting("learning_rate"))
    columns = [left("step"), left("morphisms"), "parameters", "epochs", "CPU time", "share, %", "expected", "val. loss"]
    plan = search_plan.front_plan(run)
    words = (
        "All trainings share one budget and one learning rate, without restarts: it rises over the first epoch, is constant until "
        f"{course.COOLDOWN * 100:.0f} % of the budget is spent, and then falls to zero. The last step is trained in parts."
    )
    if plan:
        words = (
            "All trainings share one budget. The largest network is made of the first one, and trained at a rate that is constant "
            f"until {course.COOLDOWN * 100:.0f} % of its training are done, and then falls to zero. Each smaller one is cut out of the one "
            f"before it, and trained at a rate that falls to zero from {CUT_RATE * 100:.0f} % of that. Each is meant to have compute in "
            f"proportion to the cube root of its size; one that was cut out, {CUT_SHARE * 100:.0f} % of that."
        )
    if search_plan.grew_in_branches(run):
        words = "All trainings share one budget. One network grew from size to size, and at each a copy of it was trained to an end."
    return html.together(
        html.paragraph(words),
        keep(drawn) if drawn else None,
        html.table(columns, [_row(run, record, total, plan) for record in run.records]),
        html.paragraph(_gains(run)) if any(record.expected_gain is not None for record in run.records) else None,
        considered_section.section(run, plan is not None),
    )


def _gains(run: Run) -> str:
    """What the morphisms were expected to bring, and what they have brought, in words."""
    if not any(record.operators for record in run.records):
        why = (
            ""
            if any(record.considered for record in run.records)
            else ": at no step was a morphism worth what it costs"
        )
        return f"The network has not {'changed its size' if search_plan.can_shrink(run) else 'grown'}{why}."
    pace = "what slower training costs, or faster training wins, counted in" if growth_line.shrank(run.records) else ""
    return (
        "Expected is the decrease of the loss that the morphisms are worth at the end of the budget, "
        f"{pace or 'the slower training taken off'}. {_realised(run)}"
    )


def _realised(run: Run) -> str:
    """What the morphisms have brought, in words, measured against the control, which is the first network without them."""
    found, births = gain_of_growth.against_control(run), gain_of_growth.births(run)
    if found is None:
        return "What they have brought cannot be told without a control: the network would have gone on learning without them too."
    if not any(record.operators for record in births):
        return "None of them led to the winner."
    expected = sum(record.expected_gain or 0.0 for record in births)
    ends = f"ends at {found.control:.3f}"
    if found.with_as_much is not None and f"{found.with_as_much:.3f}" != f"{found.control:.3f}":
        ends += f" and, with as much as the search had, would be expected to end at {found.with_as_much:.3f}"
    return (
        f"Of all that led to the winner it is {decrease(expected)}. They have brought {decrease(found.loss)}: the control, the first network "
        f"trained alone{_for_how_long(found.share)}, {ends}; the winner at {found.winner:.3f}."
    )


def _for_how_long(share: float | None) -> str:
    """How long a control was trained, beside the search, where that is known."""
    if share is None:
        return ""
    return f" with {share:.0%} of the search's CPU time" if worth.has_less(share) else " for as long"


def _row(run: Run, record: Record, total: float, plan: Front | None) -> list:
    loss = record.loss
    step = (
        "first network" if record.step == 0 else f"{record.step}" + (f", part {record.rung + 1}" if record.rung else "")
    )
    if plan and record.step:
        step += ", finishes" if search_plan.finishes(run, record) else ", grows on"
    return [
        left(step),
        left(NONE if record.rung or not record.operators else counted(record.operators)),
        count(record.params),
        count(record.epochs),
        NONE if record.cpu_seconds is None else duration(record.cpu_seconds),
        NONE if not total or record.cpu_seconds is None else percent(record.cpu_seconds / total, 0),
        NONE if record.rung or not record.operators or record.expected_gain is None else decrease(record.expected_gain),
        NONE if loss is None else f"{loss:.3f}",
    ]
