"""As a program, `nash_tf.experiment` whose runs export Keras files alone."""

import sys

from nash_tf import experiment

if __name__ == "__main__":
    experiment.PROGRAM = "tests.helpers.keras_files"
    sys.exit(experiment.main())
