"""Sections of a search's page on its networks: the architecture handed over, certificates, all children; and its settings."""

import json
from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from nash_tf.architecture import Architecture
from nash_tf.architecture.changes import listed
from nash_tf.drawing import architecture_graph, changes_graph
from nash_tf.drawing.figure import Figure
from nash_tf.drawing.markup import Markup, tag
from nash_tf.drawing.number_words import count, duration, percent, plural, scientific
from nash_tf.files import run_directory
from nash_tf.morphisms import are_exact
from nash_tf.morphisms.names import counted
from nash_tf.records.runs import Run
from nash_tf.report.analysis import growth_line, layer_shares
from nash_tf.report.analysis.family import Child
from nash_tf.report.charts.child_words import measured
from nash_tf.report.pages import html_page as html
from nash_tf.report.pages.html_page import Cell, Keep, left
from nash_tf.scores.objectives import ACCURACY

_MOST_NUMBERS = 50  # of certificates
_SLICE, _FIRST_SLICE = 630, 400  # pixels of the architecture on a printed page, and below its heading


def architecture(run: Run, figures: list[Figure]) -> Markup:
    """The section of the network handed over: its graph and its layers."""
    assert run.architecture is not None
    drawn = architecture_graph.graph(run.architecture)
    shares = layer_shares.shares(run.architecture)
    which = ", the control," if run.gives_control else ""
    size = f"{len(run.architecture.nodes)} layers and {count(run.architecture.params)} parameters"
    words = f"The network handed over{which} has {size}. "
    pictures: list[Markup] = []
    if drawn is None:
        words += "They are too many to be drawn."
    else:
        figures.append(drawn)
        reused = replace(drawn, body=tag("g", drawn.body, id="figure-architecture-body"))
        words += (
            "A box is a layer with the normalisation and activation that follow it; below its name are the output's shape and "
            "its parameters. Each box tells the names of its layers."
        )
        pictures = [
            tag("div", html.shown(reused, fit=False), class_="screen"),
            tag("div", *architecture_graph.slices(drawn, _SLICE, _FIRST_SLICE), class_="print"),
        ]
    return html.together(
        html.paragraph(words),
        html.table(
            [left(name) for name in layer_shares.COUNTED.values()],
            [[left(f"{percent(shares[sort], 0)} %") for sort in layer_shares.COUNTED]],
            "Share of layers, pools, dense and others left out",
        )
        if shares
        else None,
        *pictures,
    )


def growth(run: Run, children: Sequence[Child], chart: Markup, keep: Keep) -> Markup:
    """The section of growth, or of size: parameters over the steps, and what each step of the winner's line changed.

    Args:
        run: the run.
        children: all of its children.
        chart: the chart of parameters.
        keep: see `html_page.Keep`.
    """
    parts: list[Markup] = []
    for step, parent, child in growth_line.line(run, children):
        drawn = changes_graph.graph(parent, child, f"step-{step}") if child != parent else None
        if drawn:
            added = child.params - parent.params
            words = f"Step {step}: {count(abs(added))} parameters {'more' if added >= 0 else 'fewer'}"
            parts.append(html.folded(words, keep(drawn, False), _changes(parent, child)))
    if not parts:
        return chart
    words = "What each step on the way to the search's winner changed, before the child was trained:"
    return html.together(chart, html.paragraph(words), *parts)


def _changes(parent: Architecture, child: Architecture) -> Markup:
    return tag("ul", *(tag("li", line) for line in listed(parent, child)))


def certificates(run: Run) -> Markup:
    """The section of certificates: how far children were from their parents at birth."""
    births = [record for record in run.records if record.certificate]
    found = [record.certificate for record in births]
    if not found:
        return html.paragraph("No child has a certificate.")
    names = sorted({name for certificate in found for name in certificate})[:_MOST_NUMBERS]
    rows = []
    for name in names:
        values = [certificate[name] for certificate in found if name in certificate]
        rows.append([left(name), count(len(values)), *map(scientific, (min(values), median(values), max(values)))])
    exact = [record.certificate for record in births if are_exact(record.operators)]
    pairs = [
        (certificate["max_difference"], certificate["bound"])
        for certificate in exact
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
    if smaller := len(births) - len(exact):
        words += f" {plural(smaller, 'child', 'children')} lost filters, for which there is no bound."
    return html.together(
        html.paragraph(words), html.table([left("measured at birth"), "children", "least", "median", "largest"], rows)
    )


def children(children: Sequence[Child]) -> Markup:
    """The table of all children."""
    rows, attributes = [], []
    for child in children:
        value, is_accuracy = child.records[-1].value, child.objective is ACCURACY
        made = counted(child.operators) or ("first network" if child.step == 0 else "unmodified parent")
        rows.append(
            [
                Cell(child.label, child.step * 10**6 + child.number, "l"),
                Cell(percent(child.accuracy), child.accuracy if child.accuracy is not None else -1),
                *([] if is_accuracy else [Cell(measured(child.objective, value), -1 if value is None else value)]),
                Cell(count(child.params), child.params or 0),
                Cell(f"{child.rung + 1}", child.rung),
                Cell(f"{child.epochs}", child.epochs),
                Cell(duration(child.cpu_seconds), child.cpu_seconds),
                left(child.words()),
                left(made, wide=True),
            ]
        )
        won = child.stands_out
        attributes.append({"id": f"child-{child.step}-{child.number}", "class_": "won" if won else None})
    others = {child.objective.words for child in children if child.objective is not ACCURACY}
    head = [left("child"), "validation accuracy, %", *others, "parameters", "rungs", "epochs", "CPU"]
    head += [left("fate"), left("morphisms")]
    drawn = html.table(head, rows, sortable=True, attributes=attributes)
    return html.folded(plural(len(children), "network"), drawn, open_=len(children) <= 60)


def settings(run: Run) -> Markup:
    """The table of settings and versions."""

    def words(value: object) -> str:
        return value if isinstance(value, str) else json.dumps(value)

    settings = [(str(name), words(value)) for name, value in run.config.items()]
    versions = [(str(name), words(value)) for name, value in run.versions.items()]
    later = [(str(name), words(value)) for each in run.later_versions for name, value in each.items()]
    results = [(str(name), words(value)) for name, value in run.results.items() if name != "test"]  # shown above
    return html.together(
        html.folded(run_directory.CONFIG, html.facts(settings), open_=True),
        html.folded("Versions", html.facts(versions), open_=True) if versions else None,
        html.folded("Later versions, by which the run went on", html.facts(later)) if later else None,
        html.folded(run_directory.RESULTS, html.facts(results)) if results else None,
    )
