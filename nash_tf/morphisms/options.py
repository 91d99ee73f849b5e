"""The morphisms that can be applied to a network, what each would cost, and why others cannot."""

import math
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from numbers import Real
from typing import Any, NamedTuple

from nash_tf.architecture import Architecture
from nash_tf.architecture.costs import added
from nash_tf.morphisms.base import Morphism, Origin, Site, plain_site
from nash_tf.morphisms.names import nearest, no_layer

_SHOWN = 6  # sites or reasons in a sentence


class Option(NamedTuple):
    """One morphism that can be applied to a network.

    Attributes:
        operator: name of the operator.
        site: where it would be applied.
        params: number of parameters that it adds, of frozen layers too.
        flops: floating-point operations per image that it adds (see `nash_tf.architecture.costs.flops`); None where the
            size of an image is open.
    """

    operator: str
    site: Site
    params: int
    flops: int | None


def architecture_of(parent: Any) -> Architecture:
    """An `Architecture` as it is, or that of a functional `keras.Model`; of one of two views an error says what to give."""
    if isinstance(parent, Architecture):
        return parent
    from nash_tf.keras_models.views import check_one_view  # at run time, so that this room imports without Keras

    check_one_view(parent, "nash_tf.morphisms")
    return Architecture.from_keras(parent)


def options_of(operator: Morphism, parent: Any, wanted: Callable[[Site], bool] = lambda site: True) -> list[Option]:
    """The options of one operator. Each is made once for its cost; `operator.sites` is faster without costs.

    Args:
        operator: the operator.
        parent: an `Architecture`, or a functional `keras.Model`.
        wanted: site -> whether it is asked for.
    """
    architecture = architecture_of(parent)
    sites = filter(wanted, operator.sites(architecture))
    children = ((site, operator.apply(architecture, site, Origin.FOUND)[0]) for site in sites)
    return [Option(operator.name, site, *added(architecture, child)) for site, child in children]


def option_at(operator: Morphism, architecture: Architecture, site: Sequence) -> Option:
    """One option, which need not be among those that are found.

    Raises:
        ValueError: the operator has no place there; with the reason.
    """
    site = plain_site(site)
    return Option(operator.name, site, *added(architecture, operator.apply(architecture, site, Origin.NAMED)[0]))


def named(registry: Mapping[str, Morphism], operators: Any) -> list[str]:
    """Names of operators, given as one, as several, or as None for all.

    Raises:
        ValueError: a name is unknown, or there is none; with the nearest.
    """
    if not isinstance(operators, str | list | tuple | None):
        raise ValueError(f"operators must be a name or a list of names, received {operators!r}")
    names = [operators] if isinstance(operators, str) else list(registry if operators is None else operators)
    for name in names:
        if not isinstance(name, str) or name not in registry:
            known = ", ".join(registry)
            raise ValueError(f"unknown operator {name!r}; expected one of {known}{nearest(name, registry)}")
    if not names:
        raise ValueError("operators must name at least one operator, received none")
    return names


def named_one(registry: Mapping[str, Morphism], operator: Any) -> str:
    """The name of one operator.

    Raises:
        ValueError: it is unknown, with the nearest, or no name.
    """
    if not isinstance(operator, str):
        raise ValueError(f"operator must be a name, one of {', '.join(registry)}; received {operator!r}")
    return named(registry, operator)[0]


def touching(architecture: Architecture, layer: str | None) -> Callable[[Site], bool]:
    """Site -> whether one of the layers that it names has this name, or fits this pattern ("conv_*").

    Raises:
        ValueError: no layer has.
    """
    if layer is None:
        return lambda site: True
    if not isinstance(layer, str):
        raise ValueError(f"layer must be a name or a pattern, received {layer!r}")
    every = [node.name for node in architecture.nodes]
    names = {layer} if layer in every else {name for name in every if fnmatchcase(name, layer)}
    if not names:
        raise ValueError(no_layer(architecture, layer))
    return lambda site: not names.isdisjoint(site)


def checked_limit(name: str, value: Any) -> float:
    """A limit as a number; None is none.

    Raises:
        ValueError: it is no number of at least 0.
    """
    if value is None:
        return math.inf
    if isinstance(value, bool) or not isinstance(value, Real) or not float(value) >= 0:
        raise ValueError(f"{name} must be a number of at least 0, received {value!r}")
    return float(value)


def explanation(operator: Morphism, architecture: Architecture, place: Any) -> str:
    """Why an operator has no place at a layer, or at a site; where it has, that it has.

    Raises:
        ValueError: there is no such layer, or it is neither a name nor a site.
    """
    if isinstance(place, list | tuple):
        site = plain_site(place)
        return operator.why(architecture, site) or f"{operator.name} has a place at {site!r}"
    if not isinstance(place, str):
        raise ValueError(f"place must be a layer's name or a site, received {place!r}")
    here = touching(architecture, place)
    candidates = [site for site in operator.candidates(architecture) if here(site)]
    reasons = {site: operator.why(architecture, site) for site in candidates}
    if places := [site for site, reason in reasons.items() if not reason]:
        return f"{operator.name} has a place at {_listed(map(repr, places))}"
    distinct = dict.fromkeys(reasons.values())
    return f"{operator.name} has no place at {place}: {_listed(distinct) or operator.why_not_considered(architecture, place)}"


def _listed(texts) -> str:
    texts = list(texts)
    more = f"; and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return "; ".join(texts[:_SHOWN]) + more
