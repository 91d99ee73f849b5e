"""What more time might bring to a search: to one that a limit has ended, from the course of its best score; to a network that
has not grown. And what its other limits are, in words."""

import math
from collections.abc import Collection, Iterable, Sequence

from nash_tf.architecture import Architecture
from nash_tf.morphisms import registry
from nash_tf.strategy import budget_names, growing, methods
from nash_tf.strategy.alternatives import BUDGET, FLOPS, GAINS, NOTHING, PARAMS, PRICE, Weighing, why_none
from nash_tf.strategy.forecast import Trained
from nash_tf.strategy.records import Outcome
from nash_tf.strategy.search_settings import Settings

TIME_LEFT = "time was left for"  # so many epochs: begins what is said of a training that a limit has made shorter
LOST_END = (
    "; the last training is lost, since its numbers were no longer finite (a lower learning rate may help): what is handed over was "
    "trained before it, at a learning rate that had not come down to zero"
)


def more_time(trainings: Sequence[Trained], shown: str = "validation score") -> str:
    """A sentence for people.

    Args:
        trainings: that ended well, in that order, one at least.
        shown: name of the score.
    """
    if len(trainings) == 1:
        return "Only the first network was trained: a search needs more time, or fewer examples."
    best = max(trainings, key=lambda each: (each.score, -each.key.step))
    first, spent = trainings[0].score, sum(each.seconds for each in trainings)
    passed, halfway = 0.0, first
    for each in trainings:
        passed += each.seconds
        halfway = max(halfway, each.score) if passed <= spent / 2 else halfway
    course = f"The best {shown} was {abs(first):.4g} with the first network, {abs(halfway):.4g} at half of the search's time, "
    course += f"{abs(best.score):.4g} at its end"
    since = trainings[-1].key.step - best.key.step
    if since < 2:
        return f"{course}. The step that this came in, or the one after it, was still open: more time may bring more."
    return f"{course}. The last {since} steps brought none better: more time may bring little."


def shortened(outcomes: Iterable[Outcome]) -> str:
    """What there is to say of trainings that a limit on time has made shorter; "" where there are none."""
    names = {True: "the last", False: "the first network's"}
    told = (
        f"{TIME_LEFT} {each.epochs_done} of {each.epochs_asked} epochs of {names[each.key.step > 0]} training"
        for each in outcomes
        if each.is_shortened
    )
    return " and ".join(told)


def raised_limits(method: str, raised: Collection[str], other: str, gained: str = "") -> list[str]:
    """What there is to say where limits are raised of a search that lays out its budget once; nothing where it goes on by them.

    Args:
        method: of the search.
        raised: names of the limits.
        other: what a new search must be given.
        gained: a sentence about what more time is good for.
    """
    record = methods.registry[method]
    if not record.is_budgeted:
        return []
    once = f"may be higher now, but {method} lays out one budget: steps that are done stay as they are,"
    lines = []
    if of_time := " and ".join(name for name in raised if name in budget_names.TIME):
        lines.append(
            f"{of_time} {once} those that a limit left undone follow, and a search that has done all stays over. {gained}For a longer search "
            f"begin a new one, with {other}."
        )
    of_size = " and ".join(name for name in raised if name not in budget_names.TIME)
    if of_size and record.grows:
        lines.append(
            f"{of_size} {once} and a network that is past its growth does not grow again. For a larger one begin a new search, with {other}."
        )
    return lines


def above_limits(network: Architecture, settings: Settings) -> str | None:
    """Which limits a network is above, in words that follow "it has"; None where it keeps them, or the method adds nothing to a network.

    A limit refuses what morphisms make, and not what a search begins with.
    """
    if not methods.registry[settings.method].grows:
        return None
    is_frozen = any(not node.config.get("trainable", True) for node in network.nodes if node.params)
    needed = {
        "max_params": (network.params, "parameters, of frozen layers too" if is_frozen else "trained parameters"),
        "max_flops": (network.flops or 0, "floating-point operations"),
    }
    above = [
        f"{number:,} {unit}, more than {name}={limit:,.0f}"
        for name, (number, unit) in needed.items()
        if (limit := getattr(settings, name)) is not None and number > limit
    ]
    return " and ".join(above) or None


def limits(settings: Settings, has_others: bool) -> str:
    """The limits on a network; arguments as of `nothing_fits`."""
    flops = [f"max_flops={settings.max_flops:,.0f}"] if settings.max_flops else []
    others = ["the limit on latency"] if has_others else []
    return " and ".join([f"max_params={settings.max_params:,.0f}", *flops, *others])


