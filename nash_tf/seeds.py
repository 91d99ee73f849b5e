"""One seed for each random draw, from (seed, step, child, purpose): nothing depends on timing or order."""

import hashlib


def derive(seed: int, *path: int | str) -> int:
    """A 31-bit seed for the draw that `path` names, e.g. `derive(seed, step, child, "morphisms")`."""
    text = "/".join(str(part) for part in (seed, *path))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
