"""The section on how sure the result is: intervals, classes, what is taken for what, the worst mistakes."""

import base64
from collections.abc import Sequence

from nash_tf.drawing.markup import Markup, tag
from nash_tf.drawing.number_words import count, percent, plural
from nash_tf.records.runs import Run
from nash_tf.records.tested import Network, OfClass, Share, Tested
from nash_tf.report.analysis import search_plan
from nash_tf.report.pages import html_page as html
from nash_tf.report.pages.html_page import Cell, left
from nash_tf.report.pages.shares import interval, share_cell
from nash_tf.scores.classification import SHOWN_CLASSES, of_copies

_SHOWN_PAIRS, _SHOWN_WEAKEST = 15, 10
_MOST_CLASSES = 5_000  # in a table
_WIDE_MATRIX = 10  # classes; a larger matrix does not fit on a phone


def sure(run: Run, test: Tested | None) -> Markup | None:
    """How sure the test is; nothing before the end."""
    if run.result("test_accuracy") is None:
        return None
    if test is None:
        return html.paragraph(
            "How many test images there were, and how each class did, is not in this run's results: an earlier version wrote them."
        )
    return html.together(
        html.paragraph(*_words(test)),
        html.notice("What to know of the images", [f"{note}." for note in test.notes]),
        _networks(run, test),
        _classes(test) if test.classes else None,
        _confusion(test),
        _mistakes(run, test),
    )


def _words(test: Tested) -> list[object]:
    further = (
        "On all further images of the same kind it is likely to lie within the 95\u00a0% interval; one of half the width takes four "
        "times as many test images."
    )
    if test.copies and test.model.accuracy:
        further = of_copies(test.copies, test.images, test.model.accuracy.value)
    words: list[object] = [
        f"The accuracy is counted on {plural(test.images, 'image')}. {further} On images from another source it is to be measured anew. "
    ]
    ranked = _ranked(test)
    if len(ranked) > 1:
        weakest, recall = ranked[0]
        alike = sum(share.value == recall.value for _, share in ranked)
        if alike > 1 and not recall.value:
            words.append(f"Of {alike:,} classes no test image is named right, {weakest.name} among them.")
        elif recall.value < 1:
            words.append(
                f"The class that is found least often is {weakest.name}: {percent(recall.value, 1)}\u00a0% of its "
                f"{plural(weakest.images, 'image')} ({interval(recall, 1)})."
            )
    unseen = [each.name for each in test.classes if not each.images]
    if unseen:
        names = ", ".join(unseen[:5]) + (f" and {len(unseen) - 5} more" if len(unseen) > 5 else "")
        words.append(f" Without test images, so that nothing is known of them: {names}.")
    return words


def _ranked(test: Tested) -> list[tuple[OfClass, Share]]:
    """The classes that have test images, with the shares of these that are found, the least found first."""
    known = [(each, each.recall) for each in test.classes if each.recall]
    return sorted(known, key=lambda pair: pair[1].value)


def _networks(run: Run, test: Tested) -> Markup:
    """The networks on the same test images."""

    def row(name: str, network: Network) -> list[object]:
        return [left(name, wide=True), share_cell(network.accuracy), share_cell(network.balanced)]

    rows = [row("the model", test.model)]
    is_control = run.gives_control
    if test.winner.accuracy and (is_control or search_plan.trained_finally(run)):
        winner = "the search's winner" if is_control else "the search's winner, before final training"
        rows.append(row(winner, test.winner))
    if test.first.accuracy:
        when = "after its first training" if search_plan.searches(run) else "before it was trained on"
        rows.append(row(f"the first network, {when}", test.first))
    head = [left("network"), "accuracy", "balanced accuracy"]
    drawn = html.table(head, rows, "On the same test images, with 95 % intervals", narrow=True)
    return drawn if len(rows) > 1 or test.model.balanced else html.together()


