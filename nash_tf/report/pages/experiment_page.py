"""The report of several runs: tables and figures across them, the published table apart, and links to each run."""

import os
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

from nash_tf.drawing.figure import Figure
from nash_tf.drawing.markup import Markup, tag
from nash_tf.drawing.number_words import count, duration, percent, plural, short
from nash_tf.files import run_directory
from nash_tf.records.runs import Run, named_apart
from nash_tf.report.analysis import method_comparison
from nash_tf.report.analysis.behaviour import Behaviour, behaviour
from nash_tf.report.charts import accuracy_scatter, growth, lifetimes, strip_plot
from nash_tf.report.pages import experiment_tables
from nash_tf.report.pages import html_page as html
from nash_tf.report.pages.experiment_tables import Table
from nash_tf.report.pages.html_page import Cell, left
from nash_tf.report.pages.search_summary import state_words
from nash_tf.terminal.text_tables import in_markdown, markdown, printable, table


def report(
    runs: Sequence[Run],
    place: Path,
    refresh: int = 0,
    lost: Sequence[str] = (),
    missing: Mapping[str, str] = MappingProxyType({}),
) -> html.Report:
    """The page of an experiment.

    Args:
        runs: in any state.
        place: directory in which the page will lie; links are relative to it.
        refresh: see `page.page`.
        lost: sentences on figures that could not be written.
        missing: further runs, which have not begun, by name why.
    """
    runs = named_apart(runs)
    groups = method_comparison.by_dataset(runs)
    sections: list[tuple[str, str, Markup]] = []
    figures: list[Figure] = []
    for number, (dataset, group) in enumerate(groups.items(), start=1):
        suffix = "" if len(groups) == 1 else f"-{number}"
        sections += _group(dataset, group, suffix, figures)
    sections.append(("runs", "All runs", _runs(runs, place)))
    finished = sum(run.state == "finished" for run in runs)
    cpu = sum(run.result("cpu_seconds") or 0 for run in runs)
    planned = len(runs) + len(missing)
    title = f"{plural(planned, 'run', 'runs')} on {_datasets(runs)}" if runs else "No runs"
    head = html.together(
        tag("h1", title),
        html.paragraph(tag("code", str(place)), class_="soft"),
        html.notice(
            "Runs without a result",
            [
                *(f"{run.name}: {state_words(run)}" for run in runs if run.state != "finished"),
                *map(": ".join, missing.items()),
            ],
        ),
        html.notice(
            "What is missing or could not be read",
            [*lost, *(f"{run.name}: {line}" for run in runs for line in (*run.problems, *run.failures))],
        ),
        html.cards(
            [
                (f"{finished} of {planned}", "runs finished"),
                (str(len(method_comparison.methods_of(runs))), "methods"),
                (duration(cpu), "of CPU time in finished runs"),
            ]
        ),
        html.sideways(),
    )
    return html.Report(html.page(f"{title} · nash_tf", head, sections, html.foot(), refresh), tuple(figures))


def as_columns(entry: Table, dataset: str) -> str:
    """A table in columns."""
    return "\n".join(
        [f"{entry.title} ({printable(dataset)})", table(entry.head, entry.rows), textwrap.fill(entry.note, 110)]
    )


def as_markdown(entry: Table, dataset: str) -> str:
    """A table in Markdown."""
    return f"**{entry.title}** ({in_markdown(dataset)})\n\n{markdown(entry.head, entry.rows)}\n\n{entry.note}"


