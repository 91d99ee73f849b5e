"""The section on whether the search was worth it: its winner beside a control, the first network trained on alone."""

from collections.abc import Sequence

from nash_tf.drawing.markup import Markup, tag
from nash_tf.drawing.number_words import count, duration
from nash_tf.records.runs import Run, number, sentence_of
from nash_tf.records.tested import Share
from nash_tf.report.analysis import family, search_plan
from nash_tf.report.analysis.family import Child
from nash_tf.report.pages import html_page as html
from nash_tf.report.pages.html_page import Cell, left
from nash_tf.report.pages.shares import share_cell
from nash_tf.scores import network_scores, objectives, worth
from nash_tf.scores.network_scores import Score
from nash_tf.scores.objectives import Objective


def section(run: Run, children: Sequence[Child]) -> Markup | None:
    """The control beside the winner; without one, what of it is known; nothing before the end."""
    if run.result("test_accuracy") is None:
        return None
    compared = network_scores.pair(run.results, network_scores.WINNER, network_scores.CONTROL, run.objective)
    return _beside(run, children, *compared) if compared else html.paragraph(_without_control(run, children))


def _without_control(run: Run, children: Sequence[Child]) -> str:
    """What is known where there is nothing to compare with."""
    if not search_plan.searches(run):
        return (
            f"There is nothing to compare: method {run.method} searches for nothing and trains the first network alone."
        )
    why = sentence_of(run.results.get("no_control"))
    words = "This run has no control, the first network trained on alone"
    words += f", to compare the search with: {why}. " if why else ". "
    if family.is_first(children):
        words += "The model is the first network itself, not changed by the search."
    elif longer := network_scores.pair(run.results, network_scores.FIRST, network_scores.MODEL, run.objective):
        words += (
            f"After its own training, before the search, the first network had {longer[0].words} on the test images; the "
            f"model has {longer[1].words}. How much of the difference is the search's and how much longer training's is not known."
        )
    return words


def _beside(run: Run, children: Sequence[Child], winner: Score, alone: Score) -> Markup:
    """The winner beside the control, in words and as a table."""
    control, is_better = run.control, run.control.get("is_better") is True
    handed_over = " and is handed over" if run.gives_control else ""
    judged = f"it is {'at least as good as' if is_better else 'not as good as'} the search's winner{handed_over}"
    above = f"{winner.points_from(alone)} {'below' if winner.value < alone.value else 'above'} the control"
    above += worth.chance(winner, alone)
    above = "exactly as good as the control" if winner.value == alone.value else above
    words = (
        f"The control is the first network, trained on alone for {duration(number(control.get('cpu_seconds')))} of CPU time. On the "
        f"validation images {judged}. On the test images the winner is {above}."
    )
    if other := worth.by_what(winner, run.objective):
        words += f" {other}"
    if cut := worth.cut_short({name: number(control.get(name)) for name in ("epochs", "epochs_wanted")}):
        words += f" {cut}"
    share = worth.compute_share(*(number(control.get(name)) for name in ("cpu_seconds", "search_cpu_seconds")))
    if not is_better and (less := worth.less(share)):
        words += f" {less}"
    head = worth.verdict(is_better, family.is_first(children), winner, alone, run.objective, share)
    asked = list(dict.fromkeys((winner.objective, objectives.ACCURACY)))
    rows = [
        [
            left("the search's winner"),
            *_tested(run, network_scores.WINNER, asked),
            count(next((child.params for child in children if child.chosen), None)),
            duration(number(control.get("search_cpu_seconds"))),
        ],
        [
            left("the control"),
            *_tested(run, network_scores.CONTROL, asked),
            count(number(control.get("params"))),
            duration(number(control.get("cpu_seconds"))),
        ],
    ]
    head_row = [left("network"), *(f"test {each.measure}" for each in asked), "parameters", "CPU time"]
    return html.together(html.paragraph(tag("strong", f"{head} "), words), html.table(head_row, rows, narrow=True))


def _tested(run: Run, network: str, asked: Sequence[Objective]) -> list[Cell]:
    """A network's scores on the test images, a cell for each that is asked for."""
    return [_cell(network_scores.score(run.results, network, each)) for each in asked]


def _cell(score: Score | None) -> Cell:
    if score is not None and not score.objective.is_share:
        return Cell(f"{score.value:.4g}", score.value)
    return share_cell(Share(score.value, score.interval) if score else None)
