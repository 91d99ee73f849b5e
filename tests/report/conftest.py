"""Synthetic runs, made once, and a limit on time."""

import signal
from pathlib import Path

import pytest

from nash_tf.strategy.records import TrainingKey
from tests.helpers.synthetic_runs import add_test, make_run


@pytest.fixture(scope="session")
def big(tmp_path_factory) -> Path:
    """Five steps of eight children, a failed one among them, and its report."""
    return make_run(tmp_path_factory.mktemp("big") / "run", failed=(TrainingKey(2, 0, 3),))


@pytest.fixture(scope="session")
def small(tmp_path_factory) -> Path:
    """One step of eight children, with a test in detail."""
    run = make_run(tmp_path_factory.mktemp("small") / "run", "nash", steps=1)
    return add_test(run, ["ant", "bee", "cow"], [80, 15, 5], [0.95, 0.8, 0.4])


@pytest.fixture(scope="session")
def many(tmp_path_factory) -> Path:
    """Four methods, three seeds, and one unfinished run."""
    root = tmp_path_factory.mktemp("many")
    for method in ("nash", "sh", "shr", "shrsep"):
        for seed in range(3):
            make_run(root / f"{method}-{seed}", method, steps=2, seed=seed)
    make_run(root / "shr-9", "shr", steps=2, seed=9, stop_after=14)
    return root


@pytest.fixture
def in_time():
    """Ends a test that hangs after half a minute, also in a call to the system."""

    class Late(BaseException):
        """No `except Exception` takes it for a fault of a file."""

    def late(*_):
        raise Late

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, 30)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
