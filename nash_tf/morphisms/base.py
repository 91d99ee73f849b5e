"""The base class of operators, and the checks that every operator must pass."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from numbers import Integral
from typing import Any, NamedTuple, Self

from nash_tf.architecture import Architecture, layer_rules
from nash_tf.architecture.constants import MAX_CHANNELS
from nash_tf.morphisms.channels import ChannelPropagation
from nash_tf.morphisms.weight_transfer import (
    MADE_ANEW,
    Copy,
    Extend,
    ExtendTwice,
    Fold,
    Recipe,
    Separate,
    Take,
    WeightTransfer,
)

Site = tuple[str | int, ...]


class Move(NamedTuple):
    """One morphism as plain data. Applied to the same parent, it always gives the same child.

    Attributes:
        operator: name of the operator in `nash_tf.morphisms.registry`.
        site: place in the parent's architecture; what its parts mean is up to the operator.
        seed: seed of the initial values of new variables.
    """

    operator: str
    site: Site
    seed: int


class Origin(Enum):
    """Where a site comes from, and so what an operator asks again before it is applied there."""

    FOUND = "one of `sites` or `choices`: nothing"
    MOVED = "a move, perhaps of an earlier version: whether the function is preserved"
    NAMED = "a user: that, and whether it can bring anything"


class Morphism(ABC):
    """A function-preserving operator: child(x) = parent(x) for every input x, before the child is trained.

    A subclass defines
    - `candidates`: the sites to consider,
    - `refusal`: why it does not preserve the function at a site, in words,
    - `_apply`: the child's architecture, and for each new or changed variable where its values come from.

    In place of `refusal` it may define `requires`, which says no more than whether it does, as all operators once did.

    `apply` checks that every node of the parent is still there under its name, that the outputs have kept their shapes,
    and that each new or changed variable has a recipe.

    `sites` also leaves out each site where a constraint on a weight would change the child's function at the first
    training step (see `nash_tf.architecture.layer_rules.constraints`), or where an output that sees no later positions
    along an axis would see them (see `nash_tf.architecture.lookahead`).

    Attributes:
        name: unique name of the operator.
        exact: whether it preserves the function. An operator that does not is a `Reduction`.
        site_form: what the parts of its sites are, in words, for the error where a site has others; "" where that is not said.
        max_channels: the most channels that it gives an image at a site that it finds; None for 600, or as many as the widest
            image has.
    """

    name: str
    site_form: str = ""
    exact: bool = True
    max_channels: float | None = None

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if cls.refusal is Morphism.refusal and cls.requires is not Morphism.requires:
            cls.refusal = _refusal_by_requires  # type: ignore[method-assign, assignment]

    @abstractmethod
    def candidates(self, architecture: Architecture) -> Iterator[Site]:
        """The sites to consider, in canonical order."""

    @abstractmethod
    def refusal(self, architecture: Architecture, site: Site) -> str:
        """Why the operator does not preserve the function at `site`, in words; "" where it does. Words, not an error, for a meaningless site,
        but for one of another form."""

    def requires(self, architecture: Architecture, site: Site) -> bool:
        """Whether the operator preserves the function at `site`."""
        return not self.refusal(architecture, site)

    def limited_to(self, max_channels: float | None) -> Self:
        """The same operator with another limit on channels; `math.inf` for none."""
        limited = copy.copy(self)
        limited.max_channels = max_channels
        return limited

    def channel_limit(self, architecture: Architecture) -> float:
        """The most channels that it gives an image; see `max_channels`."""
        return max(MAX_CHANNELS, architecture.widest) if self.max_channels is None else self.max_channels

    def why(self, architecture: Architecture, site: Site) -> str:
        """Why `site` is not one of the operator's, in words; "" where it is."""
        reason = self._inexact(architecture, site) or self.pointless(architecture, site)
        return reason or _conflict(architecture, *self._apply(architecture, site))

    def pointless(self, architecture: Architecture, site: Site) -> str:
        """Why a site where nothing is refused can bring nothing, in words; "" where it can. It is not found, and is refused where it
        is named; a move of an earlier version is replayed."""
        return ""

    def why_not_considered(self, architecture: Architecture, layer: str) -> str:
        """Why none of the candidates names a layer, in words."""
        return "it is not among the layers that the operator considers"

    def _inexact(self, architecture: Architecture, site: Site) -> str:
        """`why` without regard to what it makes."""
        try:
            return self.refusal(architecture, site)
        except (TypeError, ValueError):  # a tuple of another length, or of other types
            return f"its sites are {self.site_form}" if self.site_form else "its sites have another form"

    @abstractmethod
    def _apply(self, architecture: Architecture, site: Site) -> tuple[Architecture, WeightTransfer]:
        """The child's architecture and its weight transfer, for a site where nothing is refused."""

    def added_params(self, architecture: Architecture, site: Site) -> int:
        """The parameters that it adds at one of its sites."""
        return self._apply(architecture, site)[0].params - architecture.params

    def sites(self, architecture: Architecture) -> list[Site]:
        """Every site where the operator applies, in canonical order; `architecture` is not changed."""
        exact = [site for site in self._exact_sites(architecture) if not self.pointless(architecture, site)]
        is_constrained = any(layer_rules.is_constrained(node.config) for node in architecture.nodes)
        if not is_constrained and not architecture.causal_outputs:
            return exact
        return [site for site in exact if not _conflict(architecture, *self._apply(architecture, site))]

    def choices(self, architecture: Architecture) -> list[Site]:
        """The sites among which a search with foresight chooses; those of `sites`, unless an operator has finer ones."""
        return self.sites(architecture)

    def _exact_sites(self, architecture: Architecture) -> list[Site]:
        """`sites` without regard to what is made there."""
        return [site for site in self.candidates(architecture) if self.requires(architecture, site)]

    def apply(
        self, architecture: Architecture, site: Site, origin: Origin = Origin.MOVED
    ) -> tuple[Architecture, WeightTransfer]:
        """Applies the operator.

        Args:
            architecture: the parent's; it is not changed.
            site: one of `sites(architecture)`.
            origin: where that comes from.

        Returns:
            The child's architecture, and how its variables come from the parent's.

        Raises:
            ValueError: `site` is not one of `sites(architecture)`.
            AssertionError: the operator breaks its contract.
        """
        reason = "" if origin is Origin.FOUND else self._inexact(architecture, site)
        if origin is Origin.NAMED and not reason:
            reason = self.pointless(architecture, site)
        if reason:
            raise self._error(site, reason)
        child, transfer = self._apply(architecture, site)
        if reason := _conflict(architecture, child, transfer):
            raise self._error(site, reason)
        self._check(architecture, child, transfer)
        return child, transfer

    def _error(self, site: Site, reason: str) -> ValueError:
        return ValueError(f"{self.name}: {site!r} is not a site of this architecture: {reason}")

    def _check(self, parent: Architecture, child: Architecture, transfer: WeightTransfer) -> None:
        missing = self._missing(parent, child)
        if missing or [child[name].shape for name in child.outputs] != [parent[name].shape for name in parent.outputs]:
            raise AssertionError(
                f"{self.name} broke its contract: nodes {missing} are gone or an output changed its shape"
            )
        same, with_recipe = set(map(id, parent.nodes)), {name for name, _ in transfer.recipes}
        for node in [node for node in child.nodes if id(node) not in same or node.name in with_recipe]:
            before = parent[node.name].variables if node.name in parent else {}
            for variable, shape in node.variables.items():
                recipe = transfer.recipes.get((node.name, variable))
                if recipe is None and before.get(variable) != shape:
                    raise AssertionError(f"{self.name} broke its contract: no recipe for {node.name}/{variable}")
                if isinstance(recipe, MADE_ANEW) and tuple(recipe.shape) != tuple(shape):
                    raise AssertionError(f"{self.name} broke its contract: wrong shape for {node.name}/{variable}")
                if isinstance(recipe, Take) and (variable not in before or recipe.shape(before[variable]) != shape):
                    raise AssertionError(f"{self.name} broke its contract: wrong cut of {node.name}/{variable}")
                if isinstance(recipe, Copy) and parent[recipe.source[0]].variables[recipe.source[1]] != shape:
                    raise AssertionError(f"{self.name} broke its contract: wrong copy for {node.name}/{variable}")

    def _missing(self, parent: Architecture, child: Architecture) -> list[str]:
        """Names of the parent's nodes that the child must have, and has not."""
        return [name for name in parent.position if name not in child.position]


