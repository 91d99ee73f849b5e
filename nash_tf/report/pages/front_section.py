"""The section on the front: the networks of several sizes that a run hands over."""

from collections.abc import Mapping, Sequence

from nash_tf.architecture import Architecture
from nash_tf.drawing import architecture_graph
from nash_tf.drawing.markup import Markup, tag
from nash_tf.drawing.number_words import NONE, count, percent, plural, short
from nash_tf.files import run_directory
from nash_tf.records.runs import Run, name_of, number
from nash_tf.report.analysis import search_plan
from nash_tf.report.charts import front_chart
from nash_tf.report.charts.child_words import axis
from nash_tf.report.charts.front_chart import Shown
from nash_tf.report.pages import html_page as html
from nash_tf.report.pages.html_page import Keep, left
from nash_tf.scores import objectives
from nash_tf.scores.objectives import Objective
from nash_tf.settings.costs import COSTS, PARAMS, WORDS


def title(run: Run) -> str:
    """The heading of the section."""
    return "Networks of several sizes" if search_plan.front_plan(run) else "Smaller networks"


def section(run: Run, keep: Keep) -> Markup | None:
    """The networks by size; None where there is one alone.

    Args:
        run: the run.
        keep: see `html_page.Keep`.
    """
    members = run.front
    if len(members) < 2:
        return None
    is_timed = any(number(each.get("latency_ms")) is not None for each in members)
    times = ["ms an image", "ms for 32"] if is_timed else []
    scores = [
        f"{words}{', %' if each.is_share else ''}"
        for each in _shown(run)
        for words in (each.words, f"test {each.measure}")
    ]
    columns = [left("network"), left("made by"), "parameters", "operations", *times, *scores, left("")]
    pictures = [_picture(name_of(each.get("directory")), run.networks, keep) for each in members]
    return html.together(
        html.paragraph(*_words(run, members)),
        html.table(columns, [_row(run, each, is_timed) for each in members]),
        _chart(run, members, keep),
        *(picture for picture in pictures if picture),
    )


def _words(run: Run, members: Sequence[Mapping]) -> list[object]:
    """Where the networks come from, and how one is had."""
    who, made = "Each", ""
    if search_plan.front_plan(run):
        who = "A smaller one"
        made = "One search made them: the largest was made of the first network, and each smaller one was cut out of the one before it. "
    if search_plan.grew_in_branches(run):
        made = "One search made them: a network grew from size to size, and at each size a copy of it was trained to an end. "
    if any(each.get("made_of") for each in members):
        made += (
            f"{who} was made of the next larger one by taking out what matters least for the loss, and then trained against the outputs "
            "of the one that is handed over. "
        )
    if any(each.get("knows_validation") for each in members):
        made += (
            "The final training had the validation images too: validation accuracies of its network, and of those made of it, are of "
            "images that were trained on. Go by the test images there. "
        )
    load = tag("code", f"nash_tf.pick({str(run.directory)!r}, max_params=...)")
    return [made, load, f" loads the best within limits, by {run.objective.words}."]


def _shown(run: Run) -> list[Objective]:
    """What the networks' scores are shown by: what they are compared by, and the accuracy."""
    return list(dict.fromkeys((run.objective, objectives.ACCURACY)))


def _row(run: Run, member: Mapping, is_timed: bool) -> list:
    def of(name: str, words) -> str:
        value = number(member.get(name))
        return NONE if value is None else words(value)

    return [
        left(name_of(member.get("directory", NONE))),
        left(_made_by(run, member)),
        of("params", count),
        of("flops", count),
        *((of(name, "{:.3g}".format) for name in ("latency_ms", "latency_ms_32")) if is_timed else ()),
        *(
            of(metric, percent if each.is_share else "{:.4g}".format)
            for each in _shown(run)
            for metric in (each.metric, f"test_{each.name}")
        ),
        left("" if member.get("on_front") is not False else "no better than a cheaper one on validation images"),
    ]


def _made_by(run: Run, member: Mapping) -> str:
    epochs, larger = number(member.get("epochs")), number(member.get("made_of"))
    if larger is not None:
        trained = "" if epochs is None else f", {plural(int(epochs), 'epoch')}"
        return f"shrinking {short(larger)}{trained}"
    if member.get("directory") != run_directory.BEST:
        return "the search"
    return f"the {'control' if run.gives_control else 'search'}; handed over"


def _chart(run: Run, members: Sequence[Mapping], keep: Keep) -> Markup | None:
    asked = run.config.get("objective_cost")
    cost = asked if isinstance(asked, str) and asked in COSTS else PARAMS
    objective, networks = run.objective, []
    for each in members:
        value, price, params = (number(each.get(name)) for name in (objective.metric, COSTS[cost], "params"))
        if value is not None and price is not None and price > 0 and params is not None:
            is_best = each.get("on_front") is not False
            networks.append(
                Shown(
                    short(params), price, objective.score(value), each.get("directory") == run_directory.BEST, is_best
                )
            )
    drawn = front_chart.chart(networks, WORDS[cost], *axis(objective))
    return keep(drawn, True) if drawn else None


def _picture(directory: str, networks: Mapping[str, Architecture], keep: Keep) -> Markup | None:
    """The graph of a network, folded; that of the one that is handed over has a section of its own."""
    network = networks.get(directory)
    name = directory.replace("/", "-")
    drawn = None if network is None else architecture_graph.graph(network, name, f"The architecture of {directory}")
    if network is None or drawn is None:
        return None
    return html.folded(f"{directory}: {plural(len(network.nodes), 'layer')}", keep(drawn, False), aside=True)