def tables(
    runs: Sequence[Run],
    as_text: Callable[[Table, str], str] = as_columns,
    missing: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """All tables as text.

    Args:
        runs: in any state.
        as_text: (table, name of the data set) -> its text: `as_columns` for a terminal, or `as_markdown`.
        missing: see `report`.
    """
    parts, groups = [], method_comparison.by_dataset(named_apart(runs))
    if missing:
        planned = Table("Runs that are planned and not there", ("run", "why"), tuple(missing.items()))
        parts.append(as_text(planned, _datasets(runs)))
    for dataset, group in groups.items():
        rows = method_comparison.method_rows(group)
        pairs = method_comparison.comparisons(group)
        chosen = [*experiment_tables.cautions(group)]
        chosen += [experiment_tables.results(rows), experiment_tables.layers_of_winners(rows)]
        chosen += [experiment_tables.paired(pairs)] if pairs else []
        inside = _behaviours(group)
        chosen += [experiment_tables.behaviours(inside), experiment_tables.accepted(inside)]
        parts += [as_text(entry, dataset) for entry in chosen]
    if any(_is_cifar10(run.dataset) for run in runs):
        parts.append(as_text(experiment_tables.PUBLISHED, "CIFAR-10"))
    return "\n\n".join(parts)


def _behaviours(runs: Sequence[Run]) -> list[Behaviour]:
    return [
        behaviour(method, [run for run in runs if run.method == method and run.records])
        for method in method_comparison.methods_of(runs)
    ]


def _datasets(runs: Sequence[Run]) -> str:
    return ", ".join(sorted({run.dataset for run in runs}))


def _is_cifar10(dataset: str) -> bool:
    """Whether a data set is CIFAR-10, as far as its name tells: what others published is of it."""
    return dataset.lower() == "cifar" or re.search(r"cifar[-_ ]?10(?![0-9]|[.][0-9])", dataset.lower()) is not None


def _published() -> Markup:
    return tag(
        "div",
        tag("h3", "Published, on CIFAR-10: not ours, and under another budget"),
        _as_html(experiment_tables.PUBLISHED),
        class_="published",
    )


def _group(dataset: str, runs: Sequence[Run], suffix: str, figures: list[Figure]) -> list[tuple[str, str, Markup]]:
    rows, pairs = method_comparison.method_rows(runs), method_comparison.comparisons(runs)
    methods = method_comparison.methods_of(runs)
    where = f" · {dataset}" if suffix else ""
    drawn = []
    inside = _behaviours(runs)
    across = (
        strip_plot.accuracies(runs, methods),
        accuracy_scatter.runs_by_method(runs, methods),
        lifetimes.anytime(runs, methods),
        growth.by_method(inside),
        lifetimes.lives(inside),
        strip_plot.favours(inside),
    )
    for figure in across:
        if figure:
            figure = replace(figure, name=f"{figure.name}{suffix}")
            figures.append(figure)
            drawn += [tag("h3", figure.title), html.shown(figure)]
    results = html.together(
        *(_as_notice(entry) for entry in experiment_tables.cautions(runs)),
        _as_html(experiment_tables.results(rows)),
        _published() if _is_cifar10(runs[0].dataset) else None,
    )
    return [
        (f"results{suffix}", f"Results{where}", results),
        (f"figures{suffix}", f"Figures{where}", html.together(*drawn) if drawn else html.shown(None)),
        (
            f"comparisons{suffix}",
            f"Comparisons{where}",
            _as_html(experiment_tables.paired(pairs))
            if pairs
            else html.paragraph("No two methods have finished runs of the same seed."),
        ),
        (
            f"searches{suffix}",
            f"Inside the searches{where}",
            html.together(
                _as_html(experiment_tables.behaviours(inside)),
                tag("h3", experiment_tables.ACCEPTED),
                _as_html(experiment_tables.accepted(inside)),
            ),
        ),
        (f"layers{suffix}", f"Layers{where}", _as_html(experiment_tables.layers_of_winners(rows))),
    ]


def _as_notice(entry: Table) -> Markup | None:
    return html.notice(f"{entry.title}. {entry.note}", [": ".join(row) for row in entry.rows])


def _as_html(entry: Table) -> Markup:
    head = [left(entry.head[0]), *entry.head[1:]]
    rows = [[left(row[0]), *row[1:]] for row in entry.rows]
    return html.together(html.table(head, rows), html.paragraph(entry.note, class_="soft"))


def _runs(runs: Sequence[Run], place: Path) -> Markup:
    rows = []
    for run in sorted(runs, key=lambda run: (run.dataset, run.method, run.seed.zfill(12))):
        page = run.directory / run_directory.REPORT
        link: object = run.name
        if page.exists():
            link = tag("a", run.name, href=quote(os.path.relpath(page, place), errors="replace"))
        accuracy, params = run.result("test_accuracy"), run.result("params")
        cpu = run.result("cpu_seconds") or sum(record.cpu_seconds or 0 for record in run.records)
        rows.append(
            [
                left(link, wide=True),
                left(run.dataset),
                left(run.method),
                Cell(run.seed, run.seed),
                left(f"{run.state}, its control handed over" if run.gives_control else run.state),
                Cell(percent(accuracy), accuracy if accuracy is not None else -1),
                Cell(short(params), params or 0),
                Cell(count(max((record.step for record in run.records), default=0))),
                Cell(duration(cpu), cpu),
            ]
        )
    head = [left("run"), left("data set"), left("method"), "seed", left("state")]
    head += ["test accuracy, %", "parameters", "steps", "CPU"]  # type: ignore[list-item]
    return html.table(head, rows, sortable=True)


def one_line(run: Run) -> str:
    """A run for the terminal."""
    accuracy = run.result("test_accuracy")
    if not run.config and not run.results:
        return state_words(run)
    words = [f"{run.method}, seed {run.seed}, {run.dataset}: {state_words(run)}"]
    if accuracy is not None:
        whose = ", of its control" if run.gives_control else ""
        words.append(f"test accuracy {percent(accuracy)} %, {short(run.result('params'))} parameters{whose}")
    elif run.records:
        best = max((record.accuracy for record in run.records if record.accuracy is not None), default=None)
        words.append(f"{plural(len(run.records), 'training')}, best validation accuracy {percent(best)} %")
    return "; ".join(words)
