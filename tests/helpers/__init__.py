"""What several test files share."""

import time
from pathlib import Path

ROOT = Path(__file__).parents[2]


def wait_for(condition, seconds=120):
    """What `condition` gives, as soon as that is true."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return found
