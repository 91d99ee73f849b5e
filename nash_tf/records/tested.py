"""What results.json says of the test in detail, as typed values; whatever is missing or odd is left out."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nash_tf.records.runs import Run, name_of, number, object_of, objects_of, sentences_of
from nash_tf.scores.classification import MOST_PAIRS, SHOWN_CLASSES

MOST_CLASSES = 100_000  # that are read; those of a run that fit into its results.json are fewer
MOST_MISTAKES = 24
MOST_NOTES = 50
_PICTURE = re.compile(r"mistakes/[0-9]{1,12}\.png")

Interval = tuple[float, float]


@dataclass(frozen=True)
class Share:
    """A share of some images, with its 95 % interval."""

    value: float
    interval: Interval | None = None


@dataclass(frozen=True)
class Network:
    """A network on the test images."""

    accuracy: Share | None
    balanced: Share | None
    loss: float | None


@dataclass(frozen=True)
class OfClass:
    """A class: how many test images are of it, how many were named it, and how many of either are both."""

    name: str
    images: int
    named: int
    recall: Share | None
    precision: Share | None


@dataclass(frozen=True)
class Mistake:
    """An image that was given a wrong class; `file` is its picture in the run's directory."""

    label: str
    named: str
    probability: float
    file: str


@dataclass(frozen=True)
class Tested:
    """The test of a run.

    Attributes:
        images: their number.
        largest_class: of the training images.
        base_rate: the accuracy of always naming it.
        model, winner, first: the network that was exported, that of the search's end, and the first one.
        classes: of the exported network, as the others below.
        confusion: row: the image's class, column: the class that was named; None of many classes.
        confused: (class, named, images), the most frequent first.
        copies: how many of the test images were trained on or validated on too.
        notes: what is known of the data, a sentence each; of older runs nothing.
    """

    images: int
    largest_class: str | None
    base_rate: float | None
    model: Network
    winner: Network
    first: Network
    classes: tuple[OfClass, ...]
    confusion: tuple[tuple[int, ...], ...] | None
    confused: tuple[tuple[str, str, int], ...]
    mistakes: tuple[Mistake, ...]
    copies: int = 0
    notes: tuple[str, ...] = ()


def details_of(run: Run) -> Tested | None:
    """The test of a run; None where its results tell no details."""
    plain = object_of(run.results.get("test"))
    images = _count(plain.get("images"))
    if not images:
        return None
    model = object_of(plain.get("model"))
    largest = plain.get("largest_class")
    classes = tuple(_classes(model))
    return Tested(
        images,
        name_of(largest) if isinstance(largest, str) else None,
        _share(plain.get("base_rate")),
        _network(model),
        _network(object_of(plain.get("winner"))),
        _network(object_of(plain.get("first_network"))),
        classes,
        _matrix(model.get("confusion"), len(classes)),
        tuple(_pairs(model)),
        tuple(_mistakes(plain)),
        min(_count(object_of(plain.get("copies")).get("test")) or 0, images),
        tuple(sentences_of(plain.get("notes"))[:MOST_NOTES]),
    )


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= 10**12 else None


def _share(value: Any) -> float | None:
    found = number(value)
    return found if found is not None and 0 <= found <= 1 else None


def _measured(plain: Mapping[str, Any], name: str, interval: str) -> Share | None:
    value, bounds = _share(plain.get(name)), plain.get(interval)
    if value is None:
        return None
    found = [_share(bound) for bound in bounds] if isinstance(bounds, list) and len(bounds) == 2 else [None]
    return Share(value, None if None in found else (found[0], found[1]))  # type: ignore[arg-type]


def _network(plain: Mapping[str, Any]) -> Network:
    return Network(
        _measured(plain, "accuracy", "interval"),
        _measured(plain, "balanced_accuracy", "balanced_interval"),
        number(plain.get("loss")),
    )


def _classes(model: Mapping[str, Any]) -> Iterator[OfClass]:
    for each in objects_of(model.get("by_class"))[:MOST_CLASSES]:
        yield OfClass(
            name_of(each.get("class")),
            _count(each.get("images")) or 0,
            _count(each.get("named")) or 0,
            _measured(each, "recall", "recall_interval"),
            _measured(each, "precision", "precision_interval"),
        )


def _matrix(value: Any, size: int) -> tuple[tuple[int, ...], ...] | None:
    if not isinstance(value, list) or not 0 < len(value) == size <= SHOWN_CLASSES:
        return None
    rows = tuple(tuple(_count(each) for each in row) if isinstance(row, list) else () for row in value)
    if any(len(row) != size or None in row for row in rows):
        return None
    return rows  # type: ignore[return-value]


def _pairs(model: Mapping[str, Any]) -> Iterator[tuple[str, str, int]]:
    for each in objects_of(model.get("confused"))[:MOST_PAIRS]:
        if images := _count(each.get("images")):
            yield name_of(each.get("class")), name_of(each.get("named")), images


def _mistakes(plain: Mapping[str, Any]) -> Iterator[Mistake]:
    for each in objects_of(plain.get("mistakes"))[:MOST_MISTAKES]:
        share, file = _share(each.get("probability")), each.get("file")
        if share is not None and isinstance(file, str) and _PICTURE.fullmatch(file):
            yield Mistake(name_of(each.get("class")), name_of(each.get("named")), share, file)
