"""How far each position of a layer's output looks behind and ahead along each axis of the network's inputs, such as time.

What is not known counts as looking everywhere: then a network is taken for one that looks ahead.
"""

import math
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import reduce
from typing import Any, NamedTuple

from nash_tf.architecture.layer_rules import CALL
from nash_tf.architecture.layer_rules.shapes import sizes
from nash_tf.architecture.node import Node, Shape


class Reach(NamedTuple):
    """What position p of an axis depends on: positions step * p + low to step * p + high of an axis of the inputs."""

    low: float
    high: float
    step: Fraction = Fraction(1)
    axis: int = 0  # of the inputs

    def joined(self, other: "Reach") -> "Reach":
        """What depends on what two depend on."""
        if (self.step, self.axis) != (other.step, other.axis):
            return EVERYWHERE
        return self._replace(low=min(self.low, other.low), high=max(self.high, other.high))

    def moved(self, first: float, last: float, stride: int = 1) -> "Reach":
        """What position p depends on that reads positions stride * p + first to stride * p + last of an axis with this reach."""
        step = float(self.step)
        return Reach(self.low + first * step, self.high + last * step, self.step * stride, self.axis)

    def repeated(self, times: int) -> "Reach":
        """What position p depends on that is position p // times of an axis with this reach."""
        step = self.step / times
        return Reach(self.low - float(self.step - step), self.high, step, self.axis)

    @property
    def is_causal(self) -> bool:
        """Whether it looks behind, and not ahead."""
        return self.low < 0 and self.high <= 0


EVERYWHERE = Reach(-math.inf, math.inf)
Reaches = tuple[Reach, ...]  # of each axis, without that of the batch

