"""Files that are there whole or not at all, and the directory of a run."""
