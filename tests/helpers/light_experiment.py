"""As a program, `nash_tf.experiment` whose runs export as `tests.helpers.keras_files` does."""

import sys

from nash_tf import experiment

if __name__ == "__main__":
    experiment.PROGRAM = "tests.helpers.keras_files"
    sys.exit(experiment.main())
