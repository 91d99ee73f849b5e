"""What each growth, or reduction, was chosen among: what was taken, the best of what was not, and why no more was taken."""

import math
from itertools import takewhile

from nash_tf.drawing.markup import Markup, join, tag
from nash_tf.drawing.number_words import NONE, count, decrease, plural, signed
from nash_tf.morphisms import reductions
from nash_tf.morphisms.alter_channels import TO, AlterChannels
from nash_tf.morphisms.base import Site
from nash_tf.records.runs import Record, Run, name_of
from nash_tf.report.pages import html_page as html
from nash_tf.report.pages.html_page import left
from nash_tf.strategy import alternatives, course
from nash_tf.strategy.alternatives import Candidate, Weighing, why_none
from nash_tf.strategy.front_proposals import PART
from nash_tf.strategy.growing import MOST_REDUCTIONS

MOST_STEPS, MOST_WEIGHINGS = 30, 60  # that are shown; of a step

_RULE = "the one that gains most for its cost is taken, unless it costs more than it gains. "
_RULE_OF_SIZES = (
    f"of those that add {100 * PART:.0f} % of the parameters that are missing to the size, or of all where none does, the one that is "
    "worth most for each parameter is taken. "
)
_TERMS = (
    "Gain is by how much the loss is expected to be lower since the network is larger, cost by how much higher since there are fewer "
    "epochs of a slower network, worth the one less the other. In bold is what was taken; below it are the best of each other operator. "
)
_SMALLER = "Where filters go, both are below 0: the network is smaller, and there are more epochs. Gain / cost is what is won for what is lost. "
_PRICE = (
    f"The price of an epoch is limited by the budget, to {course.GROWTH:g} times the parent's and to 1/{course.FEWEST_EPOCHS} of "
    "what is left. "
)


def section(run: Run, is_front: bool) -> Markup | None:
    """A part of the section on the budget; None where nothing was recorded.

    Args:
        run: the run.
        is_front: whether the network grows to sizes that are asked for.
    """
    births = [record for record in run.records if record.considered]
    if not births:
        return None
    rule = _RULE_OF_SIZES if is_front else _RULE
    words = f"What was considered: at each choice all morphisms are weighed, and {rule}{_TERMS}"
    if any(candidate.params < 0 for record in births for weighing in record.considered for candidate in weighing.best):
        words += _SMALLER
    if any(alternatives.PRICE in weighing.refused for record in births for weighing in record.considered):
        words += _PRICE
    if len(births) > MOST_STEPS:
        words += f"Of {len(births):,} steps the first {MOST_STEPS} are shown."
    mutations = run.setting("mutations")
    return html.together(html.paragraph(words), *(_step(each, mutations, is_front) for each in births[:MOST_STEPS]))


def _step(record: Record, mutations: float | None, is_front: bool) -> Markup:
    """What was weighed in one step."""
    shown, taken = record.considered[:MOST_WEIGHINGS], len(record.operators)
    rows: list[list[object]] = []
    attributes: list[dict[str, object]] = []
    for number, weighing in enumerate(shown):
        for place, candidate in enumerate(weighing.best[: alternatives.MOST]):
            is_taken = not place and number < taken
            rows.append(_row(number, weighing, candidate, is_taken, is_front, is_first=not place))
            attributes.append({"class_": "won" if is_taken else None})
    per = "worth of a million parameters" if is_front else "gain / cost"
    head = [left("choice"), left("morphism, layers: size"), "gain", "cost", "worth", per]
    head += ["parameters", "weighed", "over a limit"]
    table = html.table(head, rows, attributes=attributes) if rows else None
    end = _end(record, mutations, is_front)
    title = f"Step {record.step}: {plural(taken, 'morphism') if taken else 'none'} taken"
    if not taken:
        return html.together(html.paragraph(end), html.folded("What was weighed in it", table) if table else None)
    return html.folded(title, table, html.paragraph(end))


def _row(
    number: int, weighing: Weighing, candidate: Candidate, is_taken: bool, is_front: bool, is_first: bool
) -> list[object]:
    if is_front:
        per = decrease(1e6 * candidate.worth / candidate.params) if candidate.params > 0 else NONE
    else:
        per = f"{candidate.ratio:.2f}" if candidate.ratio < math.inf else NONE
    place = tag("span", _place(candidate.operator, candidate.site), class_="site")
    return [
        left(("none" if not is_taken else number + 1) if is_first else ""),
        left(join([name_of(candidate.operator), " ", place])),
        decrease(candidate.gain),
        decrease(candidate.cost),
        decrease(candidate.worth),
        per,
        signed(candidate.params),
        count(weighing.weighed) if is_first else "",
        count(sum(weighing.refused.values())) if is_first else "",
    ]


def _place(operator: str, site: Site) -> str:
    """The layers that a site names, and the width, factor or kernel."""
    layers = [*takewhile(lambda part: isinstance(part, str) and part != TO, site)]
    rest = site[len(layers) :]
    is_factor = operator == AlterChannels.name and rest and rest[0] != TO
    sizes = " ".join(map(str, ("times", *rest) if is_factor else rest))
    return name_of(", ".join(map(str, layers)) + (f": {sizes}" if sizes else ""))


def _end(record: Record, mutations: float | None, is_front: bool) -> str:
    """Why no more morphisms were taken."""
    taken, weighings = len(record.operators), len(record.considered)
    words = f"The first {MOST_WEIGHINGS} choices are shown. " if weighings > MOST_WEIGHINGS else ""
    if weighings > taken:
        why = why_none(record.considered[-1], "adds parameters" if is_front else "was worth what it costs")
        begin = (
            f"After {plural(taken, 'morphism')} no more was taken" if taken else f"In step {record.step} none was taken"
        )
        return f"{words}{begin}: {why}."
    if is_front:
        return f"{words}With {plural(taken, 'morphism')} the network was of its size."
    if taken and record.operators[0] in reductions:  # then all are; `mutations` is a limit of growth
        limit = f"{plural(MOST_REDUCTIONS, 'morphism')} that make the network smaller"
        return f"{words}A step has no more than {limit}, so no more was weighed." if taken >= MOST_REDUCTIONS else words
    if mutations is not None and taken >= mutations:
        return (
            f"{words}A step has no more than {plural(int(mutations), 'morphism')} (mutations), so no more was weighed."
        )
    return words
