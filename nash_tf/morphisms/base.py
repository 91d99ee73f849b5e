"""The contract of a morphism, and the checks that hold every operator to it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import NamedTuple

from nash_tf.architecture import Architecture, layer_rules
from nash_tf.morphisms.channels import CannotFollow, Followed
from nash_tf.morphisms.edit import Both, Copy, Edit, Extend, Fresh, Recipe

Site = tuple[str | int, ...]

KERNEL_SIZES = (3, 5)
CHANNEL_FACTORS = (2, 4)
MAX_CHANNELS = 600


class Move(NamedTuple):
    """A morphism as plain data: replayable from the parent."""

    operator: str
    site: Site
    seed: int


class Morphism(ABC):
    """A function-preserving operator: child(x) = parent(x) for every x at the moment of birth.

    A subclass says where it may apply (`candidates`), what it requires of a site (`requires`), and what it does
    (`_apply`). It ensures: every node of the parent is still there under its name, the outputs have kept their shapes, and
    the edit says where each new or altered variable comes from. `apply` checks both.

    Where a constraint on a weight would undo the edit at the first step (see `nash_tf.architecture.layer_rules.constraints`), `sites` leaves the
    place out, whatever the operator.
    """

    name: str

    @abstractmethod
    def candidates(self, architecture: Architecture) -> Iterator[Site]:
        """Places to consider, in canonical order."""

    @abstractmethod
    def requires(self, architecture: Architecture, site: Site) -> bool:
        """Whether the operator is exact at `site`. Pure; false, not an error, for a site that makes no sense."""

    @abstractmethod
    def _apply(self, architecture: Architecture, site: Site) -> tuple[Architecture, Edit]:
        """The child and its edit, `requires` being true."""

    def sites(self, architecture: Architecture) -> list[Site]:
        """Every place where the operator applies, in canonical order; the architecture is left as it is."""
        found = self._exact_sites(architecture)
        if not any(layer_rules.is_constrained(node.config) for node in architecture.nodes):
            return found
        return [site for site in found if not _undone(*self._apply(architecture, site))]

    def _exact_sites(self, architecture: Architecture) -> list[Site]:
        """`sites`, constraints left aside."""
        return [site for site in self.candidates(architecture) if self.requires(architecture, site)]

    def apply(self, architecture: Architecture, site: Site) -> tuple[Architecture, Edit]:
        """The child at `site`, and how its variables come from the parent's.

        Raises:
            ValueError: `site` is not one of `sites(architecture)`.
        """
        try:
            holds = self.requires(architecture, site)
        except (TypeError, ValueError):  # of the wrong length or types
            holds = False
        if not holds:
            raise ValueError(
                f"{self.name}: {site!r} is not a site of this architecture; expected one of sites(architecture)"
            )
        child, edit = self._apply(architecture, site)
        undone = _undone(child, edit)
        if undone:
            raise ValueError(f"{self.name}: {site!r} is not a site of this architecture; {undone}")
        self._check(architecture, child, edit)
        return child, edit

    def _check(self, parent: Architecture, child: Architecture, edit: Edit) -> None:
        missing = [node.name for node in parent.nodes if node.name not in child]
        if missing or [child[name].shape for name in child.outputs] != [parent[name].shape for name in parent.outputs]:
            raise AssertionError(
                f"{self.name} broke its contract: nodes {missing} are gone or an output changed its shape"
            )
        for node in child.nodes:
            before = parent[node.name].variables if node.name in parent else {}
            for variable, shape in node.variables.items():
                recipe = edit.recipes.get((node.name, variable))
                if recipe is None and before.get(variable) != shape:
                    raise AssertionError(f"{self.name} broke its contract: no recipe for {node.name}/{variable}")
                if isinstance(recipe, Fresh) and tuple(recipe.shape) != tuple(shape):
                    raise AssertionError(f"{self.name} broke its contract: wrong shape for {node.name}/{variable}")
                if isinstance(recipe, Copy) and parent[recipe.source[0]].variables[recipe.source[1]] != shape:
                    raise AssertionError(f"{self.name} broke its contract: wrong copy for {node.name}/{variable}")


def _undone(child: Architecture, edit: Edit) -> str:
    """Which constraint would undo an edit, "" for none. New variables are left to the operator that makes them."""

    def keeps(constraint, recipe: Recipe, rank: int) -> bool:
        match recipe:
            case Copy(_, factor, _):
                return layer_rules.keeps_scaled(constraint, factor)
            case Extend(axis, _, fill):
                return layer_rules.keeps_extended(constraint, rank, axis, fill == "zeros")
            case Both(first, second):
                return keeps(constraint, first, rank) and keeps(constraint, second, rank)
        return True

    for (name, variable), recipe in edit.recipes.items():
        constraint = layer_rules.constraint_on(child[name].config, variable) if name in child else None
        if constraint is not None and not keeps(constraint, recipe, len(child[name].variables[variable])):
            return f"the constraint on {name}/{variable} would undo it at the first step"
    return ""


def channel_limit(architecture: Architecture) -> int:
    """The most channels that an operator gives an image: the method's, or as many as some image has already."""
    return max(MAX_CHANNELS, architecture.widest)


def follow_within_limit(architecture: Architecture, follow: Callable[[], Followed]) -> Followed | None:
    """What new channels change, or None where they cannot be followed to their ends within the limit."""
    try:
        followed = follow()
    except CannotFollow:
        return None
    limit = channel_limit(architecture)
    wide = [node for node in followed.changed.values() if len(node.shape) == 3 and node.shape[-1] > limit]
    return None if wide else followed