def nothing_fits(network: Architecture, settings: Settings, has_others: bool) -> str:
    """Why a network has no child: no operator has a place in it, or what they make is above the limits.

    Args:
        network: the parent.
        settings: of the search.
        has_others: whether the engine has further limits.
    """
    method = methods.registry[settings.method]
    drawn = {
        name: registry[name] for name in (registry if method.has_foresight else method.operators) if name in registry
    }
    operators = [each.limited_to(math.inf) for each in {**drawn, **method.variants}.values()]
    if any(operator.sites(network) for operator in operators):
        return f"no child fits under {limits(settings, has_others)}"
    reasons = (
        f"; of alter_channels at {node.name}: {reason}"
        for node in network.nodes
        if node.weights and (reason := registry["alter_channels"].why(network, (node.name, 2)))
    )
    return f"no operator has a place in the network, whatever the limits (nash_tf.morphisms.why tells why){next(reasons, '')}"


def without_reduction(network: Architecture, settings: Settings) -> str | None:
    """That a method that can shrink ends above a limit, a sentence for people; None where it does not, and of other methods.

    Args:
        network: the best one.
        settings: of the search.
    """
    if not methods.registry[settings.method].shrinks or not (above := above_limits(network, settings)):
        return None
    return f"The network could not be made small enough: it has {above}."


def without_growth(outcomes: Iterable[Outcome], settings: Settings) -> str | None:
    """Why a method with foresight has not grown its network, a sentence for people; None where it has, and of other methods.

    Args:
        outcomes: of its trainings, the first network's among them.
        settings: of the search.
    """
    method = methods.registry[settings.method]
    if not method.has_foresight:
        return None
    ended = list(outcomes)
    if method.has_front and not any(outcome.assignment.considered for outcome in ended):
        return None  # nothing was weighed: it was of its size, or the search did not come to that
    trained = [outcome for outcome in ended if outcome.architecture is not None]
    if not trained or any(outcome.assignment.moves for outcome in trained):
        return None
    first = min(trained, key=lambda outcome: outcome.key).architecture
    assert first is not None
    if not method.shrinks and (above := above_limits(first, settings)):
        return f"The network has not grown: it has {above}: nothing can be added."
    if not growing.shape(first):
        return "The network has not grown: of its layers no operations are counted, so nothing is expected to be worth its compute."
    if not settings.gain_factor:
        return f"The network has not grown: {NOTHING[GAINS]}."
    if all(outcome.key.step == 0 for outcome in trained):
        if len(ended) > len(trained):
            return "The network has not grown: the trainings after the first network's failed."
        return "The network has not grown: the search was over before it could; in a new run that goes on for longer it may."
    last = [outcome.assignment.considered[-1] for outcome in trained if outcome.assignment.considered]
    # The price of an epoch is limited by the budget itself.
    limited = [weighing for weighing in last if set(weighing.refused) - {PRICE}]
    if limited and all(weighing.is_limited for weighing in last):
        return f"The network has not grown: {why_none(limited[0])}{_remedy(last, settings)}."
    if last and all(weighing.nothing == BUDGET for weighing in last):
        return f"The network has not grown: {NOTHING[BUDGET]} before it could; in a new run with a larger one it may."
    return "The network has not grown: no morphism was expected to be worth its compute in this budget; in a new run with a larger one it may."


def _remedy(last: Iterable[Weighing], settings: Settings) -> str:
    """What a new run must have more of for its network to grow; nothing where a measured limit alone is in the way."""
    refused = {name for weighing in last for name in weighing.refused}
    more = {
        PRICE: "a larger budget",
        PARAMS: f"more than max_params={settings.max_params:,.0f}",
        FLOPS: f"more than max_flops={settings.max_flops or 0:,.0f}",
    }
    wanted = [words for name, words in more.items() if name in refused]
    return f"; in a new run with {' and '.join(wanted)} it may" if wanted else ""


def without_room(outcomes: Iterable[Outcome], settings: Settings) -> str | None:
    """That `max_params` may have ended the growth of a network, a sentence for people; None where another limit may have, where it has
    not grown, and of other methods.

    Args:
        outcomes: of the search's trainings.
        settings: of the search.
    """
    method = methods.registry[settings.method]
    if not method.has_foresight or method.has_front:  # each network of a front has a size of its own
        return None
    chosen = [outcome.assignment for outcome in outcomes if outcome.assignment.considered]
    if not any(assignment.moves for assignment in chosen):
        return None
    last = max(chosen, key=lambda assignment: assignment.key)
    weighing = last.considered[-1]
    if len(last.considered) == len(last.moves) or set(weighing.refused) != {PARAMS}:
        return None
    return (
        f"The network may be held back by max_params={settings.max_params:,.0f}: at the last choice {weighing.refused[PARAMS]:,} of "
        f"{weighing.weighed:,} morphisms would have gone beyond it, and none of the others was worth what it costs; in a new run with a higher one it "
        "may grow further."
    )
