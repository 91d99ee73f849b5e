"""Sections of a search's page on its trainings: learning curves, restarts, operators, time."""

from collections.abc import Mapping, Sequence
from statistics import mean, median

from nash_tf.drawing.markup import Markup, tag
from nash_tf.drawing.number_words import NONE, count, duration, percent, plural, points
from nash_tf.records.runs import Place, Record, Run
from nash_tf.report.analysis import compute_time, operator_tally, restart_drops, search_plan
from nash_tf.report.analysis.family import Child
from nash_tf.report.charts import learning_curves, operator_chart
from nash_tf.report.pages import html_page as html
from nash_tf.report.pages import search_summary
from nash_tf.report.pages.html_page import Keep, left
from nash_tf.strategy.halving import Rung
from nash_tf.strategy.schedules import Phase


def family_words(children: Sequence[Child]) -> Markup:
    """The words above the family tree."""
    chosen = next((child for child in children if child.chosen), None)
    to = f", the thick line leads to the {'winner' if chosen.over else 'best so far'}" if chosen else ""
    order = "from the winner to those discarded first"
    return html.paragraph(
        f"A row is a step; its children stand {order}. Filled dots are rungs in which a "
        f"child was trained. The number is its last {children[0].objective.words}{to}."
    )


def curves(
    run: Run,
    children: Sequence[Child],
    rungs: Mapping[int, Sequence[Rung]],
    phases: Mapping[int, Sequence[Phase]],
    drops: Sequence[restart_drops.Drop],
    keep: Keep,
) -> Markup:
    """The learning curves, one figure for each metric and step.

    Args:
        run: the run.
        children: those that are drawn.
        rungs, phases: step -> its rungs, and the phases of its rate; none where they are not known.
        drops: of all steps.
        keep: see `html_page.Keep`.
    """
    without_rate = "learning rate not known"
    if search_plan.is_budgeted(run):
        without_rate = "learning rate: see The budget"
    groups = {step: [child for child in children if child.step == step] for step in rungs}
    by_metric: dict[str, list[Markup]] = {}
    records = {record.place: record for record in run.records}
    shown = list(dict.fromkeys([run.objective.metric, "val_accuracy"]))
    for metric in dict.fromkeys([*shown, "val_loss", "accuracy", "loss"]):
        births = {step: _birth(group, records, metric) for step, group in groups.items()}
        ranges = {step: learning_curves.span_of(groups[step], metric, births[step]) for step in rungs}
        widest = max((high - low for step, (low, high) in ranges.items() if step), default=0.0)
        for step, group in groups.items():
            if not any(child.series(metric) for child in group):
                continue
            drawn = learning_curves.learning_curves(
                step,
                group,
                rungs[step],
                phases[step],
                run.setting("learning_rate"),
                births[step],
                [drop for drop in drops if drop.step == step],
                learning_curves.widened(ranges[step], widest) if step else ranges[step],
                metric,
                without_rate,
            )
            by_metric.setdefault(metric, []).append(keep(drawn, False))
    main = [drawing for metric in shown for drawing in by_metric.pop(metric, [])]
    waits = "was undecided when the search ended" if children[0].over else "waits"
    words = [f"A line is a child; where it ends, the child has won, was discarded, has failed, or {waits}."]
    if any(sum(rung.epochs > 0 for rung in planned) > 1 for planned in rungs.values()):
        words.append("Dashed verticals are the ends of rungs.")
    if drops:
        moments = "at birth and at each restart" if search_plan.restarts(run) else "at birth"
        words.append(
            "The figures above them are the mean change of validation accuracy over the first epoch after the rate has gone up again: "
            f"{moments}."
        )
    if any(rungs):
        words.append("All steps but the first network's show the same span of values, so that slopes can be compared.")
    names = {metric: learning_curves.words_of(metric).capitalize() for metric in by_metric}
    if "loss" in names and run.config.get("class_weight") == "balanced":
        names["loss"] += ", weighted by class"
    return html.together(
        html.paragraph(" ".join(words)),
        tag("div", *main, class_="pair"),
        *(
            html.folded(names[metric], tag("div", *drawn, class_="pair"), aside=True)
            for metric, drawn in by_metric.items()
        ),
    )


def _birth(children: Sequence[Child], records: Mapping[Place, Record], metric: str) -> float | None:
    """The parent's value of a metric at its children's birth."""
    parent = next((records.get(child.parent) for child in children if child.parent), None)
    return (parent.history.get(metric) or (None,))[-1] if parent else None


