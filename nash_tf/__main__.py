"""The command `nash-tf`, or `python -m nash_tf`: a search, or another command by its name.

nash-tf [--flag=value...]              a search; `nash-tf --help` lists its flags
nash-tf predict RUN_DIR IMAGES...      the classes of images, by a run's model
nash-tf report DIR...                  the page of a run, or of several
nash-tf experiment [--flag=value...]   several methods with several seeds
"""

import sys
from collections.abc import Sequence
from importlib import import_module

COMMANDS = {
    "predict": "nash_tf.predict",
    "report": "nash_tf.report.__main__",
    "experiment": "nash_tf.experiment.__main__",
}
REFUSED = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command that `argv` names, `argv[0]` being the program; returns its exit status."""
    argv = list(sys.argv if argv is None else argv)
    name = argv[1] if len(argv) > 1 else ""
    if name in ("predict", "report"):
        return import_module(COMMANDS[name]).main(argv[2:])
    if name and name not in COMMANDS and not name.startswith("-"):
        print(
            f"{ascii(name)}: is no command; expected {', '.join(COMMANDS)}, or a search's --flag=value", file=sys.stderr
        )
        return REFUSED
    from nash_tf.terminal import signals, streams  # before what takes a while to import

    streams.outlive_readers()
    signals.exit_at_once()
    if name in COMMANDS:
        return import_module(COMMANDS[name]).main([argv[0], *argv[2:]])
    return import_module("nash_tf.main").main(argv)


if __name__ == "__main__":
    sys.exit(main())
