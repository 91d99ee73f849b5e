"""Morphisms on trained models: a child's birth, the certificate that it computes what its parent does, and `morph` for a user's own."""
