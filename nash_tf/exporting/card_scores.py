"""The model card's section on how good a model is on the test images, class by class, and how its search ended."""

from collections.abc import Mapping, Sequence
from typing import Any

from nash_tf.exporting.markdown import table
from nash_tf.scores import classification
from nash_tf.terminal.text_tables import in_markdown

MOST_PAIRS = 10  # of classes that are confused


def written(test: Mapping[str, Any], facts: Mapping[str, Any]) -> list[str]:
    """Lines of Markdown.

    Args:
        test: what results.json has of the test under `test`.
        facts: what it says of the search.
    """
    model = test["model"]
    head = ["class", "test images", "found (recall)", "95 % interval", "right when named (precision)", "95 % interval"]
    rows = []
    for each in model["by_class"]:
        shares = [_share(each[name]) for name in ("recall", "precision")]
        bounds = [_bounds(each[f"{name}_interval"]) for name in ("recall", "precision")]
        rows.append([each["class"], f"{each['images']:,}", shares[0], bounds[0], shares[1], bounds[1]])
    lines = [
        "",
        "## How good it is",
        "",
        classification.words({**test, "largest_class": in_markdown(test["largest_class"])}),
        "Balanced accuracy is the mean over the classes of the share of their images that is named right.",
        *_notes(test.get("notes", ())),
        "",
        *table(head, rows),
    ]
    if model["confused"]:
        pairs = [[each["class"], each["named"], each["images"]] for each in model["confused"][:MOST_PAIRS]]
        lines += ["", "Most often confused:", "", *table(["images of", "named", "how many"], pairs)]
    return [*lines, *_search(facts)]


def _notes(notes: Sequence[str]) -> list[str]:
    """What is known of the data."""
    return ["", "What to know of the images:", "", *(f"- {in_markdown(note)}." for note in notes)] if notes else []


def _search(facts: Mapping[str, Any]) -> list[str]:
    """How the search ended, and what more time might bring."""
    said = [facts[name] for name in ("more_time", "final_ended") if facts.get(name)]
    if facts.get("search_ended"):
        said = [f"The search ended: {facts['search_ended']}.", *facts.get("not_done", ()), *said]
    return ["", " ".join(said)] if said else []


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _bounds(interval: Sequence[float] | None) -> str:
    return "–" if interval is None else f"{interval[0]:.1%} to {interval[1]:.1%}"
