"""Fills: the initial values of new variables, by name."""

from collections.abc import Callable
from typing import Any

import numpy as np

from nash_tf.architecture.constants import BATCH_NORM_EPSILON


def filled(fill: str, shape: tuple[Any, ...], rng: np.random.Generator) -> np.ndarray:
    """A new array.

    Args:
        fill: a name in `FILLS`; a number after a colon is its last argument.
        shape: of the array.
        rng: for what is random.
    """
    name, _, argument = fill.partition(":")
    return FILLS[name](shape, rng, float(argument)) if argument else FILLS[name](shape, rng)


_PART = 1 << 15  # numbers that are drawn at once


def _normal(deviation: float, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """The numbers of `rng.normal`, drawn in less time, and not all at once."""
    numbers, drawn = np.empty(shape, np.float32), np.empty(_PART)
    flat = numbers.reshape(-1)
    for start in range(0, flat.size, _PART):
        part = flat[start : start + _PART]
        np.multiply(rng.standard_normal(out=drawn[: part.size]), deviation, out=part, casting="same_kind")
    return numbers


def _he_normal(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """He et al. 2015, arXiv 1502.01852, equation 10; the last axis is the output."""
    return _normal(np.sqrt(2.0 / np.prod(shape[:-1])), shape, rng)


def _he_normal_depthwise(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """The same for a depthwise kernel [..., channels, multiplier]: each filter reads one channel."""
    return _normal(np.sqrt(2.0 / np.prod(shape[:-2])), shape, rng)


def _he_normal_transposed(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """The same for the kernel of a transposed convolution [..., filters, input channels]."""
    return _normal(np.sqrt(2.0 / (np.prod(shape[:-2]) * shape[-1])), shape, rng)


def _dirac(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """A kernel [..., in, out] that is the identity."""
    kernel = np.zeros(shape, np.float32)
    kernel[tuple(side // 2 for side in shape[:-2])] = np.eye(*shape[-2:], dtype=np.float32)
    return kernel


def _depthwise_dirac(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """A depthwise kernel [..., channels, 1] that is the identity."""
    kernel = np.zeros(shape, np.float32)
    kernel[tuple(side // 2 for side in shape[:-2])] = 1.0
    return kernel


def _identity_gamma(
    shape: tuple[int, ...], rng: np.random.Generator, epsilon: float = BATCH_NORM_EPSILON
) -> np.ndarray:
    """sqrt(variance + epsilon) for variance 1: with beta and mean 0 the batch normalisation is the identity. In float64, of which a
    network in less takes the nearest."""
    return np.full(shape, np.sqrt(1.0 + epsilon))


# Initial values by name: (shape, random generator) -> array of float32, or of float64 where that would round.
FILLS: dict[str, Callable[..., np.ndarray]] = {
    "zeros": lambda shape, rng: np.zeros(shape, np.float32),
    "ones": lambda shape, rng: np.ones(shape, np.float32),
    "he_normal": _he_normal,
    "he_normal_depthwise": _he_normal_depthwise,
    "he_normal_transposed": _he_normal_transposed,
    "normal_by_inputs": lambda shape, rng: _normal(shape[0] ** -0.5, shape, rng),
    "embedding": lambda shape, rng: rng.uniform(-0.05, 0.05, shape).astype(np.float32),  # as Keras' Embedding
    "identity_gamma": _identity_gamma,
    "dirac": _dirac,
    "depthwise_dirac": _depthwise_dirac,
}
