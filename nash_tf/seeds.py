"""Seeds of random draws that depend on what is drawn, not on the order of draws or on timing."""

import contextlib
import hashlib
import random
from collections.abc import Iterator

import numpy as np


def derive(seed: int, *path: int | str) -> int:
    """A seed for one random draw.

    Args:
        seed: seed of the whole search.
        path: what is drawn, e.g. step, child and "morphisms".

    Returns:
        A whole number of 31 bits; equal arguments give equal seeds.
    """
    text = "/".join(str(part) for part in (seed, *path))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


@contextlib.contextmanager
def drawing_apart(seed: int | None = None) -> Iterator[None]:
    """Context after which the generators of Python and NumPy go on as if nothing had been drawn within.

    Args:
        seed: of what is drawn within; None lets the generators go on there.
    """
    states = random.getstate(), np.random.get_state()
    try:
        if seed is not None:
            random.seed(seed)
            np.random.seed(seed)
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
