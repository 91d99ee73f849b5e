"""How a run's time is divided among its search and what follows: control, final training, test and export.

A run with a limit on wall-clock time ends its search early enough for what follows; each part then takes what is left for it.
All in seconds of wall-clock time, if not said otherwise.
"""

import math
from dataclasses import dataclass, replace

from nash_tf.strategy import forecast
from nash_tf.strategy.ask_tell import Search
from nash_tf.strategy.forecast import Cost, Size, Trained
from nash_tf.strategy.records import TrainingKey
from nash_tf.strategy.time_limits import TimeLimits

RECENT = 6  # trainings that tell the pace of a budget
MINUTES = 600.0  # a search of so many seconds has a control as long as itself
QUARTER = 0.25  # of the limit, or of a longer search, that the control may take
FINAL_SHARE = 1 / 3  # of the limit that is reserved for the final training at most
UNMEASURED_SHARE = 1 / 6  # of the limit that is reserved for it before anything has been trained
# Of the limit, which a method that lays out its budget in advance leaves for them.
LOADING_SHARE, EXPORT_SHARE = 0.1, 0.12
MARGIN = 1.2  # trainings of a loaded machine take longer than the last ones did


@dataclass(frozen=True)
class After:
    """What follows a search.

    Attributes:
        final_epochs: epochs of the final training.
        images: its images over those that the search trains on.
        has_control: whether a control follows.
        test: seconds that the test takes, in epochs of the search's winner.
        export: seconds of the export of the network that is handed over.
        front: seconds that smaller networks take, in epochs of the search's winner.
        members: other networks that the search finishes for a front.
        member: seconds of the export of each.
    """

    final_epochs: int = 0
    images: float = 1.0
    has_control: bool = False
    test: float = 0.0
    export: float = 0.0
    front: float = 0.0
    members: int = 0
    member: float = 0.0

    @property
    def exports(self) -> float:
        """Seconds of the export of all networks that the search finishes."""
        return self.export + self.members * self.member


