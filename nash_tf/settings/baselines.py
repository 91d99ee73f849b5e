"""Names of the methods that train one network on and on, which a search must beat at the same cost."""

FIXED, WIDE, SCRATCH, HAND = "fixed", "wide", "scratch", "hand"
BASELINES = {
    FIXED: "the first network alone",
    WIDE: "one as large as a search's winner",
    SCRATCH: "a winner's own architecture, its weights drawn anew",
    HAND: "one made by hand for little compute",
}
