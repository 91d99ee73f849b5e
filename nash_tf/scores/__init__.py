"""How good a classifier is on labelled images, and how sure that is: counts, scores, intervals. NumPy only."""
