"""How long the export of a run takes, and what is left out of it where time is short. In seconds of wall-clock time."""

from collections.abc import Sequence

# Of the export: what it takes for each second that loading the libraries took, by itself and for each format (together 6.4 on two
# idle cores with all formats, and a third more here), and the seconds within which single images are timed.
EXPORT_LOADINGS, FORMAT_LOADINGS, FORMAT_SECONDS = 3.5, 1.0, 2.0
# Seconds, and share of the limit: files that are read first take longer then only.
LEAST_LOADING, MOST_LOADING = 2.5, 0.02
SCORING, SCORING_SHARE = 60.0, 0.01  # seconds for a format's test, and share of a limit for it at most


def scoring_seconds(max_hours: float | None) -> float:
    """About how long the test of an exported format may take."""
    return SCORING if max_hours is None else min(SCORING, max(1.0, SCORING_SHARE * max_hours * 3600))


def export_seconds(loading: float, formats: int, max_hours: float | None) -> float:
    """What the export takes, rather more than less.

    Args:
        loading: seconds that the program took to load its libraries, which each format's check does again.
        formats: their number.
        max_hours: limit on the whole run.
    """
    if max_hours is None:
        return max(loading, LEAST_LOADING) * (EXPORT_LOADINGS + FORMAT_LOADINGS * formats)
    most = max(LEAST_LOADING, MOST_LOADING * max_hours * 3600)
    unit = min(max(loading, LEAST_LOADING), most)
    return (
        unit * (EXPORT_LOADINGS + FORMAT_LOADINGS * formats) + FORMAT_SECONDS * formats + 2 * scoring_seconds(max_hours)
    )


def dropped(formats: Sequence[str], always: Sequence[str], expected: float, seconds_left: float) -> tuple[str, ...]:
    """The formats for which no time is left: those that may be left out, where less than half of the expected time is."""
    return tuple(name for name in formats if name not in always) if seconds_left < expected / 2 else ()
