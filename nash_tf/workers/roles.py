"""Which part a process has, by the environment variables of Keras Tuner.

`KERASTUNER_ORACLE_IP` and `KERASTUNER_ORACLE_PORT` say where the chief listens, `KERASTUNER_TUNER_ID` who this process is; the id of
the chief holds "chief", at any place, and that of a worker must not: so Keras Tuner has it. `NASH_TF_SECRET`, where it is set, must be
the same for all: a chief answers nobody else.
"""

import hashlib
import os
import secrets
import socket
from collections.abc import Mapping

SECRET = "NASH_TF_SECRET"
TRIALS = "NASH_TF_TRIALS"  # trainings after which a worker leaves
LOOPBACK = "127.0.0.1"


def is_told() -> bool:
    """Whether this process is told that it is a chief or a worker."""
    return "KERASTUNER_ORACLE_IP" in os.environ


def is_chief() -> bool:
    """Whether this process hands out trainings to workers."""
    return "chief" in os.environ.get("KERASTUNER_TUNER_ID", "")


def is_worker() -> bool:
    """Whether this process asks a chief for its trainings."""
    return is_told() and not is_chief()


def check() -> None:
    """Checks that the variables of Keras Tuner say all that they must.

    Raises:
        ValueError: some are missing; the message names them.
    """
    names = ("KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT", "KERASTUNER_TUNER_ID")
    missing = [name for name in names if not os.environ.get(name)]
    if missing and (is_told() or is_chief()):
        given = ", ".join(f"{name}={os.environ[name]}" for name in names if name not in missing)
        raise ValueError(
            f"{' and '.join(missing)} must be set beside {given}: where the chief listens and who this process is; or unset all, for a "
            "search in this process alone"
        )


def address() -> str:
    """Host and port of the chief."""
    return f"{os.environ['KERASTUNER_ORACLE_IP']}:{os.environ['KERASTUNER_ORACLE_PORT']}"


def secret() -> str:
    """What a chief and its workers show each other of what they have in common: a digest, in letters that a call can carry;
    empty where nothing was agreed."""
    agreed = os.environ.get(SECRET, "")
    return hashlib.sha256(os.fsencode(agreed)).hexdigest() if agreed else ""


def local_chief() -> Mapping[str, str]:
    """The variables that make this process the chief of workers on its own machine."""
    return {
        "KERASTUNER_ORACLE_IP": LOOPBACK,
        "KERASTUNER_ORACLE_PORT": str(free_port()),
        "KERASTUNER_TUNER_ID": "chief",
        SECRET: secrets.token_hex(16),
    }


def free_port() -> int:
    """A port of the loopback interface that is free now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]
