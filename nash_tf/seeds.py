"""Seeds of random draws that depend on what is drawn, not on the order of draws or on timing."""

import hashlib


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
