"""The report of one search: the result first, the details later."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, median

import nash_tf
from nash_tf import output
from nash_tf.report import curves, family, graph, growth, layers, operators, restarts, scatter, spent, tree
from nash_tf.report import page as html
from nash_tf.report.family import Child
from nash_tf.report.figure import Figure
from nash_tf.report.markup import Markup, tag
from nash_tf.report.page import Cell, left
from nash_tf.report.runs import Run
from nash_tf.report.text import NONE, count, duration, percent, plural, points, scientific, short

MOST_STEPS = 24  # drawn; a search of more shows its last ones
_SLICE = 630  # pixels of the architecture on a printed page
_STATES = {
    "finished": "finished",
    "unfinished": "unfinished: running or interrupted",
    "failed": "failed: no training succeeded",
    "begun": "begun, no training has ended yet",
    "broken": "broken: its files cannot be read",
    "empty": "empty: no run in this directory",
}


@dataclass(frozen=True)
class Report:
    """A page and the figures in it."""

    html: str
    figures: tuple[Figure, ...]


def state_words(run: Run) -> str:
    """The state of a run, for people."""
    return _STATES[run.state]


def report(run: Run, refresh: int = 0) -> Report:
    """The report of a run, whatever state it is in."""
    everyone = family.children(run)
    last = max((child.step for child in everyone), default=0)
    children = [child for child in everyone if child.step > last - MOST_STEPS]
    steps = sorted({child.step for child in children})
    rungs = {step: family.rungs(run, step) for step in steps}
    figures: list[Figure] = []

    def keep(figure: Figure | None, fit: bool = True) -> Markup:
        if figure:
            figures.append(figure)
        return html.shown(figure, fit)

    sections: list[tuple[str, str, Markup]] = []
    if children:
        counts = {step: len(planned) for step, planned in rungs.items()}
        lengths = {step: restarts.periods(run, rungs[step]) or () for step in steps}
        drops = restarts.drops(children, {record.place: record for record in run.records}, lengths)
        tried = operators.tally(run, everyone)
        entries = spent.spent(run)
        sections = [
            ("family", "Family tree", html.together(_family_words(children), keep(tree.tree(children, counts), False))),
            (
                "accuracy",
                "Accuracy against parameters",
                html.together(
                    html.paragraph(
                        "Each network at the end of its life: those discarded early have had fewer epochs. "
                        "Labels are step.child."
                    ),
                    keep(scatter.accuracy_against_params(children, counts)),
                ),
            ),
            ("curves", "Learning curves", _curves(run, children, rungs, lengths, drops, figures)),
            ("restarts", "Restarts", _restarts(drops)),
            ("operators", "Operators", html.together(keep(operators.chart(tried)), _operators(tried))),
            ("growth", "Growth", keep(growth.growth(children, run.setting("max_params")))),
            ("time", "Time", html.together(keep(spent.chart(entries)), _time(entries))),
        ]
    if run.architecture is not None:
        sections.append(("architecture", "The winner's architecture", _architecture(run, figures)))
    if children:
        sections += [
            ("certificates", "Certificates", _certificates(run)),
            ("children", "All children", _children(everyone)),
        ]
    if run.config or run.versions:
        sections.append(("settings", "Settings and versions", _settings(run)))
    title = f"{run.dataset} · {run.method} · seed {run.seed}" if run.config or run.results else run.name
    head = _head(run, title, everyone, last - MOST_STEPS + 1)
    return Report(html.page(f"{title} · nash_tf", head, sections, foot(), refresh), tuple(figures))


def foot() -> Markup:
    """Who made the page, and when."""
    moment = time.strftime("%Y-%m-%d %H:%M:%S %Z")
    return html.paragraph(f"Written by nash_tf {nash_tf.__version__} on {moment}.")


def _head(run: Run, title: str, children: Sequence[Child], first: int) -> Markup:
    chosen = next((child for child in children if child.chosen), None)
    accuracy, before = run.result("test_accuracy"), run.result("winner_test_accuracy")
    cards = []
    trained_on = run.setting("final_epochs") != 0
    if accuracy is not None:
        cards.append((f"{percent(accuracy)} %", "test accuracy, after final training" if trained_on else "test accuracy"))
    if before is not None and trained_on:
        cards.append((f"{percent(before)} %", "test accuracy before it"))
    if chosen:
        words = "validation accuracy" if chosen.over else "validation accuracy of the incumbent"
        cards += [(f"{percent(chosen.accuracy)} %", words), (short(chosen.params), "trained parameters")]
    if children:
        cards += [
            (f"{children[-1].step}", f"{'step' if children[-1].step == 1 else 'steps'}, {len(children):,} networks"),
            (f"{sum(record.epochs for record in run.records):,}", "epochs of training"),
        ]
        cpu = run.result("cpu_seconds") or sum(record.cpu_seconds or 0 for record in run.records)
        cards.append((f"{cpu / 3600:.1f} h" if cpu >= 3600 else duration(cpu), "of CPU time"))
    failed = [line for line in run.problems if line.startswith(("Training of", "Child"))]
    broken = [line for line in run.problems if line not in failed]
    hidden = [f"Steps before step {first} are in the table of children only."] if first > 0 else []
    return html.together(
        tag("h1", title),
        tag("p", html.badge(run.state, state_words(run)), " ", tag("code", str(run.directory)), class_="soft"),
        html.cards(cards) if cards else None,
        _summary(run, children, chosen),
        html.notice("What is missing or could not be read", broken),
        html.notice("Failed trainings", failed),
        html.notice("Not drawn", hidden),
    )


def _summary(run: Run, children: Sequence[Child], chosen: Child | None) -> Markup | None:
    """The result in a few sentences."""
    if chosen is None:
        return None
    vanilla = next((child for child in children if child.step == 0), None)
    winners = [child for child in children if child.fate == family.WINNER and child.step > 0]
    same = sum(not child.operators for child in winners)
    words = [f"{'The winner' if chosen.over else 'The incumbent'} is child {chosen.label}"]
    if vanilla and vanilla.params and chosen.params and vanilla.accuracy is not None and chosen.accuracy is not None:
        factor = chosen.params / vanilla.params
        size = "as large as" if abs(factor - 1) < 0.005 else f"{factor:.3g} times the size of"
        words.append(
            f", {size} the vanilla network; its validation accuracy is "
            f"{percent(abs(chosen.accuracy - vanilla.accuracy))} points "
            f"{'below' if chosen.accuracy < vanilla.accuracy else 'above'} the vanilla network's"
        )
    words.append(". ")
    first = run.result("vanilla_test_accuracy")
    if first is not None:
        words.append(f"On the test set the vanilla network has {percent(first)} %. ")
    if winners:
        words.append(f"The unmodified parent won {same or 'none'} of {plural(len(winners), 'step')}.")
    return html.paragraph(*words)


def _family_words(children: Sequence[Child]) -> Markup:
    return html.paragraph(
        "A row is a step; its children stand from the winner to those discarded first. Filled dots are rungs in which a "
        "child was trained. The percentage is its last validation accuracy, the thick line leads to the winner."
    )


def _curves(run, children, rungs, lengths, drops, figures) -> Markup:
    rate = run.setting("learning_rate")
    by_metric: dict[str, list[Markup]] = {}
    records = {record.place: record for record in run.records}
    for metric in ("val_accuracy", "val_loss", "accuracy", "loss"):
        ranges = {step: curves.span_of([child for child in children if child.step == step], metric) for step in rungs}
        widest = max((high - low for step, (low, high) in ranges.items() if step), default=0.0)
        for step in rungs:
            group = [child for child in children if child.step == step]
            parent = next((records.get(child.parent) for child in group if child.parent), None)
            known = (parent.history.get(metric) or [None])[-1] if parent else None
            drawn = curves.learning_curves(
                step,
                group,
                rungs[step],
                lengths[step] or None,
                rate,
                known,
                [drop for drop in drops if drop.step == step],
                curves.widened(ranges[step], widest) if step else ranges[step],
                metric,
            )
            if any(child.series(metric) for child in group):
                figures.append(drawn)
                by_metric.setdefault(metric, []).append(html.shown(drawn, fit=False))
    main = by_metric.pop("val_accuracy", [])
    names = {"val_loss": "Validation loss", "accuracy": "Training accuracy", "loss": "Training loss"}
    return html.together(
        html.paragraph(
            "A line is a child; where it ends, the child was discarded or waits. Dashed verticals are the ends of rungs. The "
            "figures above them are the mean change of accuracy over the first epoch after the rate has gone up again: "
            "at birth and at each restart. All steps but the vanilla network's show the same span of accuracy, so that slopes can be compared."
        ),
        tag("div", *main, class_="pair"),
        *(
            html.folded(names[metric], tag("div", *drawn, class_="pair"), aside=True)
            for metric, drawn in by_metric.items()
        ),
    )


def _restarts(drops: Sequence[restarts.Drop]) -> Markup:
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
        return html.paragraph("No child has been trained past a restart yet, or the method's schedule is not known.")
    note = "" if any(drop.epoch for drop in drops) else " This method restarts the rate at birth only."
    return html.together(
        html.paragraph(
            "Validation accuracy over the first epoch after the learning rate went up again; and of the children that "
            f"fell and lived until the rate was back at zero, how many had won the accuracy back by then.{note}"
        ),
        html.table(
            [left("when"), "children", "mean change, points", "largest drop", "won back", "median epochs until then"],
            rows,
        ),
    )


def _operators(tried: Sequence[operators.Operator]) -> Markup:
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
        "drawn",
        "accepted",
        "children with it",
        "promoted",
        "mean gain, points",
        "95 % interval",
        "median size",
    ]
    return html.together(
        html.table(head, rows),
        html.paragraph(
            "The gain is a child's validation accuracy after the first rung less that of the unmodified parent after the same "
            "epochs. A child has several morphisms, and each of its operators is credited with the whole gain. "
            "Size is a child's parameters over its parent's.",
            class_="soft",
        ),
    )


def _time(entries: Sequence[spent.Spent]) -> Markup:
    total = sum(entry.cpu for entry in entries) or 1.0
    rows = [
        [
            left("final training, export and other" if entry.step is None else f"step {entry.step}"),
            NONE if entry.step is None else f"{entry.rung}",
            NONE if entry.step is None else f"{entry.trainings}",
            duration(entry.cpu),
            duration(entry.wall),
            f"{percent(entry.cpu / total, 1)} %",
        ]
        for entry in entries
    ]
    rows.append([left("all"), "", f"{sum(entry.trainings for entry in entries)}", duration(total)])
    rows[-1] += [duration(sum(entry.wall for entry in entries)), "100.0 %"]
    return html.folded(
        "By step and rung", html.table([left("step"), "rung", "trainings", "CPU", "wall clock", "share of CPU"], rows)
    )


def _architecture(run: Run, figures: list[Figure]) -> Markup:
    assert run.architecture is not None
    drawn = graph.graph(run.architecture)
    figures.append(drawn)
    shares = layers.shares(run.architecture)
    reused = Figure(
        drawn.name, drawn.title, drawn.width, drawn.height, tag("g", drawn.body, id="figure-architecture-body")
    )
    return html.together(
        html.paragraph(
            f"{len(run.architecture.nodes)} layers, {count(run.architecture.params)} trained parameters. A box is a layer with "
            "the normalisation and activation that follow it; below its name are the output's shape and its parameters. "
            "Each box tells the names of its layers."
        ),
        html.table(
            [left(name) for name in layers.COUNTED.values()],
            [[left(f"{percent(shares[sort], 0)} %") for sort in layers.COUNTED]],
            "Share of layers, pools, dense and others left out",
        )
        if shares
        else None,
        tag("div", html.shown(reused, fit=False), class_="screen"),
        tag("div", *graph.slices(drawn, _SLICE), class_="print"),
    )


def _certificates(run: Run) -> Markup:
    found = [record.certificate for record in run.records if record.certificate]
    if not found:
        return html.paragraph("No child has a certificate.")
    names = sorted({name for certificate in found for name in certificate})
    rows = []
    for name in names:
        values = [certificate[name] for certificate in found if name in certificate]
        rows.append([left(name), count(len(values))])
        rows[-1] += [scientific(value) for value in (min(values), median(values), max(values))]
    pairs = [
        (certificate["max_difference"], certificate["bound"])
        for certificate in found
        if "max_difference" in certificate and certificate.get("bound", 0) > 0
    ]
    words = "Every child is measured against its parent on a calibration batch before it is trained."
    if pairs:
        beyond = sum(difference > bound for difference, bound in pairs)
        nearest = max(difference / bound for difference, bound in pairs)
        words += (
            f" {len(pairs) - beyond} of {plural(len(pairs), 'newborn')} within the bound; the largest difference is "
            f"{percent(nearest, 1)} % of its bound. The bound is for max_difference, of outputs in inference; in training mode "
            "(training_difference) batch statistics enlarge rounding, and none is set."
        )
    return html.together(
        html.paragraph(words), html.table([left("measured at birth"), "children", "least", "median", "largest"], rows)
    )


def _children(children: Sequence[Child]) -> Markup:
    rows, attributes = [], []
    for child in children:
        made = ", ".join(child.operators) or ("first network" if child.step == 0 else "unmodified parent")
        rows.append(
            [
                Cell(child.label, child.step * 10**6 + child.number, "l"),
                Cell(percent(child.accuracy), child.accuracy if child.accuracy is not None else -1),
                Cell(count(child.params), child.params or 0),
                Cell(f"{child.rung + 1}", child.rung),
                Cell(f"{child.epochs}", child.epochs),
                Cell(duration(child.cpu_seconds), child.cpu_seconds),
                left(child.words()),
                left(made, wide=True),
            ]
        )
        won = child.fate == family.WINNER
        attributes.append({"id": f"child-{child.step}-{child.number}", "class_": "won" if won else None})
    head = [left("child"), "accuracy, %", "parameters", "rungs", "epochs", "CPU", left("fate"), left("morphisms")]
    drawn = html.table(head, rows, "A click on a column's name sorts by it", sortable=True, attributes=attributes)
    return html.folded(plural(len(children), "network"), drawn, open_=len(children) <= 60)


def _settings(run: Run) -> Markup:
    def words(value: object) -> str:
        return value if isinstance(value, str) else json.dumps(value)

    settings = [(str(name), words(value)) for name, value in run.config.items()]
    versions = [(str(name), words(value)) for name, value in run.versions.items()]
    results = [(str(name), words(value)) for name, value in run.results.items()]
    return html.together(
        html.folded(output.CONFIG, html.facts(settings), open_=True),
        html.folded("Versions", html.facts(versions), open_=True) if versions else None,
        html.folded(output.RESULTS, html.facts(results)) if results else None,
    )
