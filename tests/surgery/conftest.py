"""Trained models to morph."""

import keras
import pytest

from tests.helpers.parents import trained


@pytest.fixture(scope="module")
def parent():
    return trained()


@pytest.fixture(scope="module")
def adam():
    return trained(optimizer=keras.optimizers.Adam(0.01))
