"""Sections of a search's page for who wants to use the model: what there is, its cost, what next."""

from collections.abc import Mapping, Sequence
from typing import Any

from nash_tf.drawing.markup import Markup, tag
from nash_tf.drawing.number_words import NONE, duration, percent, plural, short
from nash_tf.export_formats import FORMATS
from nash_tf.records.runs import Run, name_of, number, object_of
from nash_tf.records.tested import Tested
from nash_tf.report.analysis import compute_time, family, search_plan
from nash_tf.report.analysis.family import Child
from nash_tf.report.charts.child_words import measured
from nash_tf.report.pages import html_page as html
from nash_tf.report.pages import search_summary
from nash_tf.report.pages.html_page import left
from nash_tf.report.pages.shares import interval
from nash_tf.scores import network_scores, worth
from nash_tf.scores.objectives import BALANCED_ACCURACY
from nash_tf.settings.costs import MIRRORED

# What you have --------------------------------------------------------------------------------------------------------


def have(run: Run, test: Tested | None, children: Sequence[Child]) -> Markup:
    """The model that there is, or the best network so far."""
    if run.state != "finished":
        return _not_yet(run, children)
    cards = [_accuracy_card(run, test)]
    if test and test.base_rate is not None:
        cards.append((f"{percent(test.base_rate)} %", f"by always naming the largest class{_in_brackets(test)}"))
    if test and test.model.balanced:
        balanced = test.model.balanced
        cards.append(
            (f"{percent(balanced.value)} %", "balanced accuracy: the mean over the classes", interval(balanced))
        )
    if params := run.result("params"):
        cards.append((short(params), "parameters"))
    if latency := run.result("latency_ms"):
        cards.append((f"{latency:.3g} ms", *_measured_latency(run)))
    size = number(object_of(_exports(run).get("saved_model")).get("bytes"))
    if size is not None:
        cards.append((_bytes(size), "as a SavedModel"))
    return html.together(
        html.cards(cards),
        html.paragraph(*_what_it_is(run, test, children)),
        html.notice("A limit ended the search", search_summary.cut(run)),
        html.notice("The final training", _made_worse(run)),
        html.notice(
            "Beside the model of --start", [given] if (given := worth.beside_start(run.results, run.objective)) else []
        ),
        _formats(run),
    )


def _made_worse(run: Run) -> list[str]:
    """That the final training made the network worse, where it did."""
    before = network_scores.CONTROL if run.gives_control else network_scores.WINNER
    worse = worth.made_worse(
        *(network_scores.score(run.results, each, run.objective) for each in (before, network_scores.MODEL))
    )
    return [worse] if worse else []


def _measured_latency(run: Run) -> tuple[str, ...]:
    """What was measured there, and the same for a batch."""
    most, batch = run.setting("max_latency_ms"), run.result("latency_ms_32")
    limit = f", of {most:g} ms that it may take" if most is not None and search_plan.searches(run) else ""
    said = f"an image, in {name_of(run.config.get('latency_runtime', '?'))} on the machine of the run{limit}"
    return (said,) if batch is None else (said, f"32 together: {batch:.3g} ms")


def _accuracy_card(run: Run, test: Tested | None) -> tuple[str, ...]:
    final = "test accuracy, after final training" if search_plan.trained_finally(run) else "test accuracy"
    card = (f"{percent(run.result('test_accuracy'))} %", final)
    if test is None or test.model.accuracy is None:
        return card
    seen = f", {test.copies:,} of them seen before" if test.copies else ""
    return (*card, f"on {plural(test.images, 'image')}{seen}; 95\u00a0% interval {interval(test.model.accuracy)}")


def _in_brackets(test: Tested) -> str:
    return f" ({test.largest_class})" if test.largest_class else ""


def _what_it_is(run: Run, test: Tested | None, children: Sequence[Child]) -> list[object]:
    words, image = "A network", _input(run)
    if test and test.classes:
        words += f" that says which of {plural(len(test.classes), 'class', 'classes')} {image} shows"
    origin = "was found by the search"
    if run.gives_control:
        origin = (
            "is the control: the first network, trained on alone, which was at least as good as the search's winner"
        )
    elif not search_plan.searches(run):
        origin = f"is the first network, trained on alone by method {run.method}"
    elif family.is_first(children):
        origin = "is the first network: " + (
            "the search found no better one" if len(children) > 1 else "no other was trained"
        )
    trained = (
        "It was then trained once more on training and validation images. " if search_plan.trained_finally(run) else ""
    )
    views = (
        "It answers by the mean of its outputs for an image and for its mirror image. "
        if run.config.get("views") == MIRRORED
        else ""
    )
    parts: list[object] = [
        f"{words}. It {origin}. {trained}{views}Its files are in ",
        tag("code", f"{run.directory}/best"),
        ". ",
    ]
    if no_better := _no_better(run, test):
        parts.append(tag("strong", no_better))
    return parts


def _no_better(run: Run, test: Tested | None) -> str | None:
    """That a network which always names one class may be as good, by what the search compared networks by."""
    if test is None:
        return None
    share, by_naming, words = test.model.accuracy, test.base_rate, "always naming the largest class"
    there = sum(each.images > 0 for each in test.classes)
    if run.objective is BALANCED_ACCURACY and test.model.balanced and there:
        share, by_naming, words = test.model.balanced, 1 / there, "always naming one class, by balanced accuracy"
    if share is None or share.interval is None or by_naming is None or share.interval[0] > by_naming:
        return None
    return f"These test images do not show that it is better than {words}."