def _refusal_by_requires(operator: Morphism, architecture: Architecture, site: Site) -> str:
    """`refusal` of an operator that defines `requires`."""
    return "" if operator.requires(architecture, site) else "what it requires does not hold there"


class Reduction(Morphism):
    """An operator that makes a network smaller: it may remove layers, and it need not preserve the function.

    1. Reductions have a registry of their own, `nash_tf.morphisms.reductions`, and are applied only where they are named:
       neither searches nor `morph(count=...)` without names draw them.
    2. Where one is not `exact`, the certificate says how far outputs and loss moved, and is no error; the call may limit it.
    3. A site whose first entry is a layer may leave open which of its filters go (`is_open`). Applied there it takes the
       last, which is good for the cost only. `morph` first ranks the filters on data and puts their numbers into the site
       (`settled`), so that a replay makes the same child. In a search the parent's weights rank them at each birth.
    """

    exact = False

    def is_open(self, site: Site) -> bool:
        """Whether a site says how many filters go, but not which."""
        return False

    def settled(self, architecture: Architecture, site: Site, importance: Sequence[float]) -> Site:
        """The same site with the least important filters named.

        Args:
            architecture: the parent's.
            site: an open site of it.
            importance: of each filter of the layer that the site names first; of equals the later goes first.
        """
        return site

    def sites_removing(self, architecture: Architecture, params: int) -> list[Site]:
        """Sites to choose from where about so many parameters are to go: all, unless the operator has sizes."""
        return self.sites(architecture)

    def _missing(self, parent, child):
        return []


