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
EXPECTED = (
    f"expected {', '.join(kind.name for kind in NAMED)}, or the path of an .npz file, "
    "a folder of class folders of images, a .csv file of path,label, a folder with such a metadata.csv, or a folder of IDX files"
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
        raise DataError(f"{source}: {EXPECTED}, got a file of another kind; archives must be unpacked first")
    raise DataError(f"{source!r}: {EXPECTED}, got neither such a name nor an existing path")