def _input(run: Run) -> str:
    """What the network takes."""
    shape = image_shape(run)
    if shape is None:
        return "an image"
    height, width, channels = shape
    colour = {1: "grey", 3: "colour"}.get(channels or 0)
    return f"a{f' {colour}' if colour else 'n'} image of {height}x{width} pixels"


def image_shape(run: Run) -> tuple[int | None, ...] | None:
    """Height, width and channels of what the network takes; None where it is no image, or not known."""
    inputs = run.architecture.inputs if run.architecture is not None else ()
    shape = run.architecture[inputs[0]].shape if run.architecture is not None and len(inputs) == 1 else ()
    return tuple(shape) if len(shape) == 3 else None


def _exports(run: Run) -> Mapping[str, Any]:
    return object_of(run.results.get("exports"))


def _bytes(size: float) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"


def _formats(run: Run) -> Markup | None:
    """A row for each format of the export."""
    rows, unmeasured = [], []
    for name, module in FORMATS.items():
        each = object_of(_exports(run).get(name))
        size = number(each.get("bytes"))
        if size is None:
            continue
        accuracy, images, time = (number(each.get(key)) for key in ("test_accuracy", "test_images", "milliseconds"))
        unmeasured += [module.TITLE] if accuracy is None and time is None else []
        file = left(html.together(module.TITLE, " ", tag("code", module.FILE)))
        counted = NONE if images is None else f"{images:,.0f}"
        rows.append([file, _bytes(size), percent(accuracy), counted, _time(time)])
    if not rows:
        return None
    head = [left("format"), "size", "test accuracy, %", "of test images", "one image, ms"]
    without = f"{' and '.join(unmeasured)}: loaded again, and its outputs compared with those of the model that was trained; not measured apart."
    return html.together(html.table(head, rows, narrow=True), html.paragraph(without) if unmeasured else None)


def _time(milliseconds: float | None) -> str:
    return NONE if milliseconds is None else f"{milliseconds:.3g}"


def _not_yet(run: Run, children: Sequence[Child]) -> Markup:
    """The best network so far of a search that has no results."""
    best = next((child.chosen_record for child in children if child.chosen), None)
    if best is None:
        return html.paragraph(f"There is no model yet: no training has {'succeeded' if run.records else 'ended'}.")
    name = search_summary.named(run, best.step, best.child)
    over = "The search is over; its winner" if children[0].over else "The best network so far"
    return html.together(
        html.cards(
            [(measured(best.objective, best.value), best.objective.words, name), (short(best.params), "parameters")]
        ),
        html.paragraph(
            f"There is no model to use yet. {over} is {name}. Its {best.objective.words} is measured on images that networks are "
            "chosen by, so that it tends to be too good; the test images are used once, at the end of the run."
        ),
        *search_summary.how_it_ended(run, search_plan.standing(run)),
    )


# What it cost ---------------------------------------------------------------------------------------------------------


def cost(run: Run, children: Sequence[Child]) -> Markup:
    """Time, by the parts of a run, and what ended the search."""
    entries = compute_time.by_rung(run)
    searching = [entry for entry in entries if entry.step]
    search = f"the search: {plural(len(children) - 1, 'child', 'children')} in {_steps(children)}"
    search = (
        search if any(child.operators for child in children) else f"the search: {_steps(children)}, and no morphism"
    )
    parts = [
        ("the first network", [entry for entry in entries if entry.step == 0]),
        (search if search_plan.searches(run) else "the first network, trained on", searching),
        ("the control", [entry for entry in entries if entry.is_control]),
        (
            f"after it: {search_summary.rest_of(run)}",
            [entry for entry in entries if entry.step is None and not entry.is_control],
        ),
    ]
    rows = [
        [left(name), duration(sum(entry.cpu for entry in part)), duration(sum(entry.wall for entry in part))]
        for name, part in parts
        if part
    ]
    cpu, wall = run.result("cpu_seconds"), run.result("seconds")
    if cpu is not None and wall is not None:
        rows.append([left("in all"), duration(cpu), duration(wall)])
    return html.together(
        html.table([left("what"), "CPU time", "wall clock"], rows, narrow=True),
        html.paragraph(_epochs(run)),
        _cluster(run.results.get("engine")),
        *(search_summary.how_it_ended(run, search_plan.standing(run)) if run.results else ()),
    )


def _epochs(run: Run) -> str:
    """How many epochs were trained, and what for."""
    said = f"{plural(sum(record.epochs for record in run.records), 'epoch')} of training in the search"
    control = number(run.control.get("epochs"))
    final = run.result("final_epochs_done")
    others = [f"{control:,.0f} of the control" if control else "", f"{final:,.0f} of final training" if final else ""]
    return f"{', and '.join(filter(None, [said, *others]))}."


def _cluster(engine: Any) -> Markup | None:
    """How busy a cluster's workers were; the file may hold anything."""
    told = {name: number(value) for name, value in object_of(engine).items()}
    busy, nodes, workers = (told.get(name) for name in ("utilisation", "nodes", "processes"))
    if busy is None or nodes is None or workers is None:
        return None
    lost = told.get("lost_processes")
    again = (
        f" {plural(int(lost), 'of them was', 'of them were')} lost, and what they trained was done again."
        if lost
        else ""
    )
    return html.paragraph(
        f"On Ray, {plural(int(workers), 'worker process', 'worker processes')} on {plural(int(nodes), 'machine')} "
        f"trained for {percent(busy, 0)} % of the time that they were there.{again}"
    )


def _steps(children: Sequence[Child]) -> str:
    last = children[-1]
    return plural(last.step, "step") + ("" if last.closed else ", the last not closed")
