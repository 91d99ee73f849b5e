"""Whether a training was disturbed from outside: by the disk, the network, or the files of its data. That tells nothing of its child."""

import errno
import os
import re

import tensorflow as tf

_NUMBERED = re.compile(r"Error: \[Errno (\d+)\]")  # Python's own, in TensorFlow's words
_OF_FILES = (
    *(errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE),
    *(errno.EIO, errno.ESTALE, errno.EBUSY, errno.ETIMEDOUT, errno.ENOTCONN),
)


def is_disturbance(error: BaseException | None) -> bool:
    """Whether an error of a training, or what caused it, is the system's. Short memory is the child's own: it may be too large for it."""
    while error is not None:
        if isinstance(error, OSError):
            return error.errno != errno.ENOMEM
        if isinstance(error, tf.errors.OpError):
            return _is_of_files(error)
        error = error.__cause__
    return False


def _is_of_files(error: tf.errors.OpError) -> bool:
    """Whether an error of TensorFlow's is of files: its kind alone is that of a child that is too large, or of an operation, too."""
    if isinstance(error, tf.errors.DataLossError | tf.errors.UnavailableError):
        return True
    words = str(error)
    if numbered := _NUMBERED.search(words):
        return int(numbered[1]) != errno.ENOMEM
    return any(f"; {os.strerror(number)}" in words for number in _OF_FILES)
