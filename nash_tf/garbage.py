"""Python's search for garbage, put off while TensorFlow is imported, and while networks are read and built."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def without_collecting() -> Iterator[None]:
    """Context in which Python does not search for garbage, where it does else.

    A network is some hundred thousand objects that stay. A search through all objects of a process that has loaded TensorFlow takes half
    as long as to build it, and the more objects are made the more often it comes.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
