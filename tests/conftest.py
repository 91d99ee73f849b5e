"""What holds for all tests: one thread for each process, so that two of them can share two cores and numbers stay."""

import os

# Read when TensorFlow first computes; processes that tests start inherit them.
for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(name, "1")
