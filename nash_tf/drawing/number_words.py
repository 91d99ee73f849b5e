"""Numbers as people read them."""

NONE = "–"
MINUS = "\N{MINUS SIGN}"


def percent(share: float | None, digits: int = 2) -> str:
    """0.9583 -> "95.83"."""
    return NONE if share is None else f"{100 * share:.{digits}f}"


def points(difference: float | None) -> str:
    """A difference of shares in percentage points, with its sign."""
    return NONE if difference is None else f"{100 * difference + 0.0:+.2f}".replace("-0.00", "+0.00").replace("-", "−")


def count(number: float | None) -> str:
    """24058 -> "24,058"."""
    return NONE if number is None else f"{number:,.0f}"


def signed(number: int) -> str:
    """-24058 -> "−24,058", 300 -> "+300"."""
    return f"{number:+,}".replace("-", MINUS)


def short(number: float | None) -> str:
    """24058 -> "24.1k"."""
    if number is None:
        return NONE
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= 0.9995 * size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.3g}"


def signed_short(number: float) -> str:
    """-24058 -> "−24.1k", 300 -> "+300"."""
    return f"{'+' if number >= 0 else MINUS}{short(abs(number))}"


def duration(seconds: float | None) -> str:
    """3725 -> "1 h 02 min"."""
    if seconds is None:
        return NONE
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{seconds / 60:.1f} min" if seconds < 600 else f"{minutes} min" if minutes < 60 else _hours(minutes)


def _hours(minutes: int) -> str:
    return f"{minutes // 60} h {minutes % 60:02d} min"


def scientific(number: float) -> str:
    """Three digits, in scientific notation where that is shorter."""
    words = f"{abs(number):.3g}"
    return f"{MINUS}{words}" if number < 0 else words


def decrease(loss: float) -> str:
    """A decrease of the loss: 0.01234 -> "0.0123"."""
    if 0 < abs(loss) < 0.0001:
        return "< 0.0001" if loss > 0 else f"> {MINUS}0.0001"
    return f"{loss + 0.0:.4f}".replace("-", MINUS)


def plural(number: int, one: str, many: str | None = None) -> str:
    """1 child, 2 children."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
