"""An error as a line."""

import re
from itertools import dropwhile

LONGEST = 300  # letters
_COLOURS = re.compile(r"\x1b\[[\d;]*m")
_FRAME = re.compile(r'( {2,})(?:File ".*", line \d+|\[Previous line repeated )')
# Names of errors that say only that a training failed.
_FAILED = re.compile(r"^(keras_tuner|nash_tf)\.[\w.]*\.(FailedTrialError|FailedTraining): ")
_ARGUMENTS = "Arguments received by "  # of Keras' errors: a list, which tells what the error does not


def cause(error: object) -> str:
    """What went wrong: the whole error that a traceback ends with, for its first or last line alone may say nothing.

    Args:
        error: an exception, a traceback, or another text about an error. Of a long one there are the begin and the end.
    """
    lines = _COLOURS.sub("", str(error)).splitlines()
    frames = [(number, frame[1]) for number, line in enumerate(lines) if (frame := _FRAME.match(line))]
    if frames:
        last, indent = frames[-1]
        after = dropwhile(lambda line: line.startswith(f"{indent} "), lines[last + 1 :])  # code, deeper than its frame
        lines = list(after) or lines[-1:]
    line = _FAILED.sub("", " ".join(" ".join(lines).split(_ARGUMENTS)[0].split()), count=1)
    if not line:
        return "no reason given" if isinstance(error, str) else type(error).__name__
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 100]} ... {line[-95:]}"
