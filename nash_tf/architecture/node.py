"""One layer of a network as immutable data."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from nash_tf.architecture import layer_rules
from nash_tf.architecture.json_values import names_of, part, shape_of
from nash_tf.architecture.layer_rules import Shape

_OLD_OPERATION = re.compile(r"^keras\.src\.(ops|activations|quantizers)\.\w+>")  # how nash_tf 0.1 wrote operations


@dataclass(frozen=True)
class Node:
    """One layer of an architecture.

    Attributes:
        name: unique in the architecture; no morphism changes it.
        kind: class name of the Keras layer, or its registered name ("package>Class").
        config: the entries of the layer's `get_config()` that differ from its defaults, as JSON values. If the layer is
            called on anything but one tensor or a list of tensors, `layer_rules.CALL` holds the arguments of the call.
        inputs: names of the nodes whose outputs the layer takes, in order.
        shape: shape of the output without the batch axis; None for an axis of any length.
        weights: shapes of the trained variables by name.
        statistics: shapes of the other variables (moving averages) by name.
    """

    name: str
    kind: str
    config: Mapping[str, Any]
    inputs: tuple[str, ...]
    shape: Shape
    weights: Mapping[str, Shape] = field(default_factory=dict)
    statistics: Mapping[str, Shape] = field(default_factory=dict)

    @property
    def channels(self) -> int | None:
        """Size of the last axis of the output; None where it is open, or the output is one number for each example."""
        return self.shape[-1] if self.shape else None

    @property
    def rank(self) -> int:
        """Number of axes of the output, including the batch axis."""
        return 1 + len(self.shape)

    @cached_property
    def rule(self) -> layer_rules.LayerRule | None:
        """The rule that holds for this layer with its config; None where there is none."""
        return layer_rules.rule_of(self.kind, self.config, self.rank)

    @property
    def why_unruled(self) -> str:
        """Why no rule holds, in words; "" where one does."""
        return layer_rules.why_unruled(self.kind, self.config, self.rank)

    @cached_property
    def why_stopped(self) -> str:
        """Why it cannot take new channels of its input, in words; "" where it can."""
        return layer_rules.why_stopped(self.kind, self.config, self.rank)

    @cached_property
    def why_not_widened(self) -> str:
        """Why it cannot be given more filters or units, in words; "" where it can."""
        return layer_rules.why_not_widened(self.kind, self.config, self.rank)

    @property
    def flow(self) -> layer_rules.ChannelFlow:
        """What it does with new channels of its input."""
        return layer_rules.ChannelFlow.STOPPED if self.why_stopped or self.rule is None else self.rule.channels

    @property
    def variables(self) -> dict[str, Shape]:
        """Shapes of all variables by name, trained or not."""
        return {**self.weights, **self.statistics}

    @cached_property
    def params(self) -> int:
        """Number of parameters, frozen or not, without moving averages."""
        return sum(math.prod(shape) for shape in self.weights.values())  # type: ignore[arg-type, misc]

    @cached_property
    def is_counted_by_inputs(self) -> bool:
        """Whether its operations depend on the shapes of its inputs, as those of attention do."""
        return layer_rules.multiplies_by_inputs(self.kind, self.config)

    @cached_property
    def flops(self) -> int | None:
        """Floating-point operations for one image of a layer that is not counted by its inputs; see `flops_on`."""
        return self.flops_on(())

    def flops_on(self, inputs: Sequence[Shape]) -> int | None:
        """Floating-point operations for one image; see `nash_tf.architecture.costs.flops`. None where a size is open.

        Args:
            inputs: shapes of the inputs, without the batch axis.
        """
        sizes = [(*product.shape, *product.positions) for product in self.products(inputs)]
        return None if any(None in each for each in sizes) else 2 * sum(map(math.prod, sizes))  # type: ignore[arg-type]

    def products(self, inputs: Sequence[Shape]) -> list[layer_rules.Product]:
        """What the layer multiplies; arguments as of `flops_on`."""
        return layer_rules.products(self.kind, self.config, self.weights, inputs, self.shape)

    def rewired(self, before: str, now: str) -> "Node":
        """The node with another input wherever it takes the output of one; itself where it does not."""
        if before not in self.inputs:
            return self
        return replace(self, inputs=tuple(now if name == before else name for name in self.inputs))

    def check(self, inputs: list[Shape]) -> None:
        """Checks that shape and variables follow from the config and the inputs.

        Args:
            inputs: shapes of the inputs, without the batch axis.

        Raises:
            ValueError: they do not; the message names the node.
        """
        stated = layer_rules.Inferred(self.shape, dict(self.weights), dict(self.statistics))
        try:
            inferred = layer_rules.infer(self.kind, self.config, inputs)
        except (ArithmeticError, LookupError, TypeError) as error:
            raise ValueError(
                f"node {self.name!r} ({self.kind}) has a config that does not fit its kind: {error!r}"
            ) from error
        if inferred is not None and inferred != stated:
            raise ValueError(f"node {self.name!r} ({self.kind}) states {stated}; expected {inferred} from its inputs")

    def to_plain(self) -> dict[str, Any]:
        """The node as JSON values."""
        plain: dict[str, Any] = {
            "name": self.name,
            "kind": self.kind,
            "inputs": list(self.inputs),
            "shape": list(self.shape),
        }
        for key in ("config", "weights", "statistics"):
            if getattr(self, key):
                plain[key] = dict(getattr(self, key))
        return plain

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Node":
        """The inverse of `to_plain`.

        Raises:
            ValueError: `plain` does not describe a node; the message names the part that is missing or wrong.
        """
        name = part(plain, "name", str)
        where = f"node {name!r}: "

        def shapes(key: str) -> dict[str, Shape]:
            stated = part(plain, key, Mapping, where, {})
            return {name: shape_of(shape, f"{where}{key} {name!r}") for name, shape in stated.items()}

        return cls(
            name=name,
            kind=_OLD_OPERATION.sub("keras.ops>", part(plain, "kind", str, where)),
            config=part(plain, "config", Mapping, where, {}),
            inputs=names_of(plain, "inputs", where),
            shape=shape_of(plain.get("shape"), f"{where}shape", or_open=True),
            weights=shapes("weights"),
            statistics=shapes("statistics"),
        )
