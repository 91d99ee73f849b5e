"""Records of long trainings: of more epochs than MOST_EPOCHS a lineage keeps evenly spaced ones, so that whoever reads it can bound a
line without leaving a training out."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

MOST_EPOCHS = 10_000  # whose values a record has
EVERY = "history_every"  # in a record: of so many epochs one is kept, counted back from the last


def shortened(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """A training's record with no more than MOST_EPOCHS values in each series of its `history`, the last one among them, and as
    many in its `rate`. Of parts that are no series nothing is changed."""
    history = record.get("history")
    curves = (
        {name: series for name, series in history.items() if isinstance(series, list)}
        if isinstance(history, dict)
        else {}
    )
    rate = record["rate"] if isinstance(record.get("rate"), list) else ()
    every = math.ceil(max(len(rate) - 1, *map(len, curves.values()), 0) / MOST_EPOCHS)
    if every <= 1:
        return record
    return {
        **record,
        EVERY: every * record.get(EVERY, 1),
        "history": {name: _evenly(series, every) for name, series in curves.items()},
        **({"rate": _evenly(rate, every)} if rate else {}),
    }


def epochs_of(values: Sequence[Any], every: int, last: int) -> list[int]:
    """The epochs that the values of a series are of, the last of them `last` where not each has one."""
    last = len(values) if every == 1 else max(last, every * (len(values) - 1) + 1)
    return [last - every * back for back in reversed(range(len(values)))]


def _evenly(series: Sequence[Any], every: int) -> list[Any]:
    return list(series[(len(series) - 1) % every :: every])
