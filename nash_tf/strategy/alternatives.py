"""What a growth was chosen among: the best morphism of each operator, and how many a limit refused. For people: nothing in a search
follows from it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from nash_tf.morphisms.base import Site

MOST = 7  # candidates of a weighing that are kept
PARAMS, FLOPS, PRICE, LATENCY = "params", "flops", "price", "latency"
BUDGET, GAINS = "budget", "gains"
NOTHING = {  # why no morphism could be worth anything
    BUDGET: "the budget was spent",
    GAINS: "nothing is expected of size, with a gain_factor of 0",
}
LIMITS = {PARAMS: "parameters", FLOPS: "operations", PRICE: "the price of an epoch", LATENCY: "latency"}


class Candidate(NamedTuple):
    """A morphism that was weighed.

    Attributes:
        operator, site: which one, as in `nash_tf.morphisms.Move`; the site names the layers.
        params: parameters that it adds, of frozen layers too; below 0 where it makes the network smaller.
        gain: expected decrease of the loss for as many epochs.
        cost: expected increase, since there are fewer epochs.
    """

    operator: str
    site: Site
    params: int
    gain: float
    cost: float

    @property
    def worth(self) -> float:
        """Expected decrease of the loss at the end of the budget."""
        return self.gain - self.cost

    @property
    def ratio(self) -> float:
        """What it wins for each unit of what it loses: size for epochs, or epochs for size. It is worth more than 0 where this is over 1."""
        parts = (self.gain, -self.cost)
        won, lost = sum(max(0.0, part) for part in parts), sum(max(0.0, -part) for part in parts)
        return won / lost if lost else math.inf

    def rounded(self) -> "Candidate":
        """The same with short numbers, for the record."""
        return self._replace(gain=round(self.gain, 6), cost=round(self.cost, 6))


@dataclass(frozen=True)
class Weighing:
    """What one morphism was chosen among.

    A child has a weighing for each of its morphisms, whose best candidate is that morphism; and one more where there was room for one
    more morphism, and none was taken.

    Attributes:
        best: the best candidate of each operator, the best of all first; MOST of them at most.
        weighed: how many candidates there were.
        refused: how many of them were over each limit; of several limits the first counts.
        nothing: why none was weighed, one of NOTHING; empty where some might have been.
    """

    best: tuple[Candidate, ...] = ()
    weighed: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    nothing: str = ""

    @property
    def within_limits(self) -> int:
        """How many candidates were over no limit."""
        return self.weighed - sum(self.refused.values())

    @property
    def is_limited(self) -> bool:
        """Whether it is by limits alone that no candidate was taken."""
        return LATENCY in self.refused or (self.weighed > 0 and not self.within_limits)

    def too_slow(self) -> "Weighing":
        """The same, where the best candidate was not taken because of a limit on latency, which is measured of that one alone."""
        return replace(self, refused={**self.refused, LATENCY: 1})

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        best = [[operator, list(site), *numbers] for operator, site, *numbers in self.best]
        nothing = {"nothing": self.nothing} if self.nothing else {}
        return {"best": best, "weighed": self.weighed, "refused": dict(self.refused), **nothing}


def parsed(plain: Any) -> tuple[Weighing, ...]:
    """Weighings from JSON values, a list of what `Weighing.plain` gives.

    Raises:
        TypeError, ValueError, KeyError: they are anything else.
    """
    return tuple(
        Weighing(
            tuple(_candidate(*candidate) for candidate in each["best"]),
            _count(each["weighed"]),
            {limit: _count(each["refused"][limit]) for limit in LIMITS if limit in each["refused"]},
            next((why for why in NOTHING if why == each.get("nothing")), ""),
        )
        for each in plain
    )


def cut(weighings: Sequence[Weighing], morphisms: int) -> tuple[Weighing, ...]:
    """The weighings of a child that has fewer morphisms than were chosen, because with one more it was too slow."""
    return (*weighings[:morphisms], weighings[morphisms].too_slow())


def why_none(weighing: Weighing, wanted: str = "was worth what it costs") -> str:
    """Why no morphism was taken, in words that follow a colon.

    Args:
        weighing: the last one.
        wanted: what a morphism must be to be taken.
    """
    if LATENCY in weighing.refused:
        return "with the best morphism the network would have been over the limit on latency"
    if weighing.nothing:
        return NOTHING[weighing.nothing]
    if not weighing.weighed:
        return "there was no morphism to be weighed"
    over = _over(weighing.refused)
    if not weighing.within_limits:
        return f"all {weighing.weighed:,} morphisms were {over}"
    more = f"; {sum(weighing.refused.values()):,} more were {over}" if over else ""
    return f"of {weighing.within_limits:,} morphisms none {wanted}{more}"


def _over(refused: Mapping[str, int]) -> str:
    """Which limits morphisms were over, in words; nothing where they were over none."""
    if len(refused) < 2:
        return "".join(f"over the limit on {LIMITS[limit]}" for limit in refused)
    return f"over a limit ({', '.join(f'{count:,} on {LIMITS[limit]}' for limit, count in refused.items())})"


def _candidate(operator: Any, site: Any, params: Any, gain: Any, cost: Any) -> Candidate:
    if not isinstance(operator, str) or type(params) is not int:
        raise TypeError(f"expected an operator and its parameters, received {operator!r} and {params!r}")
    if not all(type(number) in (int, float) and math.isfinite(number) for number in (gain, cost)):
        raise TypeError(f"expected a gain and a cost, received {gain!r} and {cost!r}")
    return Candidate(operator, _site(site), params, gain, cost)


def _site(plain: Any) -> tuple[Any, ...]:
    if not isinstance(plain, list):
        raise TypeError(f"expected the parts of a site, received {plain!r}")
    return tuple(_site(part) if isinstance(part, list) else part for part in plain)


def _count(plain: Any) -> int:
    if type(plain) is not int or plain < 0:
        raise TypeError(f"expected a number of candidates, received {plain!r}")
    return plain
