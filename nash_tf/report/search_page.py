"""The report of one search: the result first, the details later."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean, median

import nash_tf
from nash_tf import methods, output
from nash_tf.report import curves, family, graph, growth, layers, operators, plan, restarts, scatter, spent, tree
from nash_tf.report import page as html
from nash_tf.report.family import Child
from nash_tf.report.figure import Figure
from nash_tf.report.markup import Markup, tag
from nash_tf.report.page import Cell, left
from nash_tf.report.runs import Run
from nash_tf.report.text import NONE, count, duration, percent, plural, points, scientific, short

MOST_STEPS = 24  # drawn; a search of more shows its last ones
MOST_CHILDREN = 200  # of a step drawn, those that came furthest
_MOST_NUMBERS = 50  # of certificates
_SLICE = 630  # pixels of the architecture on a printed page
_STATES = {
    "finished": "finished",
    "unfinished": "unfinished",
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
    words = _STATES[run.state]
    if run.state not in ("unfinished", "begun"):
        return words
    if run.owner is None:
        return f"{words}: running or interrupted"
    return f"{words}: {run.owner} is at work on it, or was killed" if run.owner else f"{words}: interrupted"


def report(run: Run, refresh: int = 0) -> Report:
    """The report of a run, whatever state it is in."""
    everyone = family.children(run)
    last = max((child.step for child in everyone), default=0)
    children, hidden = _drawn(everyone, last - MOST_STEPS + 1)
    steps = sorted({child.step for child in children})
    rungs = {step: plan.rungs(run, step) for step in steps}
    figures: list[Figure] = []

    def keep(figure: Figure | None, fit: bool = True) -> Markup:
        if figure:
            figures.append(figure)
        return html.shown(figure, fit)

    sections: list[tuple[str, str, Markup]] = []
    if children:
        counts = {step: len(planned) for step, planned in rungs.items()}
        lengths = {step: plan.periods(run, rungs[step]) or () for step in steps}
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
                        "Each network after its last training: those discarded early have had fewer epochs. "
                        "Labels are step.child."
                    ),
                    keep(scatter.accuracy_against_params(children, counts)),
                ),
            ),
            ("curves", "Learning curves", _curves(run, children, rungs, lengths, drops, figures)),
            ("restarts", "Restarts", _restarts(run, drops, everyone[0].over)),
            ("operators", "Operators", _operators(run, tried, keep)),
            ("growth", "Growth", keep(growth.growth(children, run.setting("max_params")))),
            ("time", "Time", html.together(keep(spent.chart(entries)), _time(run, entries))),
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
    head = _head(run, title, everyone, hidden)
    return Report(html.page(f"{title} · nash_tf", head, sections, foot(), refresh), tuple(figures))


def foot() -> Markup:
    """Who made the page, and when."""
    moment = time.strftime("%Y-%m-%d %H:%M:%S %Z")
    return html.paragraph(f"Written by nash_tf {nash_tf.__version__} on {moment}.")


def _drawn(children: Sequence[Child], first: int) -> tuple[list[Child], list[str]]:
    """The children that the figures show, and a sentence for each sort that they do not."""
    hidden = [f"Steps before step {first} are in the table of children only."] if first > 0 else []
    of_steps: dict[int, list[Child]] = {}
    for child in children:
        if child.step >= first:
            of_steps.setdefault(child.step, []).append(child)
    for step, members in of_steps.items():
        if len(members) > MOST_CHILDREN:
            hidden.append(
                f"Of step {step} the {MOST_CHILDREN} children that came furthest are drawn, of {len(members):,}."
            )
            best = sorted(members, key=family.rank)[:MOST_CHILDREN]
            of_steps[step] = sorted(best, key=lambda child: child.number)
    return [child for members in of_steps.values() for child in members], hidden


def _head(run: Run, title: str, children: Sequence[Child], hidden: Sequence[str]) -> Markup:
    chosen = next((child for child in children if child.chosen), None)
    accuracy, before = run.result("test_accuracy"), run.result("winner_test_accuracy")
    cards = []
    final = run.setting("final_epochs")
    if accuracy is not None:
        cards.append((f"{percent(accuracy)} %", "test accuracy, after final training" if final else "test accuracy"))
    if before is not None and final != 0:
        cards.append(
            (f"{percent(before)} %", "test accuracy before it" if final else "test accuracy of the search's winner")
        )
    if chosen:
        words = "validation accuracy" if chosen.over else "validation accuracy of the incumbent"
        cards += [(f"{percent(chosen.chosen_accuracy)} %", words), (short(chosen.params), "trained parameters")]
    if children:
        last = children[-1]
        steps = "step" if last.step == 1 else "steps"
        begun = "" if last.closed else " begun"
        cards += [
            (f"{last.step}", f"{steps}{begun}, {plural(len(children), 'network')}"),
            (f"{sum(record.epochs for record in run.records):,}", "epochs of training"),
        ]
        cpu = run.result("cpu_seconds") or sum(record.cpu_seconds or 0 for record in run.records)
        cards.append((f"{cpu / 3600:.1f} h" if cpu >= 3600 else duration(cpu), "of CPU time"))
    failed = [line for line in run.problems if line.startswith(("Training of", "Child"))]
    broken = [line for line in run.problems if line not in failed]
    return html.together(
        tag("h1", title),
        tag("p", html.badge(run.state, state_words(run)), " ", tag("code", str(run.directory)), class_="soft"),
        html.cards(cards) if cards else None,
        _summary(run, children, chosen),
        _progress(run, plan.standing(run)),
        html.notice("What is missing or could not be read", broken),
        html.notice("Failed trainings", failed),
        html.notice("Not drawn", hidden),
    )


def _summary(run: Run, children: Sequence[Child], chosen: Child | None) -> Markup | None:
    """The result in a few sentences."""
    if chosen is None:
        return None
    vanilla = next((child for child in children if child.step == 0), None)
    name = "the first network" if chosen.step == 0 else f"child {chosen.label}"
    if not chosen.over:
        words = [f"The incumbent is {name}"]
    elif run.results and not (run.winner and run.winner[::2] == (chosen.step, chosen.number)):
        words = [f"By the lineage the winner is {name}"]
    else:
        words = [f"The winner is {name}"]
    mine, first = chosen.chosen_accuracy, vanilla.accuracy if vanilla else None
    if chosen.step and vanilla and vanilla.params and chosen.params and first is not None and mine is not None:
        factor = chosen.params / vanilla.params
        size = "as large as" if abs(factor - 1) < 0.005 else f"{factor:.3g} times the size of"
        words.append(
            f", {size} the vanilla network; its validation accuracy is "
            f"{percent(abs(mine - first))} points {'below' if mine < first else 'above'} the vanilla network's"
        )
    words.append(". ")
    tested = run.result("vanilla_test_accuracy")
    if tested is not None:
        words.append(f"On the test set the vanilla network has {percent(tested)} %. ")
    method = methods.registry.get(run.method)
    won = [child for child in children if child.fate == family.WINNER and child.step > 0 and child.closed]
    if won and (method is None or (method.keeps_parent and method.operators)):
        same = sum(not child.operators for child in won)
        words.append(f"The unmodified parent won {same or 'none'} of {plural(len(won), 'closed step')}.")
    return html.paragraph(*words)


def _progress(run: Run, standing: plan.Standing | None) -> Markup | None:
    """What of the search is done and what is not; nothing where it is finished as planned, or its plan is not known."""
    if standing is None or not run.records or run.state == "failed":
        return None
    limits = " and ".join(f"{name} = {value:g}" for name, value in standing.limits)
    opened = standing.opened
    if opened is None:
        if run.results:
            return None
        rest = "the test and the export" if run.setting("final_epochs") == 0 else "final training, test and export"
        few = {0: "The first network is trained", 1: "The one step is closed"}
        steps = few.get(standing.steps, f"All {standing.steps:,} steps are closed")
        return html.paragraph(f"{steps}: the search is over, {rest} are not.")
    planned = plan.rungs(run, opened.step)
    where = f"step {opened.step} of at most {standing.steps}" if opened.step else "the first network's training"
    within = f", rung {opened.rung} of 0 to {len(planned) - 1}" if len(planned) > 1 else ""
    done = f"{standing.trained} of {plural(standing.trained + len(opened.missing), 'child', 'children')} trained"
    if run.results:
        if limits:
            why = f"its time was limited by {limits}"
        elif (
            not opened.rung
            and not standing.trained
            and (method := methods.registry[run.method]).keeps_parent
            and method.operators
        ):
            why = "no limit on time was set, and no new child fitted into max_params"
        else:
            why = "why, the records do not tell"
        return html.paragraph(f"The search ended in {where}{within}, with {done}, before that step was closed: {why}.")
    words = f"Open is {where}{within}, with {done}."
    if limits and standing.best:
        step, _, child = standing.best
        words += f" If the limit on time ({limits}) has been reached since, the search is over, and child {step}.{child} is handed over."
    return html.paragraph(words)


def _family_words(children: Sequence[Child]) -> Markup:
    chosen = next((child for child in children if child.chosen), None)
    to = f", the thick line leads to the {'winner' if chosen.over else 'incumbent'}" if chosen else ""
    return html.paragraph(
        "A row is a step; its children stand from the winner to those discarded first. Filled dots are rungs in which a "
        f"child was trained. The percentage is its last validation accuracy{to}."
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
    waits = "was undecided when the search ended" if children[0].over else "waits"
    words = [f"A line is a child; where it ends, the child has won, was discarded, has failed, or {waits}."]
    if any(len(planned) > 1 for planned in rungs.values()):
        words.append("Dashed verticals are the ends of rungs.")
    if drops:
        moments = "at birth and at each restart" if plan.restarts(run) else "at birth"
        words.append(
            "The figures above them are the mean change of accuracy over the first epoch after the rate has gone up again: "
            f"{moments}."
        )
    if any(rungs):
        words.append(
            "All steps but the vanilla network's show the same span of accuracy, so that slopes can be compared."
        )
    names = {"val_loss": "Validation loss", "accuracy": "Training accuracy", "loss": "Training loss"}
    return html.together(
        html.paragraph(" ".join(words)),
        tag("div", *main, class_="pair"),
        *(
            html.folded(names[metric], tag("div", *drawn, class_="pair"), aside=True)
            for metric, drawn in by_metric.items()
        ),
    )


def _schedule(run: Run, reached: set[int], over: bool) -> str:
    """When the method restarts the rate, and which of these moments the lineage does not show."""
    moments = plan.restarts(run)
    if moments is None:
        return "When this method restarts the rate is not known: its record or its settings are missing."
    if not moments:
        return "This method restarts the rate at birth only."
    *first, last = [f"{moment:,}" for moment in moments]
    listed = f"{', '.join(first)} and {last}" if first else last
    words = f"This method restarts the rate at birth and after {listed} epochs of a child's life."
    missing = [f"{moment:,}" for moment in moments if moment not in reached]
    if missing:
        words += f" No child {'was' if over else 'has been'} trained past {', '.join(missing)}{'' if over else ' yet'}."
    return words


def _restarts(run: Run, drops: Sequence[restarts.Drop], over: bool) -> Markup:
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


def _operators(run: Run, tried: Sequence[operators.Operator], keep: Callable[[Figure | None], Markup]) -> Markup:
    if not tried:
        return html.paragraph("This method draws no morphisms: each child is its parent, trained on.")
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
    method = methods.registry.get(run.method)
    gain = (
        "The gain is a child's validation accuracy after the first rung less that of the unmodified parent after the same "
        "epochs. A child has several morphisms, and each of its operators is credited with the whole gain. "
        if method is None or method.keeps_parent
        else "No gain can be told: this method has no unmodified parent among its children. "
    )
    return html.together(
        keep(operators.chart(tried)),
        html.table(head, rows),
        html.paragraph(f"{gain}Size is a child's parameters over its parent's.", class_="soft"),
    )


def _time(run: Run, entries: Sequence[spent.Spent]) -> Markup:
    rest = "test, export and other" if run.setting("final_epochs") == 0 else "final training, test, export and other"
    total = sum(entry.cpu for entry in entries) or 1.0
    rows = [
        [
            left(rest if entry.step is None else f"step {entry.step}"),
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
    shares = layers.shares(run.architecture)
    words = f"{len(run.architecture.nodes)} layers, {count(run.architecture.params)} trained parameters. "
    pictures: list[Markup] = []
    if drawn is None:
        words += "They are too many to be drawn."
    else:
        figures.append(drawn)
        reused = Figure(
            drawn.name, drawn.title, drawn.width, drawn.height, tag("g", drawn.body, id="figure-architecture-body")
        )
        words += (
            "A box is a layer with the normalisation and activation that follow it; below its name are the output's shape and "
            "its parameters. Each box tells the names of its layers."
        )
        pictures = [
            tag("div", html.shown(reused, fit=False), class_="screen"),
            tag("div", *graph.slices(drawn, _SLICE), class_="print"),
        ]
    return html.together(
        html.paragraph(words),
        html.table(
            [left(name) for name in layers.COUNTED.values()],
            [[left(f"{percent(shares[sort], 0)} %") for sort in layers.COUNTED]],
            "Share of layers, pools, dense and others left out",
        )
        if shares
        else None,
        *pictures,
    )


def _certificates(run: Run) -> Markup:
    found = [record.certificate for record in run.records if record.certificate]
    if not found:
        return html.paragraph("No child has a certificate.")
    names = sorted({name for certificate in found for name in certificate})[:_MOST_NUMBERS]
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
    born = sum(record.rung == 0 and record.step > 0 for record in run.records)
    measured = sum(record.rung == 0 and record.step > 0 and bool(record.certificate) for record in run.records)
    words = (
        f"{'Every child was' if measured == born else f'{measured:,} of {born:,} children were'} measured against its parent "
        "on a calibration batch before it was trained."
    )
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
