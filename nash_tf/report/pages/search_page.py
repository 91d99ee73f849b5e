"""The report of one search: first what it gave and how sure that is, folded at the end how it went."""

from collections.abc import Mapping, Sequence

from nash_tf.drawing.figure import Figure
from nash_tf.drawing.markup import Markup
from nash_tf.records.runs import Run
from nash_tf.records.tested import details_of
from nash_tf.report.analysis import compute_time, family, growth_line, operator_tally, restart_drops, search_plan
from nash_tf.report.analysis.family import Child
from nash_tf.report.charts import accuracy_scatter, family_tree, growth, time_bars
from nash_tf.report.pages import (
    budget_section,
    front_section,
    network_sections,
    next_section,
    result_sections,
    search_summary,
    sureness,
    training_sections,
    worth_section,
)
from nash_tf.report.pages import html_page as html
from nash_tf.report.pages.html_page import Keep

MOST_STEPS = 24  # drawn; a search of more shows its last ones
MOST_CHILDREN = 200  # of a step drawn, those that came furthest


Sections = list[tuple[str, str, Markup]]  # anchor, title and content of each


def report(run: Run, refresh: int = 0) -> html.Report:
    """The report of a run, whatever state it is in."""
    everyone = family.children(run)
    last = max((child.step for child in everyone), default=0)
    children, hidden = _drawn(everyone, last - MOST_STEPS + 1)
    figures: list[Figure] = []

    def keep(figure: Figure | None, fit: bool = True) -> Markup:
        if figure:
            figures.append(figure)
        return html.shown(figure, fit)

    sections = _details(run, everyone, children, figures, keep)
    details = ("Details of the search", search_summary.details(run, everyone, hidden), sections) if sections else None
    title = f"{run.dataset} · {run.method} · seed {run.seed}" if run.config or run.results else run.name
    page = html.page(
        f"{title} · nash_tf",
        search_summary.head(run, title),
        _answers(run, everyone, keep),
        html.foot(),
        refresh,
        details,
    )
    return html.Report(page, tuple(figures))


def _answers(run: Run, everyone: Sequence[Child], keep: Keep) -> Sections:
    """What most readers look for."""
    test = details_of(run)
    sections = [
        ("result", "What you have", result_sections.have(run, test, everyone)),
        ("sure", "How sure it is", sureness.sure(run, test)),
        ("worth", "Is it worth it?", worth_section.section(run, everyone)),
        ("front", front_section.title(run), front_section.section(run, keep)),
        ("cost", "What it cost", result_sections.cost(run, everyone) if everyone else None),
        ("next", "What next", next_section.what_next(run)),
    ]
    return [(anchor, name, content) for anchor, name, content in sections if content]


def _details(
    run: Run, everyone: Sequence[Child], children: Sequence[Child], figures: list[Figure], keep: Keep
) -> Sections:
    """Everything else, as far as there is something to show; figures show `children`."""
    sections = _course(run, everyone, children, keep) if children else []
    if run.architecture is not None:
        sections.append(("architecture", "The architecture", network_sections.architecture(run, figures)))
    if children:
        sections += [
            ("certificates", "Certificates", network_sections.certificates(run)),
            ("children", "All children", network_sections.children(everyone)),
        ]
    if run.config or run.versions:
        sections.append(("settings", "Settings and versions", network_sections.settings(run)))
    return sections


def _course(run: Run, everyone: Sequence[Child], children: Sequence[Child], keep: Keep) -> Sections:
    """How the search went."""
    steps = sorted({child.step for child in children})
    rungs = {step: search_plan.rungs(run, step) for step in steps}
    counts = {step: len(planned) for step, planned in rungs.items()}
    phases = {step: search_plan.phases(run, rungs[step]) for step in steps}
    drops = restart_drops.drops(children, {record.place: record for record in run.records}, phases)
    tried = operator_tally.tally(run, everyone)
    entries = compute_time.by_rung(run)
    sizes = "Size" if growth_line.shrank(run.records) else "Growth"
    return [
        (
            "family",
            "Family tree",
            html.together(training_sections.family_words(children), keep(family_tree.tree(children, counts), False)),
        ),
        (
            "accuracy",
            f"{run.objective.measure.capitalize()} against parameters",
            html.together(
                html.paragraph(
                    f"Each network after its last training{_of_short_life(run, counts)}. Labels are step.child."
                ),
                keep(accuracy_scatter.accuracy_against_params(children, counts, _has_front(run))),
            ),
        ),
        ("curves", "Learning curves", training_sections.curves(run, children, rungs, phases, drops, keep)),
        ("budget", "The budget", budget_section.budget(run, keep))
        if search_plan.is_budgeted(run)
        else ("restarts", "Restarts", training_sections.restarts(run, drops, everyone[0].over)),
        ("operators", "Operators", training_sections.operators(run, tried, keep)),
        (
            sizes.lower(),
            sizes,
            network_sections.growth(run, everyone, keep(growth.growth(children, run.setting("max_params"))), keep),
        ),
        ("time", "Time", html.together(keep(time_bars.chart(entries)), training_sections.time(run, entries))),
    ]


def _of_short_life(run: Run, rungs: Mapping[int, int]) -> str:
    """Which networks are worse than they might be, by the method and the number of each step's rungs."""
    if search_plan.front_plan(run):
        which = "those that grew on were" if search_plan.grew_in_branches(run) else "the first one was"
        return f": {which} at a high learning rate"
    if search_plan.is_budgeted(run):
        return ": those of earlier steps were at a high learning rate"
    return ": those discarded early have had fewer epochs" if max(rungs.values()) > 1 else ""


def _has_front(run: Run) -> bool:
    """Whether networks are finished beside each other: of a method with one budget the last one is finished alone, but for a front."""
    return not search_plan.is_budgeted(run) or search_plan.front_plan(run) is not None


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