class TimePlan:
    """Divides the time of a run.

    Args:
        search: the search, which knows how many trainings go on side by side.
        limits: on its time; what they hold back is this plan's to say, once it is their `held`.
        after: what follows the search.
    """

    def __init__(self, search: Search, limits: TimeLimits, after: After):
        self.search, self.limits, self.after = search, limits, after
        self._trained: dict[TrainingKey, Trained | None] = {}
        self._costs: dict[tuple, Cost] = {}

    @property
    def limit(self) -> float:
        """Seconds of the whole run."""
        return math.inf if self.limits.max_hours is None else self.limits.max_hours * 3600

    def trainings(self) -> list[Trained]:
        """The trainings that have ended well, in the order in which they were told."""
        outcomes, scores = self.search.outcomes, self.search.scores
        self._trained = {key: self._trained.get(key) for key in outcomes}
        for key, known in self._trained.items():
            if known is None:
                self._trained[key] = forecast.trained(outcomes[key], scores[key])
        return [each for each in self._trained.values() if each is not None]

    def cost(self, of_cpu: bool = False) -> Cost:
        """What trainings cost now; one at least must have ended well."""
        trainings = self.trainings()
        key = len(trainings), trainings[-1], of_cpu
        if key not in self._costs:
            self._costs = {known: cost for known, cost in self._costs.items() if known[:2] == key[:2]}
            self._costs[key] = forecast.cost_of(trainings, of_cpu)
        return self._costs[key]

    # What is held back ------------------------------------------------------------------------------------------------

    def reserve(self) -> float:
        """What is held back from the search now."""
        if self.limit == math.inf:
            return 0.0
        if not self.search.outcomes:  # without the first network there is nothing to hand over
            return self.after.export
        if self.search.method.is_budgeted:  # its cooldown is laid out so as to end in time, and must not be cut
            return min(self.planned_reserve(), self.search.settings.reserve * self.limit)
        return self.planned_reserve()

    def least_reserve(self) -> float:
        """What is held back from the last training of a search whose rate falls to zero in it, too: where the machine has become slower, it
        takes the time of the control, which is worth nothing without a finished network."""
        return min(self.reserve(), self._needed())

    def first_reserve(self) -> float:
        """What is held back of the first network's training, beside `reserve`, where it must be made shorter: for the test and a final
        training at least; and for all that follows a search, where one is to come that has one budget with it."""
        if self.limit == math.inf:
            return 0.0
        follows = self.search.settings.reserve * self.limit if self.search.method.is_budgeted else 0.0
        return max(UNMEASURED_SHARE * self.limit, follows - self.reserve())

    def _needed(self) -> float:
        return self.after.exports + self.test_seconds() + self.final_reserve()

    def planned_reserve(self) -> float:
        """What will be held back from the search, as far as it is known; before the first training by shares of the limit."""
        if self.limit == math.inf:
            return 0.0
        fixed = self._needed()
        return fixed + (self._control_share(self.limit - fixed) if self.after.has_control else 0.0)

    def control_is_over(self) -> None:
        """Nothing is held back for the control any more."""
        self.after = replace(self.after, has_control=False)

    def final_reserve(self) -> float:
        """What is held back for the final training."""
        if not self.after.final_epochs:
            return 0.0
        if not self.trainings():
            return 0.0 if self.limit == math.inf else self.limit * UNMEASURED_SHARE
        return min(MARGIN * self.final_seconds(), self.limit * FINAL_SHARE)

    def _control_share(self, rest: float) -> float:
        """Search and control share what the rest leaves evenly, the control with a quarter of the limit at most."""
        return max(0.0, min(self.limit * QUARTER, rest / 2))

    # How long things take ---------------------------------------------------------------------------------------------

    def final_seconds(self) -> float:
        """What the whole final training takes, of the search's winner-to-be."""
        return self.after.images * self.cost().seconds(self.after.final_epochs, self._winner_to_be(), births=1)

    def test_seconds(self, size: Size | None = None) -> float:
        """What the test of the networks takes, and what smaller ones take after it."""
        if not self.trainings():
            return 0.0
        return self.cost().seconds(self.after.test + self.after.front, size or self._winner_to_be())

    def control_cpu_seconds(self) -> float:
        """CPU seconds of the control: the search's; of a long search a quarter, as of the limit."""
        spent = sum(each.cpu_seconds for each in self.search.outcomes.values())
        if self.limit == math.inf:
            return min(spent, max(MINUTES, QUARTER * spent))
        return spent

    def control_seconds(self, taken: float = 0.0) -> float:
        """Wall-clock seconds that the control may take now; what follows is held back.

        Args:
            taken: what it has taken already, in processes that were interrupted.
        """
        left = self.limits.seconds_left_in_all() - self.after.exports - self.test_seconds() - self.final_reserve()
        share = self.limit * QUARTER if self.limit < math.inf else math.inf
        return max(0.0, min(share - taken, left))

    def control_epochs(self, size: Size) -> float:
        """Epochs of a network of this size that take the control's CPU seconds."""
        pace = self.cost(of_cpu=True).seconds(1, size)
        return self.control_cpu_seconds() / pace if pace > 0 else 1.0

    def left(self) -> float:
        """What is left of the whole run, while the search goes on; NaN where nothing has been trained."""
        if not self.trainings():
            return math.nan
        searching = self._searching()
        return min(searching + self.follows(searching), max(0.0, self.limits.seconds_left_in_all()))

    def _searching(self) -> float:
        """What is left of the search."""
        opened = self.search.opened
        if opened is None or self.search.finished:
            return 0.0
        if (budget := self.search.budget_left_on_the_clock()) is not None:
            planned = budget * self._seconds_of_budget()
        else:
            most = self.search.settings.max_params
            planned = forecast.search_seconds(self.search.steps, self.trainings(), opened, most)
            planned /= self.search.side_by_side
        return max(0.0, min(planned, self.limits.wall_seconds_left(self.search.outcomes.values())))

    def _seconds_of_budget(self) -> float:
        """What an epoch of the first network takes by the last trainings, in a search with a budget in such epochs."""
        last = list(self.search.outcomes.values())[-RECENT:]
        epochs = self.search.spent(last)
        return sum(outcome.wall_seconds for outcome in last) / epochs if epochs else 0.0

    def follows(self, searching: float = 0.0) -> float:
        """What follows a search that goes on for so many seconds; NaN where nothing has been trained."""
        if not self.trainings():
            return math.nan
        then = self.test_seconds() + self.after.exports
        if self.after.final_epochs:
            then += self.final_seconds()
        if self.after.has_control:
            spent = sum(each.seconds for each in self.trainings()) + searching
            then += min(spent, self.limit * QUARTER if self.limit < math.inf else max(MINUTES, QUARTER * spent))
        return then

    def _winner_to_be(self) -> Size:
        """The larger of the best network and the mean of the rung that has last had an outcome."""
        trainings = self.trainings()
        last = [each.size for each in trainings if each.key[:2] == trainings[-1].key[:2]]
        best = self._trained.get(self.search.best) if self.search.best else None
        sizes = [best.size] if best else []
        sizes.append(Size(*(sum(part) / len(last) for part in zip(*last, strict=True))))
        return max(sizes)


def planned_share(epochs_after: int, has_control: bool) -> float:
    """The share of a limit that is left for what comes before and after the search, where nothing has been measured.

    Args:
        epochs_after: of the final training, and of smaller networks.
        has_control: whether a control follows.
    """
    final = UNMEASURED_SHARE if epochs_after else 0.0
    return LOADING_SHARE + EXPORT_SHARE + final + (QUARTER if has_control else 0.0)
