"""Processes that tests start run this first: cycles are looked for less often, which takes a sixth of the time of importing TensorFlow."""

import gc

gc.set_threshold(100_000, 50, 50)
