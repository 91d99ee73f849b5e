"""Ray reads some of the environment when it is imported, the rest when a cluster is joined."""

import contextlib
import importlib
import os
from unittest import mock

import pytest

from tests.helpers.ray_nodes import ENVIRONMENT

with mock.patch.dict(os.environ, ENVIRONMENT), contextlib.suppress(ImportError):
    importlib.import_module("ray")


@pytest.fixture
def on_loopback(monkeypatch):
    """This process can join the clusters of `tests.helpers.ray_nodes`."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
