"""What holds for all tests: one thread for each process, so that two of them can share two cores and numbers stay."""

import fcntl
import gc
import os

import pytest

from tests.helpers.commands import place, search  # noqa: F401  fixtures
from tests.helpers.processes import FINAL, FORMATS, PROGRAM, finish, start

# Read when TensorFlow first computes; processes that tests start inherit them.
for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(name, "1")

# The collector of cycles would look at the libraries' objects, and at those of the tests, again and again.
gc.disable()

LONG = ("test_experiment.py", "test_search.py", "test_processes.py", "test_on_ray.py", "test_benchmark.py")


def pytest_collection_modifyitems(items):
    """Long tests first: of the two processes none waits at the end for the other's last."""
    items.sort(key=lambda item: item.path.name not in LONG)


def pytest_collection_finish():
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """A run that was never interrupted, exported in `FORMATS`, and what it printed; one for all workers of pytest-xdist.

    Its final training is long enough to be interrupted by others.
    """
    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    directory, printed = root / "whole-run", root / "whole-run.txt"
    with open(root / "whole-run.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not printed.exists():
            printed.write_text(finish(start(directory, FINAL, f"--export={','.join(FORMATS)}", module=PROGRAM)))
    return directory, printed.read_text()