def checked_operator(operator: Any, kind: type[Any] = Morphism) -> None:
    """Checks that something is an operator.

    Raises:
        TypeError: it is no instance of a subclass of this class, with a name.
    """
    if not isinstance(operator, kind) or not isinstance(getattr(operator, "name", None), str) or not operator.name:
        raise TypeError(
            f"expected an instance of a subclass of {kind.__name__} that has a name. Received: {operator!r}"
        )


def _conflict(parent: Architecture, child: Architecture, transfer: WeightTransfer) -> str:
    """What stands against a child though its function is the parent's, in words; "" for nothing."""
    return _constraint_conflict(child, transfer) or _lookahead_conflict(parent, child)


def _lookahead_conflict(parent: Architecture, child: Architecture) -> str:
    """Which output would begin to see later positions, in words; "" for none."""
    for number, axis in parent.causal_outputs:
        name = child.outputs[number]
        if any(reach.high > 0 for reach in child.reaches[name][axis : axis + 1]):
            return f"the output {name} sees no later positions along its axis {1 + axis}, and then might"
    return ""


def _constraint_conflict(child: Architecture, transfer: WeightTransfer) -> str:
    """Which constraint would change a transferred weight at the first step, in words; "" for none.

    Constraints on new variables are the operator's own affair.
    """

    def is_kept(constraint: Any, recipe: Recipe, rank: int) -> bool:
        match recipe:
            case Copy(_, factor, _):
                return layer_rules.keeps_scaled(constraint, factor)
            case Extend(axis, _, fill):
                return layer_rules.keeps_extended(constraint, rank, axis, fill == "zeros")
            case ExtendTwice(first, second):
                return is_kept(constraint, first, rank) and is_kept(constraint, second, rank)
            case Take(kept):
                return all(layer_rules.keeps_cut(constraint, rank, axis) for axis, _ in kept)
            case Fold() | Separate():
                return False
        return True

    for (name, variable), recipe in transfer.recipes.items():
        constraint = layer_rules.constraint_on(child[name].config, variable) if name in child else None
        if constraint is not None and not is_kept(constraint, recipe, len(child[name].variables[variable])):
            return f"the constraint on {name}/{variable} would undo it at the first step"
    return ""


def why_too_wide(propagation: ChannelPropagation, limit: float) -> str:
    """Which image a propagation makes wider than a limit, in words; "" for none."""
    for name in propagation.places:
        if len(propagation.architecture[name].shape) == 3 and (channels := propagation.channels(name)) > limit:
            return f"{name} would have {channels} channels, over the limit of {limit:,.0f}"
    return ""


def plain_site(parts: Iterable[Any]) -> Site:
    """A site as plain data: whole numbers of other kinds, as NumPy's, become `int`; what is wrong stays to be refused."""
    return tuple(int(part) if isinstance(part, Integral) and not isinstance(part, bool) else part for part in parts)  # type: ignore[misc]


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number; True is not."""
    return isinstance(value, int) and not isinstance(value, bool)
