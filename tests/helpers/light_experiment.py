"""As a program, `nash_tf.experiment` whose runs are those of `tests.helpers.light_run`."""

import sys

from nash_tf.experiment import __main__ as experiment

if __name__ == "__main__":
    experiment.PROGRAM = "tests.helpers.light_run"
    sys.exit(experiment.main())
