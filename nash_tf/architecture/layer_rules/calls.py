"""Calls of layers on more than one tensor or a list of tensors, of which rules know what they mean."""

from collections.abc import Mapping
from typing import Any

from nash_tf.architecture.layer_rules.rule import CALL, CLOSED, Config

INPUT = "__input__"  # {INPUT: n} stands for the n-th input tensor in the encoded arguments of a call


def is_masked(config: Config) -> bool:
    """A usual call, or one on a tensor and its mask."""
    call = config.get(CALL)
    return call is None or (
        CLOSED not in call and call["args"] == [_input(0)] and call["kwargs"] in ({}, {"mask": _input(1)})
    )


_ROLES = ("query", "value", "key")  # of the first arguments of `MultiHeadAttention`


def is_attention(config: Config) -> bool:
    """A call of `MultiHeadAttention` on query, value and perhaps key, along the one axis of steps, perhaps with a mask."""
    call = config.get(CALL)
    if call is None or CLOSED in call or len(call["args"]) > len(_ROLES):
        return False
    return (
        has_attended(config)
        and call["kwargs"].keys() <= {"value", "key", "attention_mask", "use_causal_mask"}
        and config.get("attention_axes") in (None, [1])
        and not config.get("use_gate", False)
    )


def has_attended(config: Config) -> bool:
    """Whether an attention layer is called on tensors as query, value and perhaps key."""
    given = _attended(config) if CALL in config else {}
    return given.keys() >= {"query", "value"} and all(
        isinstance(each, Mapping) and each.keys() == {INPUT} for each in given.values()
    )


def attended(config: Config) -> tuple[int, int, int]:
    """Of such a call the numbers of the inputs that are query, key and value."""
    given = _attended(config)
    query, key, value = (given.get(role, given["value"])[INPUT] for role in ("query", "key", "value"))
    return query, key, value


def _attended(config: Config) -> dict[str, Any]:
    """By its role what is attended: arguments as they are encoded."""
    args, kwargs = config[CALL]["args"], config[CALL]["kwargs"]
    return {**dict(zip(_ROLES, args, strict=False)), **{role: kwargs[role] for role in _ROLES if role in kwargs}}


def _input(number: int) -> dict[str, int]:
    return {INPUT: number}