def _schedule(run: Run, reached: set[int], over: bool) -> str:
    """When the method restarts the rate, and which of these moments the lineage does not show."""
    moments = search_plan.restarts(run)
    if moments is None:
        return "When this method restarts the rate is not known: its record or its settings are missing."
    if not moments:
        return "This method restarts the rate at birth only."
    *first, last = [f"{moment:,}" for moment in moments]
    listed = f"{', '.join(first)} and {last} epochs" if first else plural(moments[0], "epoch")
    words = f"This method restarts the rate at birth and after {listed} of a child's life."
    missing = next((moment for moment in moments if moment not in reached), None)
    if missing is not None:
        words += f" No child {'was' if over else 'has been'} trained past epoch {missing:,}{'' if over else ' yet'}."
    return words


def restarts(run: Run, drops: Sequence[restart_drops.Drop], over: bool) -> Markup:
    """The section on what accuracy does where the learning rate restarts."""
    schedule = _schedule(run, {drop.epoch for drop in drops}, over)
    rows = []
    for epoch in sorted({drop.epoch for drop in drops}):
        here = [drop for drop in drops if drop.epoch == epoch]
        fallen = [drop for drop in here if drop.fell and drop.lived]
        back = [drop.won_back for drop in fallen if drop.won_back is not None]
        change = mean(drop.after - drop.before for drop in here)
        rows.append(
            [
                left("birth" if epoch == 0 else f"restart at epoch {epoch}"),
                count(len(here)),
                points(change),
                points(min(drop.after - drop.before for drop in here)),
                f"{len(back)} of {len(fallen)}",
                f"{median(back):.3g}" if back else NONE,
            ]
        )
    if not rows:
        return html.paragraph(
            f"No child of a step {'was' if over else 'has been'} trained{'' if over else ' yet'}. {schedule}"
        )
    return html.together(
        html.paragraph(
            "Validation accuracy over the first epoch after the learning rate went up again; and of the children that "
            f"fell and lived until the rate was back at zero, how many had won the accuracy back by then. {schedule}"
        ),
        html.table(
            [left("when"), "children", "mean change, points", "largest drop", "won back", "median epochs until then"],
            rows,
        ),
    )


def operators(run: Run, tried: Sequence[operator_tally.Operator], keep: Keep) -> Markup:
    """The section on operators: how often each was tried and won."""
    if not tried:
        return html.paragraph("This method draws no morphisms: each child is its parent, trained on.")
    if not any(operator.drawn for operator in tried):
        return html.paragraph("No morphism has been made: each child is its parent, trained on.")
    method = run.known_method
    made = "chosen" if method is not None and method.has_foresight else "drawn"
    rows = []
    for operator in tried:
        interval = operator.interval
        between = f"{points(interval[0])} to {points(interval[1])}" if interval else NONE
        rows.append(
            [
                left(operator.name),
                count(operator.drawn),
                count(operator.accepted),
                count(operator.carriers),
                f"{operator.promoted}",
                points(operator.gain),
                between,
                f"{median(operator.growth):.2f}×" if operator.growth else NONE,
            ]
        )
    head = [
        left("operator"),
        made,
        "accepted",
        "children with it",
        "promoted",
        "mean gain, points",
        "95 % interval",
        "median size",
    ]
    gain = (
        "The gain is a child's validation accuracy after the first rung less that of the unmodified parent after the same "
        "epochs. A child has several morphisms, and each of its operators is credited with the whole gain. "
        "The children of a step are compared with one parent, so the mean and its interval are over steps. "
        if method is None or method.keeps_parent
        else "There is no gain to measure: this method has no unmodified parent among its children. "
    )
    return html.together(
        keep(operator_chart.chart(tried, made)),
        html.table(head, rows),
        html.paragraph(f"{gain}Size is a child's parameters over its parent's.", class_="soft"),
    )


def time(run: Run, entries: Sequence[compute_time.RungTime]) -> Markup:
    """The section on where the time went."""
    rest = search_summary.rest_of(run)
    total = sum(entry.cpu for entry in entries) or 1.0
    rows = [
        [
            left("control" if entry.is_control else rest if entry.step is None else f"step {entry.step}"),
            NONE if entry.step is None else f"{entry.rung}",
            NONE if entry.step is None else f"{entry.trainings}",
            duration(entry.cpu),
            duration(entry.wall),
            f"{percent(entry.cpu / total, 1)} %",
        ]
        for entry in entries
    ]
    trainings, wall = sum(entry.trainings for entry in entries), sum(entry.wall for entry in entries)
    rows.append([left("all"), "", f"{trainings}", duration(total), duration(wall), "100.0 %"])
    return html.folded(
        "By step and rung", html.table([left("step"), "rung", "trainings", "CPU", "wall clock", "share of CPU"], rows)
    )
