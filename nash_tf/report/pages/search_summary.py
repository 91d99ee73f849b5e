"""The top of a search's page: its state, the result in large numbers, and what is done and what is not."""

from collections.abc import Sequence

from nash_tf.drawing.markup import Markup, tag
from nash_tf.drawing.number_words import percent, plural, short
from nash_tf.records.runs import Run, sentence_of, sentences_of
from nash_tf.report.analysis import search_plan
from nash_tf.report.analysis.family import Child
from nash_tf.report.charts.child_words import measured
from nash_tf.report.pages import html_page as html
from nash_tf.scores import network_scores
from nash_tf.scores.objectives import Objective
from nash_tf.strategy import methods
from nash_tf.strategy.time_limits import REACHED

_STATES = {
    "finished": "finished",
    "unfinished": "unfinished",
    "failed": "failed",
    "begun": "begun, no training has ended yet",
    "broken": "broken: its files cannot be read",
    "empty": "empty: no run in this directory",
}


def state_words(run: Run) -> str:
    """The state of a run, for people, and why it failed."""
    why = why_failed(run) if run.state == "failed" else ""
    return _badge(run) + (f": {why}" if why else "")


def why_failed(run: Run) -> str:
    """Why a run failed when it was at work last, as far as it tells; "" where it did not."""
    return run.failure or ("no training succeeded" if run.state == "failed" else "")


def _badge(run: Run) -> str:
    words = _STATES[run.state] + (", was finished before" if run.goes_on else "")
    if run.state not in ("unfinished", "begun"):
        return words
    if run.owner is None:
        return f"{words}: running or interrupted"
    return f"{words}: {run.owner} is at work on it, or was killed" if run.owner else f"{words}: interrupted"


def head(run: Run, title: str) -> Markup:
    """The head of a search's page: its state, and what is missing."""
    return html.together(
        tag("h1", title),
        tag(
            "p",
            tag("span", _badge(run), class_=f"badge {run.state}"),
            " ",
            tag("code", str(run.directory)),
            class_="soft",
        ),
        html.notice("Why it failed", [why] if (why := why_failed(run)) else []),
        html.notice("What is missing or could not be read", run.problems),
    )


def details(run: Run, children: Sequence[Child], hidden: Sequence[str]) -> Markup:
    """The first words of the details: who won, and which trainings failed."""
    chosen = next((child for child in children if child.chosen), None)
    return html.together(
        _cards(run, children, chosen),
        _summary(run, children, chosen),
        html.notice("Failed trainings", run.failures),
        html.notice("Not drawn", hidden),
        html.sideways() if children else None,
    )


def _cards(run: Run, children: Sequence[Child], chosen: Child | None) -> Markup | None:
    if chosen is None:
        return None
    words = chosen.objective.words if chosen.over else f"{chosen.objective.words} of the best network so far"
    last = children[-1]
    steps = "step" if last.step == 1 else "steps"
    begun = "" if last.closed else " begun"
    return html.cards(
        [
            (measured(chosen.objective, chosen.chosen_record.value), words),
            (short(chosen.params), "parameters"),
            (f"{last.step}", f"{steps}{begun}, {plural(len(children), 'network')}"),
            (f"{sum(record.epochs for record in run.records):,}", "epochs of training"),
        ]
    )


def named(run: Run, step: int, number: int) -> str:
    """A network as people call it; where the method changes none there is but one."""
    if not step:
        return "the first network"
    return f"child {step}.{number}" if search_plan.searches(run) else "the first network, trained on"


def rest_of(run: Run) -> str:
    """What follows the search."""
    if run.setting("final_epochs") == 0:
        return "test, export and other"
    return "final training, test, export and other"


def how_it_ended(run: Run, standing: search_plan.Standing | None) -> list[Markup]:
    """What ended the search and what more time might bring, or what of it is done and what is not."""
    parts = []
    ended = _sentence(run, "search_ended")
    if ended:
        parts.append(html.paragraph("The search ended: ", ended.rstrip("."), "."))
    parts += [html.paragraph(sentence) for sentence in sentences_of(run.results.get("not_done"))]
    progress = _progress(run, standing, ended)
    if progress:
        parts.append(progress)
    if words := _sentence(run, "final_ended"):
        parts.append(html.paragraph(words))
    return parts


def cut(run: Run) -> list[str]:
    """Which limit on time ended the search, and what more time might bring; nothing where none did."""
    ended = _sentence(run, "search_ended")
    if not ended or not (run.results.get("ended_by_limit") is True or ended.startswith(REACHED)):
        return []
    return [line for line in (f"{ended[0].upper()}{ended[1:].rstrip('.')}.", _sentence(run, "more_time")) if line]


