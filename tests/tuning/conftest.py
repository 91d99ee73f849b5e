"""What the tests of searches share."""

import os

import pytest

from tests.helpers.stand_in import begin, finish


@pytest.fixture(scope="session")
def expected(tmp_path_factory):
    """The lineage that every search of the stand-in trainer comes to."""
    return finish(begin(tmp_path_factory.mktemp("alone"))[0])


@pytest.fixture(autouse=True)
def without_fsync(monkeypatch):
    """Processes die in these tests, the machine does not: nothing need reach the disk."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
