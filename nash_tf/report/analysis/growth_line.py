"""By how much networks grew or shrank; and how the network handed over came from the first one: the networks of its line, made again
from the recorded moves."""

from collections.abc import Sequence
from typing import NamedTuple

from nash_tf.architecture import Architecture, first_networks
from nash_tf.morphisms.draw import replay
from nash_tf.records.runs import Place, Record, Run
from nash_tf.report.analysis.family import Child

MOST_STEPS, MOST_MOVES = 30, 60  # that are made again; of a step


class Growth(NamedTuple):
    """What one step changed.

    Attributes:
        step: its number.
        parent: the network before.
        child: the network after.
    """

    step: int
    parent: Architecture
    child: Architecture


def added(records: Sequence[Record]) -> dict[Place, float]:
    """Place of a birth by morphisms -> the parameters that they added, as far as it is known; below 0 where the network became smaller."""
    sizes = {record.place: record.params for record in records}
    found = {}
    for record in records:
        before = sizes.get(record.parent) if record.parent else None
        if record.operators and not record.rung and record.params is not None and before is not None:
            found[record.place] = record.params - before
    return found


def shrank(records: Sequence[Record]) -> bool:
    """Whether morphisms made any network smaller: what is said of growth alone is not true of such a run."""
    return any(params < 0 for params in added(records).values())


def line(run: Run, children: Sequence[Child]) -> list[Growth]:
    """The steps from the first network to the one handed over, in order.

    Empty where they cannot be made again: a start of the user's own, moves of unknown operators, digests that differ.
    """
    records = {record.place: record for record in run.records}
    way: list[Record] = []
    child = next((child for child in children if child.chosen), None)
    record = child.records[0] if child else None
    while record is not None and record.step > 0 and len(way) <= MOST_STEPS:
        way.append(record)
        parent = records.get(record.parent) if record.parent else None
        record = None if parent is None or parent.step >= record.step else records.get((parent.step, 0, parent.child))
    if record is None or record.step or len(way) > MOST_STEPS or any(len(each.moves) > MOST_MOVES for each in way):
        return []
    try:
        network, grown = _first(run, record.digest), []
        if network is None:
            return []
        for record in reversed(way):
            after, _ = replay(network, record.moves)
            if after.digest != record.digest:
                return []
            grown.append(Growth(record.step, network, after))
            network = after
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return []
    return grown


def _first(run: Run, digest: str | None) -> Architecture | None:
    """The first network as the settings have it, if that has a digest; its input and classes are those of the network handed over."""
    final = run.architecture
    if final is None or run.config.get("start") is not None:
        return None
    layouts = (
        [run.config["layout"]] if run.config.get("layout") else list(first_networks.registry)
    )  # its default has changed
    (entry,), (output,) = final.inputs, final.outputs
    widths, precision = run.config["widths"], run.config.get("precision", "float32")
    height, width, channels = final[entry].shape
    made = (
        first_networks.registry[layout].make((height, width, channels), final[output].shape[-1], widths, precision)  # type: ignore[arg-type]
        for layout in layouts
    )
    return next((network for network in made if network.digest == digest), None)
