"""Garbage is not searched for while networks are read and built, and after that as before."""

import gc

import keras
import pytest

from nash_tf.architecture import Architecture
from nash_tf.architecture.vanilla import vanilla
from nash_tf.garbage import without_collecting
from nash_tf.keras_models import building, importing


def test_none_while_a_network_is_read_or_built(monkeypatch):
    states = []

    def noted(function):
        def call(*args, **kwargs):
            states.append(gc.isenabled())
            return function(*args, **kwargs)

        return call

    monkeypatch.setattr(building, "_tensors", noted(building._tensors))
    monkeypatch.setattr(importing, "calls_of", noted(importing.calls_of))
    Architecture.from_keras(vanilla((8, 8, 3), 2, (4, 8)).to_keras())
    assert states == [False, False] and gc.isenabled()


@pytest.mark.parametrize("is_enabled", [True, False])
def test_afterwards_as_before_also_on_errors(is_enabled):
    try:
        (gc.enable if is_enabled else gc.disable)()
        with pytest.raises(ZeroDivisionError), without_collecting():
            assert not gc.isenabled()
            _ = 1 / 0
        assert gc.isenabled() is is_enabled
        with pytest.raises(ValueError, match=r"expected a functional keras.Model"):
            Architecture.from_keras(keras.Model())
        assert gc.isenabled() is is_enabled
    finally:
        gc.enable()