def _classes(test: Tested) -> Markup:
    """Recall and precision of each class; of many the weakest first, and all on demand."""

    def drawn(classes: Sequence[OfClass], caption: str) -> Markup:
        rows = [
            [
                left(each.name, wide=True),
                Cell(count(each.images), each.images),
                share_cell(each.recall, 1),
                share_cell(each.precision, 1),
            ]
            for each in classes
        ]
        head = [left("class"), "images", "found (recall)", "right when named (precision)"]
        return html.table(head, rows, caption, sortable=True, narrow=True)

    what = "Found: of the class's images, the share named right. Right when named: of the images named so, the share that are of it"
    parts = [tag("h3", "Classes")]
    if len(test.classes) <= SHOWN_CLASSES:
        return html.together(*parts, drawn(test.classes, f"{what}."))
    ranked = [each for each, _ in _ranked(test)]
    weakest, total = ranked[:_SHOWN_WEAKEST], f"{len(test.classes):,}"
    listed, title = test.classes, f"All {total} classes"
    if len(listed) > _MOST_CLASSES:
        listed = tuple(ranked[:_MOST_CLASSES])
        title = f"The {len(listed):,} classes found least often, of {total}; results.json has all"
    return html.together(
        *parts,
        drawn(weakest, f"The {len(weakest)} classes found least often. {what}."),
        html.folded(title, drawn(listed, "")),
    )


def _confusion(test: Tested) -> Markup | None:
    """What is taken for what: the matrix, or the pairs."""
    if not test.confused:
        return html.paragraph("No test image was given a wrong class.") if test.classes else None
    pairs = [[left(own, wide=True), left(named, wide=True), count(images)] for own, named, images in test.confused]
    head = [left("images of"), left("named"), "how many"]
    shown = html.table(head, pairs[:_SHOWN_PAIRS], "The most frequent confusions", narrow=True)
    rest = pairs[_SHOWN_PAIRS:]
    more = html.folded(f"{plural(len(rest), 'further pair')}", html.table(head, rest, narrow=True)) if rest else None
    parts: list[object] = [tag("h3", "What is taken for what")]
    if test.confusion is None:
        return html.together(*parts, shown, more)
    parts.append(_matrix(test))
    if len(test.classes) > _WIDE_MATRIX:
        parts.append(
            tag("p", "Move the matrix sideways to see all of it. What it has off the diagonal:", class_="phone")
        )
        parts.append(tag("div", shown, more, class_="phone"))
    return html.together(*parts)


def _matrix(test: Tested) -> Markup:
    """The confusion matrix, cells shaded by their share of the row."""
    names = [each.name for each in test.classes]

    def cell(row: int, column: int, images: int) -> Markup:
        total = sum((test.confusion or ())[row])
        level = 0 if not images else 1 + min(4, int(5 * images / total))
        sort = "hit" if row == column else "miss"
        title = f"{plural(images, 'image')} of {names[row]} named {names[column]}"
        return tag("td", images or "·", class_=f"{sort} l{level}" if level else "none", title=title)

    head = tag("tr", tag("th", "is \\ named"), *(tag("th", tag("span", name), scope="col") for name in names))
    body = [
        tag(
            "tr",
            tag("th", names[row], scope="row"),
            *(cell(row, column, images) for column, images in enumerate(cells)),
        )
        for row, cells in enumerate(test.confusion or ())
    ]
    look = "matrix many" if len(names) > _WIDE_MATRIX else "matrix"
    drawn = tag("table", tag("thead", head), tag("tbody", *body), class_=look)
    words = "Rows: the class that images are of. Columns: the class that they were named. Blue is right."
    region = tag("div", drawn, class_="scroll", tabindex=0, role="region", aria_label="confusion matrix")
    return html.together(html.paragraph(words, class_="soft"), region)


def _mistakes(run: Run, test: Tested) -> Markup | None:
    """Pictures of the mistakes of which the network was surest."""
    shown = []
    for mistake in test.mistakes:
        if mistake.file not in run.pictures:
            continue
        data = base64.b64encode(run.pictures[mistake.file]).decode("ascii")
        words = f"{mistake.label}, named {mistake.named}"
        picture = tag("img", src=f"data:image/png;base64,{data}", alt=words)
        told = tag(
            "figcaption",
            tag("b", mistake.named),
            f" {percent(mistake.probability, 1)}\u00a0%",
            tag("br"),
            f"is {mistake.label}",
        )
        shown.append(tag("figure", picture, told))
    if not shown:
        return None
    return html.together(
        tag("h3", "The worst mistakes"),
        html.paragraph(
            "The test images that were given a wrong class with the highest probability; in bold the class that was named. Look "
            "at their labels too: some may be wrong themselves."
        ),
        tag("div", *shown, class_="mistakes"),
    )
