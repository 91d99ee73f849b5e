"""How another process of this program is begun."""

import sys
from pathlib import Path

import nash_tf


def command(module: str = "nash_tf.main") -> list[str]:
    """What runs a module of this package in a process of its own, without arguments.

    `-m` alone searches the working directory first: there a folder that is only called nash_tf, as one that holds a checkout may be, or a
    module of the user's with the name of one of ours would be taken for it. It must be searched only where the package lies in it.
    """
    lies_here = Path(nash_tf.__file__).resolve().parents[1] == Path.cwd()
    return [sys.executable, *([] if lies_here else ["-P"]), "-m", module]
