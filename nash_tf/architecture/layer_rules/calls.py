"""Calls of layers on more than one tensor or a list of tensors, of which rules know what they mean."""

from nash_tf.architecture.layer_rules.rule import CALL, CLOSED, Config


def is_masked(config: Config) -> bool:
    """A usual call, or one on a tensor and its mask."""
    call = config.get(CALL)
    return call is None or (
        CLOSED not in call and call["args"] == [_input(0)] and call["kwargs"] in ({}, {"mask": _input(1)})
    )


def is_attention(config: Config) -> bool:
    """A call of `MultiHeadAttention` on query, value and perhaps key, along the one axis of steps, without masks."""
    call = config.get(CALL)
    return (
        call is not None
        and CLOSED not in call
        and call["args"] in ([_input(0), _input(1)], [_input(0), _input(1), _input(2)])
        and call["kwargs"].keys() <= {"use_causal_mask"}
        and config.get("attention_axes") in (None, [1])
        and not config.get("use_gate", False)
    )


def _input(number: int) -> dict[str, int]:
    return {"__input__": number}