_WINDOW = re.compile(r"(nash_tf>Identity)?(Separable|Depthwise)?Conv\dD|(Max|Average)Pooling\dD")
_STEPS = ("SimpleRNN", "GRU", "LSTM", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
_ATTENTION = ("MultiHeadAttention", "GroupQueryAttention", "Attention", "AdditiveAttention")
# Position p depends on other ones too.
_ELSEWHERE = re.compile(r"GroupNormalization|Bidirectional|Conv\dDTranspose|UpSampling\dD")


def reaches(nodes: Sequence[Node]) -> dict[str, Reaches]:
    """By each node's name the reach of its output along each axis. The channels of most count as looking everywhere."""
    found: dict[str, Reaches] = {}
    shapes = {node.name: node.shape for node in nodes}
    for node in nodes:
        known = _reaches(node, [found[name] for name in node.inputs], [shapes[name] for name in node.inputs])
        found[node.name] = (*known, *[EVERYWHERE] * len(node.shape))[: len(node.shape)]
    return found


def _reaches(node: Node, inputs: Sequence[Reaches], shapes: Sequence[Shape]) -> Sequence[Reach]:
    """The reaches along the first axes; those that are left out look everywhere."""
    kind, config = node.kind, node.config
    if not inputs:
        return [Reach(0, 0, axis=axis) for axis in range(len(node.shape))]
    if config.get("data_format") == "channels_first":
        return []
    if kind in _ATTENTION:
        return _attended(config, inputs)
    if len(inputs) == 1:
        (own,), (shape,) = inputs, shapes
        if _WINDOW.fullmatch(kind):
            return [reach.moved(*seen) for reach, seen in zip(own, _windows(config, shape), strict=False)]
        if kind in _STEPS and config.get("return_sequences") and not config.get("go_backwards") and CALL not in config:
            return [own[0]._replace(low=-math.inf)]
        if (fronts := _fronts(kind, config, shape)) is not None:
            return [reach.moved(front, front) for reach, front in zip(own, fronts, strict=False)]
        if kind.startswith("UpSampling") and config.get("interpolation", "nearest") == "nearest":
            factors = sizes(config.get("size", 2), len(shape) - 1)
            return [reach.repeated(factor) for reach, factor in zip(own, factors, strict=False)]
        if kind == "Permute":
            return [own[axis - 1] for axis in config["dims"]]
        if kind == "TimeDistributed":
            return own[:1]
        if kind in ("Reshape", "Embedding"):
            return own[: _kept(shape, node.shape if kind == "Reshape" else node.shape[:-1])]
    is_by_position = node.rule is not None and not _ELSEWHERE.fullmatch(kind) and kind not in _STEPS
    if is_by_position and all(shape[:-1] == node.shape[:-1] and len(shape) == len(node.shape) for shape in shapes):
        return [reduce(Reach.joined, each) for each in zip(*(own[:-1] for own in inputs), strict=True)]
    return []


def _windows(config: Mapping[str, Any], shape: Shape) -> list[tuple[int, int, int]]:
    """By axis the first and the last position that position 0 of a convolution or pool reads, and the stride."""
    axes = len(shape) - 1
    size = config.get("kernel_size", config.get("pool_size", 2))
    strides = config.get("strides") or (1 if "kernel_size" in config else size)
    windows = []
    for side, width, stride, rate in zip(
        shape[:-1], *(sizes(each, axes) for each in (size, strides, config.get("dilation_rate", 1))), strict=True
    ):
        last, front = (width - 1) * rate, 0
        if config.get("padding") == "causal":
            front = last
        elif config.get("padding") == "same":
            over = stride if side is None else side - (math.ceil(side / stride) - 1) * stride
            front = max(last + 1 - over, 0) // 2
        windows.append((-front, last - front, stride))
    return windows


def _fronts(kind: str, config: Mapping[str, Any], shape: Shape) -> list[int] | None:
    """By axis which position of its input position 0 of a padding, a cropping or a slice reads; None of another layer."""
    if match := re.fullmatch(r"(ZeroPadding|Cropping)\dD", kind):
        sides = config.get("padding" if match[1] == "ZeroPadding" else "cropping", 1)
        sides = [sides] if match[0].endswith("1D") and not isinstance(sides, int) else sizes(sides, len(shape) - 1)
        fronts = [side if isinstance(side, int) else side[0] for side in sides]
        return fronts if match[1] == "Cropping" else [-front for front in fronts]
    if kind == "keras.ops>Pad" and config.get("mode", "constant") == "constant" and CALL not in config:
        widths = config.get("pad_width")
        return [-each[0] for each in widths[1:]] if isinstance(widths, list) and isinstance(widths[0], list) else None
    if kind == "keras.ops>GetItem":
        return _sliced(config, shape)
    return None


def _sliced(config: Mapping[str, Any], shape: Shape) -> list[int] | None:
    """`_fronts` of a slice; None where it takes more than a stretch of each axis."""
    _, *keys = config.get(CALL, {}).get("args", [None])
    whole, *slices = keys[0] if keys and isinstance(keys[0], list) else [None]
    starts = []
    for key, side in zip([whole, *slices], (None, *shape), strict=False):
        bounds = key.get("config", {}) if isinstance(key, Mapping) and key.get("class_name") == "__slice__" else None
        if bounds is None or bounds.get("step") not in (None, 1):
            return None
        start = bounds.get("start") or 0
        if not isinstance(start, int) or (start < 0 and side is None):
            return None
        starts.append(start if start >= 0 else max(start + side, 0))  # type: ignore[operator]
    return [*starts[1:], *[0] * (len(shape) - len(starts) + 1)]


def _attended(config: Mapping[str, Any], inputs: Sequence[Reaches]) -> list[Reach]:
    """The reach of an attention along the one axis of its steps."""
    given = config.get(CALL, {}).get("kwargs", {})
    if any(len(own) != 2 for own in inputs) or not (
        given.get("use_causal_mask") is True or _hides_later(given.get("attention_mask"))
    ):
        return []
    return [reduce(Reach.joined, (own[0] for own in inputs))._replace(low=-math.inf)]


def _hides_later(mask: Any) -> bool:
    """Whether a constant mask, of shape [..., queries, keys], hides all keys behind each query."""
    if not isinstance(mask, Mapping) or mask.get("class_name") != "__numpy__":
        return False

    def is_lower(value: Any) -> bool:
        if isinstance(value[0][0], list):
            return all(map(is_lower, value))
        return not any(any(row[1 + query :]) for query, row in enumerate(value))

    try:
        return is_lower(mask["config"]["value"])
    except (LookupError, TypeError):
        return False


def _kept(before: Shape, after: Shape) -> int:
    """How many of the first axes a reshaping leaves as they are."""
    for axes in range(min(len(before), len(after)), 0, -1):
        one, two = before[axes:], after[axes:]
        if before[:axes] == after[:axes] and None not in (*one, *two) and math.prod(one) == math.prod(two):  # type: ignore[arg-type]
            return axes
    return 0