def _sentence(run: Run, name: str) -> str | None:
    return sentence_of(run.results.get(name)) or None


def _summary(run: Run, children: Sequence[Child], chosen: Child | None) -> Markup | None:
    """The result in a few sentences."""
    if chosen is None:
        return None
    vanilla = next((child for child in children if child.step == 0), None)
    name = named(run, chosen.step, chosen.number)
    if not chosen.over:
        words = [f"The best network so far is {name}"]
    elif run.results and not (run.winner and run.winner[::2] == (chosen.step, chosen.number)):
        words = [f"By the lineage the winner is {name}"]
    else:
        words = [f"The winner is {name}"]
    if chosen.chosen_record is not chosen.records[-1]:
        words.append(f" as it was after rung {chosen.chosen_record.rung}, before it was trained further")
    reached, first = chosen.chosen_record.value, vanilla.records[-1].value if vanilla else None
    if chosen.step and vanilla and vanilla.params and chosen.params and first is not None and reached is not None:
        factor = chosen.params / vanilla.params
        size = "as large as" if abs(factor - 1) < 0.005 else f"{factor:.3g} times the size of"
        compared, what = f", {size} the first network", "the first network's"
        if not search_plan.searches(run):  # it is the first network
            compared, what = "", "that after its first training"
        apart = f"{_distance(chosen.objective, reached - first)} {'below' if reached < first else 'above'}"
        apart = f"the same as {what}" if reached == first else f"{apart} {what}"
        words.append(f"{compared}; its {chosen.objective.words} is {apart}")
    words.append(". ")
    tested = network_scores.score(run.results, network_scores.FIRST, run.objective)
    if tested is not None:
        words.append(f"On the test set the first network, after its first training, has {tested.words}. ")
    method = run.known_method
    won = [child for child in children if child.has_won and child.step > 0 and child.closed]
    if won and (method is None or (method.keeps_parent and method.grows)):
        same = sum(not child.operators for child in won)
        words.append(f"The unmodified parent won {same or 'none'} of {plural(len(won), 'closed step')}.")
    return html.paragraph(*words)


def _distance(objective: Objective, difference: float) -> str:
    return f"{percent(abs(difference))} points" if objective.is_share else f"{abs(difference):.4g}"


def _progress(run: Run, standing: search_plan.Standing | None, ended: str | None) -> Markup | None:
    """What of the search is done and what is not; nothing where it is finished as planned, or its plan is not known."""
    if standing is None or all(record.failed for record in run.records):
        return None
    limits = " and ".join(f"{name} = {value:g}" for name, value in standing.limits)
    opened = standing.opened
    if opened is None:
        if standing.lacks_end:
            return html.paragraph(
                "The last training failed, and the learning rate had not fallen to zero before it: the network is not finished. "
                "--resume does that training again."
            )
        if run.results:
            return None
        rest = "the test and the export" if run.setting("final_epochs") == 0 else "final training, test and export"
        few = {0: "The first network is trained", 1: "The one step is closed"}
        steps = few.get(standing.steps, f"All {standing.steps:,} steps are closed")
        return html.paragraph(f"{steps}: the search is over, {rest} are not.")
    planned = search_plan.rungs(run, opened.step)
    where = f"step {opened.step} of at most {standing.steps}" if opened.step else "the first network's training"
    within = f", rung {opened.rung} (of 0 to {len(planned) - 1})" if len(planned) > 1 else ""
    done = f"{standing.trained} of {plural(standing.trained + len(opened.missing), 'child', 'children')} trained"
    if run.results:
        if ended:
            return html.paragraph(f"It was in {where}{within}, with {done}; that step was not closed.")
        if limits:
            why = f"its time was limited by {limits}"
        elif (
            not opened.rung
            and not standing.trained
            and (method := methods.registry[run.method]).keeps_parent
            and method.grows
        ):
            why = "no limit on time was set, and no new child fitted into max_params"
        else:
            why = "why, the records do not tell"
        return html.paragraph(f"The search ended in {where}{within}, with {done}, before that step was closed: {why}.")
    words = f"Open is {where}{within}, with {done}."
    if limits and standing.best:
        best = named(run, standing.best.step, standing.best.child)
        words += f" If the limit on time ({limits}) has been reached since, the search is over, and what is handed over is {best}."
    return html.paragraph(words)
