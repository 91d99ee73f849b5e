"""The file of the model that a search starts from: whether it can be, and which one it was."""

import hashlib
from pathlib import Path

from nash_tf.config import refusal
from nash_tf.files.atomic import open_regular
from nash_tf.settings.baselines import SCRATCH

SUFFIXES = (".keras", ".json")


def check(path: str | None, method: str = "") -> None:
    """Checks that there is such a file, if one is asked for, or if a method needs one. It is not loaded.

    Raises:
        ConfigError: there is none, it cannot be read, or it is of another sort.
    """
    if path is None and method == SCRATCH:
        raise refusal("method", method, "needs a winner's architecture: --start=RUN/best/architecture.json")
    if path is None:
        return
    if not path.endswith(SUFFIXES):
        remedy = "must be a file that model.save('NAME.keras') writes, or an architecture.json; load the model and save it so"
        raise refusal("start", path, remedy)
    version(path)


def version(path: str) -> str:
    """Which file it is, by its content; a run that goes on must be given the same. The file may be reached by a link.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        with open_regular(Path(path).resolve(strict=True)) as file:
            return f"sha256 {hashlib.file_digest(file, 'sha256').hexdigest()}"
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise refusal("start", path, f"must be a file that can be read ({reason})") from None
