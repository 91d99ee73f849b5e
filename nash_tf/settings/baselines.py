"""Names of the methods that train one network on and on, which a search must beat at the same cost."""

FIXED = "fixed"  # the first network
WIDE = "wide"  # one as large as a search's winner
SCRATCH = "scratch"  # a winner's own architecture
HAND = "hand"  # one made by hand for little compute
BASELINES = (FIXED, WIDE, SCRATCH, HAND)
