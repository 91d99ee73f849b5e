"""What holds for all tests: one thread for each process, so that two of them can share two cores and numbers stay."""

import fcntl
import os

import pytest

from nash_tf import export_formats
from tests.helpers.commands import place, search  # noqa: F401  fixtures
from tests.helpers.processes import finish, start

# Read when TensorFlow first computes; processes that tests start inherit them.
for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(name, "1")


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """A run that was never interrupted, exported in every format, and what it printed; one for all workers of pytest-xdist."""
    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    directory, printed = root / "whole-run", root / "whole-run.txt"
    with open(root / "whole-run.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not printed.exists():
            printed.write_text(finish(start(directory, f"--export={','.join(export_formats.installed())}")))
    return directory, printed.read_text()
