"""All kinds of data source. To add one: a file with a `Kind`, and a line here. The first match is taken."""

from pathlib import Path

from nash_tf.data import digits, folders, idx, keras_sets, npz, tables
from nash_tf.data.source import DataError, Kind

NAMED: tuple[Kind, ...] = (digits.KIND, *keras_sets.KINDS)
KINDS: tuple[Kind, ...] = (
    *NAMED,
    npz.KIND,
    idx.KIND,
    tables.KIND,
    folders.KIND,
)
WORDS = (
    ", ".join(kind.words for kind in NAMED)
    + ", or a path: "
    + "; ".join(kind.words for kind in KINDS if kind not in NAMED)
)


def shadowed(source: str) -> tuple[str, ...]:
    """A note where a source is a known name and a folder is called so too."""
    if not Path(source).is_dir() or find(source) not in NAMED:
        return ()
    return (f"{source} is the known data set; a folder of this name is there too: ./{source} names it",)


def find(source: str) -> Kind:
    """The kind of a source.

    Raises:
        DataError: neither a known name nor a path of a known kind.
    """
    for kind in KINDS:
        if kind.matches(source):
            return kind
    if Path(source).exists():
        raise DataError(f"{source}: expected {WORDS}; got a file of another kind; archives must be unpacked first")
    raise DataError(f"{source!r}: expected {WORDS}; got neither such a name nor an existing path")
